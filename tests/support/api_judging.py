"""Judges of engine api at a server of the tests, and a server that fails one time in twenty."""

from __future__ import annotations

import multiprocessing
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from judge_server import (
    BROKEN_JSON,
    CUT,
    HANGS,
    NO_CHOICES,
    Asked,
    JudgeServer,
    Respond,
    Sent,
    fails,
    says,
)

from bfpo_bench.api.patience import Patience
from bfpo_bench.judges.api.server import Server
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.prompts import load_prompt
from bfpo_bench.judges.running.api import findings
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress

QUICK = Patience(first_wait=0.001, longest_wait=0.01, connecting=5.0, answering=20.0)
"""Waits that a test can afford."""
IMPATIENT = replace(QUICK, answering=0.5)
"""For servers that hang. A busy machine may be as slow as that now and then."""


def work(judge: str, url: str, **server: Any) -> Work:
    """`judge` as on the command line; `server` for what is not said here."""
    loaded = load_judge(judge)
    told: dict[str, Any] = {"price": None, "max_cost": None, "patience": QUICK} | server
    return Work(loaded, prompt=load_prompt(loaded, None), server=Server(url, **told))


def judged(
    job: Work, items: Sequence[Item], reports: list[Progress] | None = None
) -> tuple[list[Finding], dict[str, Any]]:
    """The finding of every item, in order, and the description."""
    description: dict[str, Any] = {}
    report = (reports if reports is not None else []).append
    found: dict[int, Finding] = {}
    for position, finding in findings(job, items, description, report):
        assert position not in found, "judged twice"
        found[position] = finding
    return [found[position] for position in range(len(items))], description


def rated_items(count: int) -> list[Item]:
    """Answers that say which grade `grading` is to give them: 1 to 10 in turn."""
    return [Item(f"question {i}", f"answer {i}, worth {i % 10 + 1}") for i in range(count)]


def grading(asked: Asked) -> Sent:
    """The grade that the answer asks for."""
    grade = re.search(r"worth (\d+)", asked.text)
    assert grade is not None
    return says(f"It does what was asked.\nrating: {grade[1]}")


PASSING = (
    fails(429, "slow down", retry_after="0"),
    fails(429, "slow down"),
    fails(500),
    fails(503, "overloaded"),
    CUT,
    HANGS,
    BROKEN_JSON,
    NO_CHOICES,
)
"""Faults that are over when one asks again."""


def faulty(respond: Respond, share: float, faults: Sequence[Sent] = PASSING) -> Respond:
    """`respond` with that share of the responses replaced by a fault, the same ones every time."""
    draw = random.Random(0)

    def either(asked: Asked) -> Sent:
        return draw.choice(faults) if draw.random() < share else respond(asked)

    return either


@contextmanager
def failing_server(share: float) -> Iterator[str]:
    """The URL of a server that grades, and fails that often, in a process of its own: client and
    server in one process would wait for each other's turn at the interpreter."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, share), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve(parent: Connection, share: float) -> None:
    with JudgeServer(faulty(grading, share)) as server:
        parent.send(server.url)
        parent.poll(None)  # until the other end is closed
