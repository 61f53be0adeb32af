"""Grades at the end of a reply, read strictly: what is not certain is no grade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.judges.api.grades import read_grades
from bfpo_bench.judges.api.reply import Reply

RANGES = {"kind": (0, 1), "clear": (1, 5)}


def reply(text: str, finish: str | None = "stop") -> Reply:
    return Reply(text, finish, None, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "kind: 1\nclear: 4",
        "It is kind.\n\nkind: 1\nclear: 4\n\n",
        "Kind: 1\nCLEAR: 4",
        "**kind**: 1\n**clear**: 4",
        "**kind: 1**\n**clear: 4**",
        "- kind: 1\n- clear: 4.",
        "kind = 1\nclear = 4",
        "`kind: 1`\r\n`clear: 4`\r\n",
        "<think>\nkind: 0 or\nkind: 1\nclear: 2\n</think>\nkind: 1\nclear: 4",
        "I find its kindness: 5 out of 5.\nkind: 1\nclear: 4",
    ],
)
def test_the_last_lines_are_the_grades(text: str) -> None:
    assert read_grades(reply(text), RANGES) == {"kind": 1, "clear": 4}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not end"),
        ("kind: 1", "does not end"),
        ("clear: 4\nkind: 1", "does not end"),
        ("kind: 1, clear: 4", "does not end"),
        ("kind: 1\nclear: 4\nI hope that helps.", "does not end"),
        ("kind: 1\nso it is\nclear: 4", "does not end"),
        ("It said:\nkind: 0\nclear: 1\n\nkind: 1\nclear: 4", "does not end"),
        ("kind: 0\nkind: 1\nclear: 4", "does not end"),
        ("kind 1\nclear 4", "does not end"),
        ("kind: yes\nclear: 4", "grade for kind is no whole number"),
        ("kind: 1\nclear: four", "grade for clear is no whole number"),
        ("kind: 1\nclear:", "grade for clear is no whole number"),
        ("kind: 1\nclear: 4.5", "no whole number"),
        ("kind: 1\nclear: 4/5", "no whole number"),
        ("kind: 1\nclear: 4 or 5", "no whole number"),
        ("kind: 1\nclear: +4", "no whole number"),
        ("kind: 1\nclear: ٤", "no whole number"),
        ("kind: 1\nclear: 4000", "no whole number"),
        ("kind: 2\nclear: 4", "kind is 2, outside 0 to 1"),
        ("kind: 1\nclear: 0", "clear is 0, outside 1 to 5"),
        ("kind: 1\nclear: 6", "clear is 6, outside 1 to 5"),
        ("<think>\nkind: 1\nclear: 4", "reasoning was cut off"),
    ],
)
def test_anything_else_says_why_there_is_none(text: str, reason: str) -> None:
    found = read_grades(reply(text), RANGES)
    assert isinstance(found, str)
    assert reason in found


def test_a_negative_grade_loses_its_sign_nowhere() -> None:
    assert isinstance(read_grades(reply("kind: -1\nclear: 4"), RANGES), str)


def test_a_reply_that_was_cut_off_has_no_grade() -> None:
    """`clear: 1` may have been going to be `clear: 10`."""
    assert read_grades(reply("kind: 1\nclear: 1", "length"), RANGES) == (
        "the judge's answer was cut off"
    )


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read_grades(reply(text), RANGES)
    assert isinstance(found, str) or (found["kind"] in (0, 1) and 1 <= found["clear"] <= 5)


@given(st.text(), st.integers(0, 1), st.integers(1, 5))
def test_grades_after_any_text_are_those_grades_or_none(text: str, kind: int, clear: int) -> None:
    found = read_grades(reply(f"{text}\nkind: {kind}\nclear: {clear}"), RANGES)
    assert isinstance(found, str) or found == {"kind": kind, "clear": clear}
