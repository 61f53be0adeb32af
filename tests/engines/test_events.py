"""What is told of an engine: what is waited for, and at the end only what happened."""

from __future__ import annotations

from typing import Any

import pytest

from bfpo_bench.engines.events import befell, beginning, opening
from bfpo_bench.engines.null import NullEngine
from bfpo_bench.progress import Progress


class OnRay(NullEngine):
    name = "ray"

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def describe(self) -> dict[str, Any]:
        return {"workers": self.workers}


def test_a_loaded_engine_counts_from_the_first() -> None:
    assert opening("vllm") == "loading the model into vllm"
    assert beginning(NullEngine(), "responses", 9) == Progress("responses", 0, 9)


@pytest.mark.parametrize(
    ("workers", "said"),
    [(1, "1 worker that loads the model"), (2, "2 workers, each of which loads the model")],
)
def test_ray_s_workers_load_the_model_before_the_first_answer(workers: int, said: str) -> None:
    """For all answers of a phase, so that "0 of N" would stand there for minutes."""
    assert opening("ray") == "joining Ray"
    told = beginning(OnRay(workers), "responses", 1200)
    assert told == Progress(f"Ray starts {said} for 1,200 responses")


def test_an_engine_that_nothing_befell_says_nothing() -> None:
    """It describes its batches all the same."""
    assert list(befell({})) == []
    assert list(befell({"batch": {"rows": 64, "tokens": 8192, "halved": 0}})) == []


def test_what_a_server_does_not_take_is_said_aloud() -> None:
    assert list(befell({"left_out": ["seed", "temperature"]})) == [
        "the server does not take seed, temperature: requests went without"
    ]


def test_a_server_that_was_lost_among_others_is_named() -> None:
    assert list(befell({"gone": {"http://b/v1": "it replied with 500, 'x'"}})) == [
        "http://b/v1 answers no more (it replied with 500, 'x'): the rest went to the other servers"
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
