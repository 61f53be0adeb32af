"""Tokens and dollars: told before, counted while it goes on, and limited."""

from __future__ import annotations

import math

import pytest
from api_judging import IMPATIENT, QUICK, grading, judged, rated_items, work
from judge_server import (
    BROKEN_JSON,
    CUT,
    HANGS,
    NO_CHOICES,
    JudgeServer,
    Sent,
    fails,
    says,
)

from bfpo_bench.errors import UserError
from bfpo_bench.progress import Progress


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_JUDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def test_the_true_count_is_described_and_the_estimate_comes_first() -> None:
    """Ten replies of 100 tokens in and 20 out at 2 and 10 dollars a million:
    10 * (100 * 2 + 20 * 10) / 1e6 = 0.004 dollars."""
    reports: list[Progress] = []
    with JudgeServer(grading) as server:
        job = work("rating=m", server.url, price=(2.0, 10.0), max_cost=1.0)
        _, description = judged(job, rated_items(10), reports)
    assert description["usage"] == {
        "requests": 10,
        "retries": 0,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "cost": pytest.approx(0.004),
        "estimated": 0,
    }
    estimate = description["estimate"]
    assert estimate["requests"] == 10
    assert estimate["completion_tokens"] == 10 * 512
    assert estimate["cost"] == pytest.approx(
        (estimate["prompt_tokens"] * 2 + 5120 * 10) / 1e6, abs=1e-9
    )
    assert reports[0].phase.startswith(f"asking m at {server.url}: 10 requests, about ")


def test_without_a_count_of_the_server_the_estimate_stands_in() -> None:
    """The reply "rating: 4" has 9 bytes: ceil(9 / 4) = 3 tokens."""
    with JudgeServer(lambda asked: says("rating: 4", usage=None)) as server:
        _, description = judged(work("rating=m", server.url), rated_items(2))
    usage = description["usage"]
    assert usage["estimated"] == 2
    assert usage["completion_tokens"] == 6
    assert usage["prompt_tokens"] == sum(math.ceil(len(a.text) / 4) for a in server.asked)
    assert usage["cost"] is None


def test_an_estimate_above_the_limit_asks_nothing() -> None:
    with JudgeServer(grading) as server:
        with pytest.raises(UserError, match=r"may cost \$.*--max-cost is \$0.001"):
            judged(work("rating=m", server.url, price=(1.0, 1.0), max_cost=0.001), rated_items(10))
        with pytest.raises(UserError, match="give --judge-price"):
            judged(work("rating=m", server.url, max_cost=1.0), rated_items(10))
        assert server.asked == []


def test_a_limit_that_the_true_count_reaches_is_not_passed() -> None:
    """Each reply is said to take 5,000 tokens, ten times what was estimated (at most): a limit of
    1.2 times the estimate is reached early, and the rest is left to a later command."""
    with JudgeServer(lambda a: says("rating: 5", usage=(4000, 1000))) as server:
        plain = work("rating=m", server.url, price=(1.0, 1.0), max_cost=100.0)
        _, description = judged(plain, rated_items(100))
        limit = 1.2 * description["estimate"]["cost"]
        job = work("rating=m", server.url, price=(1.0, 1.0), max_cost=limit, concurrency=1)
        found, description = judged(job, rated_items(100))
    rated = [f for f in found if f.label == "rated"]
    rest = [f for f in found if f.label == "unjudged"]
    assert 0 < len(rated) < 30
    assert len(rated) + len(rest) == 100
    assert all(f.fault and "--max-cost" in (f.error or "") for f in rest)
    # The last request started below the limit: no more than one reply can pass it
    assert description["usage"]["cost"] <= limit + 0.005
    assert description["usage"]["requests"] == len(rated)


@pytest.mark.parametrize(
    ("fault", "completion", "estimated"),
    [(HANGS, 512, 1), (CUT, 512, 1), (BROKEN_JSON, 512, 1), (NO_CHOICES, 1, 0), (says(""), 20, 0),
     (fails(500), 0, 0)],
    ids=["silent", "cut off", "no JSON", "no choice", "empty", "failed"],
)  # fmt: skip
def test_an_attempt_in_vain_costs_what_it_may_have_cost(
    fault: Sent, completion: int, estimated: int
) -> None:
    """The first attempt comes to nothing, the second is graded for 100 tokens in and 20 out. The
    first is booked as the server counted it, or else at most: the judge's limit is 512 tokens. A
    failure is free."""
    with JudgeServer(lambda a: grading(a) if a.number else fault) as server:
        patience = IMPATIENT if fault.hang else QUICK
        found, description = judged(work("rating=m", server.url, patience=patience), rated_items(1))
        prompt = math.ceil(len(server.asked[0].text) / 4)
    assert found[0].score == 1
    usage = description["usage"]
    assert usage["completion_tokens"] == 20 + completion
    first = prompt if estimated else 100 if completion == 20 else completion
    assert usage["prompt_tokens"] == 100 + first
    assert usage["estimated"] == estimated


def test_attempts_in_vain_do_not_pass_the_limit() -> None:
    """Ten items; after the first every reply breaks off, and each may cost as much as was estimated
    for one. A limit of 1.05 times the estimate has room for ten such, where eight attempts at each
    of nine items would be 72."""
    with JudgeServer(grading) as server:
        plain = work("rating=m", server.url, price=(1.0, 1.0), max_cost=1.0)
        _, description = judged(plain, rated_items(10))
    limit = 1.05 * description["estimate"]["cost"]
    with JudgeServer(lambda a: CUT if a.number else grading(a)) as server:
        job = work("rating=m", server.url, price=(1.0, 1.0), max_cost=limit, concurrency=4)
        found, description = judged(job, rated_items(10))
        assert len(server.asked) <= 11
    assert 0.9 * limit < description["usage"]["cost"] <= limit
    assert [f.fault for f in found] == [False] + [True] * 9
    assert any("--max-cost" in (f.error or "") for f in found)
