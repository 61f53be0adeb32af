"""The number of requests at once finds its own level, against servers that are simulated by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.engines.server.level import FIRST, REST, Level


def run(level: Level, slots: int, answers: int, *, seconds: float = 1.0) -> list[int]:
    """The limits that were in force while a server with so many slots, each of which takes so many
    seconds a request, gave so many answers. Its throughput is `min(limit, slots) / seconds`."""
    now, seen = 0.0, [level.limit]
    for _ in range(answers):
        now += seconds / min(level.limit, slots)
        level.answered(now, 10)
        if level.limit != seen[-1]:
            seen.append(level.limit)
    return seen


def test_it_doubles_while_the_throughput_rises() -> None:
    assert run(Level(256), 10_000, 2_000) == [8, 16, 32, 64, 128, 256]


def test_it_leaves_a_level_that_brings_nothing() -> None:
    """32 slots: 64 at once are no faster than 32, so it goes back and rests."""
    seen = run(Level(256), 32, 400)
    assert seen == [8, 16, 32, 64, 32]


def test_it_tries_again_after_a_rest() -> None:
    """A rest is REST windows of 32 answers: the 64 are tried anew, and left anew."""
    seen = run(Level(256), 32, 400 + 2 * (REST + 2) * 64)
    assert seen[:7] == [8, 16, 32, 64, 32, 64, 32]


def test_it_finds_a_server_that_grew() -> None:
    level = Level(256)
    run(level, 16, 500)
    assert level.limit <= 32
    run(level, 10_000, 5_000)
    assert level.limit == 256


def test_it_halves_when_it_is_pushed_back_and_once_for_all_that_was_sent_before() -> None:
    """64 requests of level 64 are refused together: that says one thing, not 64."""
    level = Level(256)
    run(level, 10_000, 2 * (8 + 16 + 32))
    assert level.limit == 64
    for _ in range(64):
        level.pushed_back(now=1000.0, sent=999.0)
    assert level.limit == 32
    level.pushed_back(now=1001.0, sent=1000.5)
    assert level.limit == 16


def test_it_rises_again_after_a_push() -> None:
    level = Level(64)
    run(level, 10_000, 1_000)
    level.pushed_back(now=2000.0, sent=1999.0)
    assert level.limit == 32
    now = 2000.0
    for _ in range(32 * (REST + 4)):
        now += 1 / level.limit
        level.answered(now, 1)
    assert level.limit == 64


@pytest.mark.parametrize("most", [1, 3, 8, 100])
def test_it_stays_between_one_and_the_most(most: int) -> None:
    level = Level(most)
    assert level.limit == min(most, FIRST)
    assert max(run(level, 10_000, 3_000)) == most
    for moment in range(5_000, 5_020):
        level.pushed_back(float(moment), moment - 0.5)
    assert level.limit == 1


@given(
    st.lists(st.tuples(st.floats(0, 10), st.booleans(), st.integers(0, 10_000)), max_size=300),
    st.integers(1, 300),
)
def test_nothing_that_happens_breaks_its_bounds(
    events: list[tuple[float, bool, int]], most: int
) -> None:
    level, now = Level(most), 0.0
    for later, answered, work in events:
        now += later
        if answered:
            level.answered(now, work)
        else:
            level.pushed_back(now, now - 1)
        assert 1 <= level.limit <= most
