"""A server that is away: when that is said, and when that it is back. No network in here."""

from __future__ import annotations

import pytest

from bfpo_bench.api.faults import Transient
from bfpo_bench.api.key import Key
from bfpo_bench.api.patience import Patience
from bfpo_bench.engines.server.upstream import Upstream

URL = "http://127.0.0.1:9/v1"
REFUSED = Transient("no connection to it (refused)", unreachable=True)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream(URL, "tiny", Key(), 8, Patience())


def misses(upstream: Upstream, error: Transient, *times: float) -> None:
    for now in times:
        upstream.missed(error, now, now)


def test_it_is_said_once_after_five_seconds_without_an_answer(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Seven waits of at most 1, 2, 4, 8, 16, 32 and 60 seconds: 123, about two minutes."""
    misses(upstream, REFUSED, 10.0, 10.8, 14.9)
    assert caplog.messages == []
    misses(upstream, REFUSED, 15.0, 30.0)
    upstream.succeeded(31.0, 1)
    assert caplog.messages == [
        f"{URL} does not answer (no connection to it (refused)): it is tried again, for about 2 "
        "minutes where no other server answers",
        f"{URL} answers again",
    ]


def test_failures_with_answers_between_them_are_everyday(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    for now in range(0, 60, 4):
        misses(upstream, Transient("it replied with 500"), now)
        upstream.succeeded(now + 1.0, 1)
    assert caplog.messages == []


def test_one_that_has_too_much_to_do_is_said_to_be_away_as_well(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    misses(upstream, Transient("it replied with 503", pushed_back=True), 0.0, 6.0)
    assert caplog.messages == [
        f"{URL} does not answer (it replied with 503): it is tried again, for a while where no other "
        "server answers"
    ]


def test_what_was_sent_before_it_was_given_up_says_nothing_new(upstream: Upstream) -> None:
    """Ten requests sent at 0 that fail long after each other: the eighth closes it, the others do not
    close it again. One that was sent once it was open again does."""
    for now in range(100, 1100, 100):
        upstream.missed(Transient("it replied with 500"), now, 0.0)
    assert upstream.closings == 1
    misses(upstream, Transient("it replied with 500"), 1200.0)
    assert upstream.closings == 2


def test_it_is_gone_when_it_fails_at_everything_and_not_at_a_request_or_two(
    upstream: Upstream,
) -> None:
    """Eight in a row, of a server that has answered before; of one that never has, the first."""
    broken = Transient("it replied with 500")
    assert not upstream.gone
    misses(upstream, broken, 0.0)
    assert upstream.gone
    upstream.succeeded(1.0, 1)
    misses(upstream, broken, *range(2, 9))
    assert not upstream.gone
    misses(upstream, broken, 9.0)
    assert upstream.gone
