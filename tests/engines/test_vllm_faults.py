"""A real vLLM whose engine process is killed while it answers; one stage, so two loads in all."""

from __future__ import annotations

import functools
import signal
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import serving

from bfpo_bench.engines.base import Failure, Generation, GenerationRequest, ModelFiles
from bfpo_bench.engines.vllm import VllmEngine
from bfpo_bench.engines.vllm_core import AT_ONCE
from bfpo_bench.stages.process import Report, run_stage

TOO_LONG = 3
"""The position of a request that vLLM refuses."""


@dataclass(frozen=True)
class Lived:
    """`told` are (position, result) as they came; `listening` the addresses of TCP sockets."""

    told: tuple[tuple[int, Generation | Failure], ...]
    before: dict[str, Any]
    after: dict[str, Any]
    listening: tuple[str, ...]
    left: tuple[str, ...]


def live(job: tuple[ModelFiles, tuple[GenerationRequest, ...]], report: Report) -> Lived:
    """A stage: when the first answers are there, the engine's process is killed as by the kernel."""
    files, requests = job
    engine = VllmEngine.load(files)
    before, listening = engine.describe(), _listening()
    [core] = [p for p in psutil.Process().children() if "EngineCore" in p.name()]
    told = []
    for count, found in enumerate(engine.generate(requests)):
        told.append(found)
        if count == 4:
            core.send_signal(signal.SIGKILL)
    after = engine.describe()
    ours = engine._core._processes
    engine.close()
    left = [p.name() for p in ours if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return Lived(tuple(told), before, after, listening, tuple(left))


def _listening() -> tuple[str, ...]:
    here = psutil.Process()
    connections = [
        c for p in (here, *here.children(recursive=True)) for c in p.net_connections("inet")
    ]
    return tuple(c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN or not c.raddr)


def asked() -> tuple[GenerationRequest, ...]:
    """Answers of 20 to 59 tokens, more than one batch; one prompt is longer than the context."""
    files = serving.plain_files()
    greedy = serving.generation()[serving.GREEDY]
    made = [replace(greedy[i % len(greedy)], max_new_tokens=20 + i % 40) for i in range(200)]
    made[TOO_LONG] = GenerationRequest((5,) * (files.context + 2), 5)
    return tuple(made)


@pytest.fixture(scope="module")
def lived(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    serving.need_vllm()
    return _lived(tmp_path_factory.mktemp("faults") / "log")


@functools.cache
def _lived(log: Path) -> Lived:
    # Answers that end by their length alone: the same whatever batch they are in
    files = replace(serving.plain_files(), stop_tokens=())
    return run_stage("live", live, (files, asked()), log=log, report=lambda _: None)


def test_every_request_is_answered_once_although_the_engine_died(lived: Lived) -> None:
    assert Counter(position for position, _ in lived.told) == Counter(range(200))
    answers = dict(lived.told)
    for position, request in enumerate(asked()):
        if position != TOO_LONG:
            answer = answers[position]
            assert isinstance(answer, Generation)
            assert len(answer.tokens) == request.max_new_tokens


def test_a_refused_request_has_the_reason(lived: Lived) -> None:
    failure = dict(lived.told)[TOO_LONG]
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("vLLM refuses it: ")
    assert "\n" not in failure.reason


def test_the_restart_is_in_the_description(lived: Lived) -> None:
    assert "restarts" not in lived.before
    assert lived.after["restarts"] == 1
    assert lived.after["requests_at_once"] == AT_ONCE // 4


def test_nothing_of_the_engine_is_left(lived: Lived) -> None:
    assert lived.left == ()


def test_no_socket_is_open_to_the_network(lived: Lived) -> None:
    assert set(lived.listening) <= {"127.0.0.1", "::1"}
