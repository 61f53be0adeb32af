"""How long a server is waited for before it is asked again, and how often it is."""

from __future__ import annotations

import asyncio

import pytest

from bfpo_bench.api.faults import Transient
from bfpo_bench.api.patience import Patience
from bfpo_bench.api.retry import pause, retrying


def test_waits_double_up_to_a_limit_and_are_drawn_from_their_upper_half() -> None:
    patience = Patience(first_wait=1.0, longest_wait=10.0)
    for attempt, most in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (9, 10.0)]:
        waits = [pause(patience, attempt, None) for _ in range(200)]
        assert most / 2 <= min(waits) < max(waits) <= most
        assert len(set(waits)) > 100


def test_a_servers_own_wait_is_honoured_up_to_the_limit() -> None:
    patience = Patience(first_wait=1.0, longest_wait=10.0)
    assert 7.5 <= pause(patience, 1, 7.0) <= 8.0
    assert 10.5 <= pause(patience, 1, 3600.0) <= 11.0


@pytest.mark.parametrize(
    ("error", "answered", "times"),
    [
        (Transient("429", pushed_back=True), True, 6),
        (Transient("500"), True, 4),
        (Transient("refused", unreachable=True), False, 3),
        (Transient("refused", unreachable=True), True, 4),
        (Transient("silent", silent=True), False, 2),
        (Transient("silent", silent=True), True, 4),
    ],
)
def test_each_kind_of_failure_has_its_own_number_of_attempts(
    error: Transient, answered: bool, times: int
) -> None:
    patience = Patience(6, 4, 3, 2, first_wait=0.0)
    tried = 0

    async def fail() -> None:
        nonlocal tried
        tried += 1
        raise error

    with pytest.raises(Transient):
        asyncio.run(retrying(patience, lambda: answered, lambda: None)(fail))
    assert tried == times
