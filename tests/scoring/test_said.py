"""Labels as bytes: each comes back, and rows of them are counted."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.runs.records import Label
from bfpo_bench.scoring.said import LABELS, Responses, Said, codes, row_of, tally

labels = st.sampled_from([*get_args(Label), None])


@given(st.lists(labels))
def test_labels_come_back(told: list[str | None]) -> None:
    assert list(row_of(codes(told))) == told
    assert len(codes(told)) == len(told)


def test_what_is_no_label_has_no_code() -> None:
    with pytest.raises(KeyError):
        codes(["harmful", "Harmful"])


@given(st.lists(st.tuples(labels, labels, labels)))
def test_rows_are_counted(rows: list[tuple[str | None, ...]]) -> None:
    columns = [codes(row[n] for row in rows) for n in range(3)]
    assert tally(*columns) == Counter(rows)
    assert tally(columns[0], None) == Counter((row[0], None) for row in rows)


def test_columns_of_different_lengths_are_no_rows() -> None:
    with pytest.raises(ValueError, match="shorter"):
        tally(codes(["harmful"] * 2), codes(["harmful"]))


def test_a_judge_that_said_nothing_left_all_unjudged() -> None:
    nothing = Said.nothing(2)
    assert row_of(nothing.codes) == ("unjudged", "unjudged")
    assert nothing.scores is not None
    assert len(nothing.scores) == 2
    assert not nothing.fault


def test_responses_are_the_keys_that_they_stand_for() -> None:
    found = Responses("t", [3, 3, 7], [0, 1, 0])
    keys = [("t", 3, 0), ("t", 3, 1), ("t", 7, 0)]
    assert list(found) == keys
    assert [found[n] for n in range(3)] == keys
    assert list(found[1:]) == keys[1:]
    assert len(found) == 3
    assert not Responses("t", (), ())


def test_a_code_is_a_byte() -> None:
    """So many labels that one more would still not be taken for ABSENT."""
    assert len(LABELS) < 255
