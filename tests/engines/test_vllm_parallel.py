"""A real vLLM over two workers, and with two engines: the same answers as one process gives.

Three loads: two workers, those again after one is killed, two engines.
"""

from __future__ import annotations

import functools
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import serving

from bfpo_bench.engines.base import Failure, Generation, Likelihood
from bfpo_bench.engines.vllm import VllmEngine
from bfpo_bench.stages.process import Report, run_stage

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Job:
    """`arguments` are the engine's; `victim` is how a process is called that is killed, "" for none."""

    arguments: dict[str, int]
    victim: str = ""


@dataclass(frozen=True)
class Said:
    """In the order asked; `after` are the answers to the same requests of an engine one of whose
    processes is killed meanwhile, `left` what still runs when it is closed."""

    generations: tuple[Generation | Failure, ...]
    likelihoods: tuple[Likelihood | Failure, ...]
    choices: tuple[tuple[float, ...] | Failure, ...]
    after: tuple[Generation | Failure, ...]
    brought: tuple[str, ...]
    described: dict[str, Any]
    left: tuple[str, ...]


def serve(job: Job, report: Report) -> Said:
    """A stage."""
    files = replace(serving.plain_files(), arguments=job.arguments)
    engine = VllmEngine.load(files)
    brought = [p.name() for p in engine._core._processes]
    likelihoods = dict(engine.loglikelihoods(serving.scoring()))
    choices = dict(engine.choices(serving.choosing(files)))
    asked = serving.generation()[serving.GREEDY]
    generations = dict(engine.generate(asked))
    after: dict[int, Generation | Failure] = {}
    if job.victim:
        for position, answer in engine.generate(asked * 20):
            if not after:
                victim = [p for p in engine._core._processes if job.victim in p.name()][-1]
                victim.send_signal(signal.SIGKILL)
            after[position] = answer
    described, ours = engine.describe(), engine._core._processes
    engine.close()
    return Said(
        _in_order(generations),
        _in_order(likelihoods),
        _in_order(choices),
        _in_order(after),
        tuple(brought),
        described,
        tuple(p.name() for p in ours if p.is_running() and p.status() != psutil.STATUS_ZOMBIE),
    )


def _in_order(found: dict[int, Any]) -> tuple[Any, ...]:
    return tuple(found[i] for i in range(len(found)))


@pytest.fixture(scope="module")
def logs(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    serving.need_vllm()
    return tmp_path_factory.mktemp("parallel")


@functools.cache
def _said(logs: Path, size: str) -> Said:
    victim = "Worker" if size == "tensor_parallel_size" else ""
    job = Job({size: 2}, victim)
    return run_stage("serve", serve, job, log=logs / size, report=lambda _: None)


SIZES = ("tensor_parallel_size", "data_parallel_size")


@pytest.fixture(params=SIZES)
def said(request: pytest.FixtureRequest, logs: Path) -> Said:
    return _said(logs, request.param)


def test_the_same_log_probabilities(said: Said) -> None:
    one = serving.said("transformers")
    for found, expected in zip(said.likelihoods, one.likelihoods, strict=True):
        assert isinstance(found, Likelihood)
        assert found.logprob == pytest.approx(expected.logprob, abs=1e-3)
        assert found.greedy == expected.greedy
    for options, others in zip(said.choices, one.choices, strict=True):
        assert options == pytest.approx(others, abs=1e-3)


def test_the_same_greedy_answers(said: Said) -> None:
    """The first 16 tokens of at least nine in ten."""
    one = serving.said("transformers").generations[serving.GREEDY]
    equal = [
        isinstance(found, Generation) and found.tokens[:16] == expected.tokens[:16]
        for found, expected in zip(said.generations, one, strict=True)
    ]
    assert sum(equal) >= 0.9 * len(equal)


def test_nothing_is_left(said: Said) -> None:
    assert said.left == ()


def test_two_workers(logs: Path) -> None:
    said = _said(logs, SIZES[0])
    assert said.described[SIZES[0]] == 2
    assert sum("Worker" in name for name in said.brought) == 2


def test_a_worker_that_is_killed_costs_a_load_and_no_request(logs: Path) -> None:
    said = _said(logs, SIZES[0])
    assert said.described["restarts"] == 1
    assert len(said.after) == 20 * len(serving.PROMPTS)
    assert all(isinstance(answer, Generation) for answer in said.after)


def test_two_engines(logs: Path) -> None:
    said = _said(logs, SIZES[1])
    assert said.described[SIZES[1]] == 2
    assert sum("EngineCor" in name for name in said.brought) == 2
