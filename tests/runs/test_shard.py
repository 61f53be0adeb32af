"""Shards: each document of a task falls to exactly one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.runs.shard import Shard, read_shard


@given(
    task=st.text(max_size=20),
    ids=st.sets(st.integers(0, 10**9), max_size=50).map(sorted),
    count=st.integers(1, 20),
)
def test_shards_deal_out_every_document_once_and_evenly(
    task: str, ids: list[int], count: int
) -> None:
    parts = [Shard(number, count).of(task, ids) for number in range(1, count + 1)]
    assert sorted(i for part in parts for i in part) == ids
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part == sorted(part) for part in parts)


@given(ids=st.sets(st.integers(0, 10**6), max_size=40).map(sorted), count=st.integers(1, 9))
def test_how_many_fall_to_it_hangs_on_their_number_alone(ids: list[int], count: int) -> None:
    """So that a shard's share is known from data.json, which holds the number."""
    shard = Shard(1, count)
    assert len(shard.of("task", ids)) == len(shard.of("task", range(len(ids))))


def test_tasks_of_one_document_do_not_all_fall_to_the_first() -> None:
    """Of 40 tasks with one document each, 4 shards have some each."""
    first = [[bool(Shard(n, 4).of(f"task_{t}", [0])) for n in (1, 2, 3, 4)] for t in range(40)]
    assert all(row.count(True) == 1 for row in first)
    assert all(any(row[n] for row in first) for n in range(4))


def test_one_of_one_has_everything() -> None:
    assert Shard(1, 1).of("task", [3, 5, 8]) == [3, 5, 8]


def test_how_it_is_written() -> None:
    assert read_shard("3/8") == Shard(3, 8)
    assert str(Shard(3, 8)) == "3/8"
    assert Shard(3, 8).suffix == ".shard-3-of-8"


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "/8", "a/b", "-1/8", "3 / 8", "1/8/9", "1.0/2", "³/8"]
)
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(UserError, match=r"is not I/N: write for example 3/8"):
        read_shard(text)


@pytest.mark.parametrize("text", ["0/8", "9/8", "0/0", "1/10001", "1/999999"])
def test_a_number_that_is_none_of_them(text: str) -> None:
    with pytest.raises(UserError, match="give I from 1 to N"):
        read_shard(text)
