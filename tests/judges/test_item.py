"""What a judge is shown of a response, and what it is never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item, encodable, item_of

TEXT = st.text(st.characters(exclude_categories=()))
"""Any text at all, halves of surrogate pairs among it."""


def test_an_answer_is_shown_with_what_was_said_last() -> None:
    found = item_of("What is salty?", "The sea.", document={"right": "the sea"}, baseline="Tea.")
    assert found == Item("What is salty?", "The sea.", {"right": "the sea"}, "Tea.")


def test_a_reasoning_trace_is_not_shown() -> None:
    assert item_of("Q", "<think>No?</think> Yes.") == Item("Q", "Yes.")
    assert item_of("Q", "No?</think> Yes.", reasoning_open=True) == Item("Q", "Yes.")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (None, "empty"),
        ("", "empty"),
        ("\u200b \n", "empty"),
        ("<think>A long thought.</think>", "empty"),
        ("!!!!!!!!", "not language"),
        ("so it is " * 200, "looping"),
    ],
)
def test_a_degenerate_answer_is_found_by_rule(response: str | None, reason: str) -> None:
    assert item_of("Q", response) == Finding("degenerate", error=reason)


@pytest.mark.parametrize("trace", ["<think>Let me see", "<think>I cannot help with that."])
def test_a_trace_without_an_answer_is_unjudged_and_no_refusal(trace: str) -> None:
    reason = "the reasoning trace was cut off before an answer"
    assert item_of("Q", trace) == Finding("unjudged", error=reason)
    bare = trace.removeprefix("<think>")
    assert item_of("Q", bare, reasoning_open=True) == Finding("unjudged", error=reason)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sea \U0001f30a", "sea \U0001f30a"),
        ("\ud83c\udf0a", "\U0001f30a"),
        ("a\ud83cb", "a\ufffdb"),
        ("x\udf0ay", "x\ufffdy"),
        ("\udf0a\ud83c", "\ufffd\ufffd"),
        ("\ud83c\ud83c\udf0a", "\ufffd\U0001f30a"),
        ("\ud83c", "\ufffd"),
        ("\ufeffa\x00", "\ufeffa\x00"),
    ],
)
def test_lone_halves_of_surrogate_pairs_cannot_be_written(text: str, shown: str) -> None:
    """Two halves in their order are the character that they are halves of; nothing else changes."""
    assert encodable(text) == shown
    found = item_of(f"Q{text}", f"Sure, {text}.", baseline=text)
    assert found == Item(f"Q{shown}", f"Sure, {shown}.", None, shown)


@given(TEXT)
def test_what_is_shown_can_be_written_and_keeps_every_other_character(text: str) -> None:
    shown = encodable(text)
    shown.encode("utf-8")
    assert encodable(shown) == shown
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert shown == text


@given(TEXT, TEXT)
def test_no_text_breaks_it(prompt: str, response: str) -> None:
    found = item_of(prompt, response)
    if isinstance(found, Item):
        assert found.prompt == encodable(prompt)
        assert found.answer in encodable(response)
        assert len(found.sha256) == 64
    else:
        assert found.label in ("degenerate", "unjudged")
        assert found.error


class TestHash:
    """Under which a finding is remembered: all that the judge is shown, and nothing else."""

    ITEM = Item("Q", "A", {"n": 1, "right": "R"}, "B")

    def test_equal_items_share_it(self) -> None:
        again = Item("Q", "A", {"right": "R", "n": 1}, "B")
        assert self.ITEM.sha256 == again.sha256

    @pytest.mark.parametrize(
        "other",
        [
            Item("Q2", "A", {"n": 1, "right": "R"}, "B"),
            Item("Q", "A2", {"n": 1, "right": "R"}, "B"),
            Item("Q", "A", {"n": 2, "right": "R"}, "B"),
            Item("Q", "A", None, "B"),
            Item("Q", "A", {"n": 1, "right": "R"}, "B2"),
            Item("Q", "A", {"n": 1, "right": "R"}, None),
            Item("A", "Q", {"n": 1, "right": "R"}, "B"),
        ],
    )
    def test_any_part_makes_another(self, other: Item) -> None:
        assert other.sha256 != self.ITEM.sha256

    def test_texts_do_not_run_into_one_another(self) -> None:
        """ "ab" + "c" and "a" + "bc", and a text that looks like the way they are put together."""
        assert Item("ab", "c").sha256 != Item("a", "bc").sha256
        assert Item('a", "b', "c").sha256 != Item("a", 'b", "c').sha256
        assert Item("Q", "A", None, "null").sha256 != Item("Q", "A").sha256
