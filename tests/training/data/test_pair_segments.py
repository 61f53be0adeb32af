"""Segments of a pair's responses in a user's own file: read, written, swapped, and refused by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.training.data import DataSpec, load_pairs
from bfpo_bench.training.data.jsonl import pair, record, write_pairs
from bfpo_bench.training.encode import pair_columns
from bfpo_bench.training.pairs import DataReport, Pair, Segment
from bfpo_bench.training.policies import swap

GOOD: dict[str, Any] = {
    "prompt": "Which pen?",
    "chosen": "Blue. Or green.",
    "rejected": "Red.",
    "chosen_safe": 1,
    "rejected_safe": 0,
    "chosen_segments": [{"text": "Blue. ", "reward": 1}, {"text": "Or green.", "reward": -0.5}],
    "rejected_segments": [{"text": "Red.", "reward": 0.25, "by": "me"}],
}
BARE = {k: v for k, v in GOOD.items() if not k.endswith("_segments")}
PLAIN_HASH = "880903ac937f454af10058b292674cfbcfa9931d34ca290bf0c6e066dd01fd2a"
"""Of BARE, from before pairs had segments: trainings that began then go on."""


def loaded(
    path: Path, *rows: dict[str, Any], segments: bool = True
) -> tuple[list[Pair], DataReport]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs, [report] = load_pairs([DataSpec(source="jsonl", path=path)], 0, segments)
    return pairs, report


def test_they_are_read_as_they_are(tmp_path: Path) -> None:
    [found], _ = loaded(tmp_path / "p.jsonl", GOOD)
    assert found.chosen_segments == (Segment("Blue. ", 1.0), Segment("Or green.", -0.5))
    assert found.rejected_segments == (Segment("Red.", 0.25),)
    columns = pair_columns([found])
    assert columns["chosen_segments"] == [GOOD["chosen_segments"]]
    assert columns["rejected_segments"] == [[{"text": "Red.", "reward": 0.25}]]


def test_they_change_the_hash_and_pairs_without_keep_theirs(tmp_path: Path) -> None:
    _, with_them = loaded(tmp_path / "p.jsonl", GOOD)
    _, without = loaded(tmp_path / "p.jsonl", BARE, segments=False)
    other = GOOD | {"rejected_segments": [{"text": "Red.", "reward": 0.5}]}
    _, changed = loaded(tmp_path / "p.jsonl", other)
    assert len({with_them.sha256, without.sha256, changed.sha256}) == 3
    assert without.sha256 == PLAIN_HASH


def test_they_go_with_their_response_when_a_pair_is_swapped() -> None:
    found = pair(GOOD)
    other = swap(found)
    assert (other.chosen_segments, other.rejected_segments) == (
        found.rejected_segments,
        found.chosen_segments,
    )
    assert swap(other) == found


parts = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.floats(-1e9, 1e9)),
    min_size=1,
    max_size=4,
)


@given(chosen=parts, rejected=parts)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    chosen: list[tuple[str, float]],
    rejected: list[tuple[str, float]],
) -> None:
    written = Pair(
        ({"role": "user", "content": "?"},),
        "".join(text for text, _ in chosen),
        "".join(text for text, _ in rejected),
        chosen_segments=tuple(Segment(*part) for part in chosen),
        rejected_segments=tuple(Segment(*part) for part in rejected),
    )
    file = tmp_path_factory.getbasetemp() / "written.jsonl"
    write_pairs(file, [written])
    assert pair(json.loads(file.read_text(encoding="utf-8"))) == written
    assert pair(record(written)) == written


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chosen_segments": None}, "the pair has no chosen_segments, by which ama masks"),
        ({"rejected_segments": None}, "the pair has no rejected_segments, by which ama masks"),
        (
            {"chosen_segments": "Blue."},
            'chosen_segments is "Blue.", and it is a list of {text, reward}',
        ),
        (
            {"chosen_segments": []},
            "chosen_segments, one text after the other, are not the chosen resp",
        ),
        (
            {"rejected": "Red. "},
            "rejected_segments, one text after the other, are not the rejected",
        ),
        (
            {"rejected_segments": ["Red."]},
            'rejected_segments.0 is "Red.", and a segment is {text, re',
        ),
        ({"rejected_segments": [{"text": "Red."}]}, "rejected_segments.0 is"),
        ({"rejected_segments": [{"text": "", "reward": 1}]}, "rejected_segments.0 is"),
        (
            {"rejected_segments": [{"text": "Red.", "reward": True}]},
            "rejected_segments.0.reward is true, which is no finite number",
        ),
        (
            {"rejected_segments": [{"text": "Red.", "reward": float("inf")}]},
            "rejected_segments.0.reward is Infinity, which is no finite number",
        ),
    ],
)
def test_what_is_none_is_named_with_its_line(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as error:
        loaded(tmp_path / "p.jsonl", GOOD, GOOD | changes)
    assert f"p.jsonl, line 2: {sentence}" in str(error.value)


def test_segments_that_nothing_asks_for_are_checked_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: chosen_segments, one text after"):
        loaded(tmp_path / "p.jsonl", GOOD | {"chosen": "Green."}, segments=False)
    assert len(loaded(tmp_path / "p.jsonl", BARE, segments=False)[0]) == 1
