"""What is told of an engine at the end: only what happened."""

from __future__ import annotations

from bfpo_bench.engines.events import befell


def test_an_engine_that_nothing_befell_says_nothing() -> None:
    """It describes its batches all the same."""
    assert list(befell({})) == []
    assert list(befell({"batch": {"rows": 64, "tokens": 8192, "halved": 0}})) == []


def test_what_a_server_does_not_take_is_said_aloud() -> None:
    assert list(befell({"left_out": ["seed", "temperature"]})) == [
        "the server does not take seed, temperature: requests went without"
    ]


def test_smaller_batches_and_restarts_are_said_aloud() -> None:
    told = {
        "batch": {"rows": 16, "tokens": 2048, "halved": 2},
        "restarts": 3,
        "requests_at_once": 512,
    }
    assert list(befell(told)) == [
        "memory ran out 2 times: batches were made smaller, to 16 rows and 2048 tokens",
        "the engine died and was started again 3 times",
        "the engine was given no more than 512 requests at once from then on",
    ]
