"""The server engine at stand-ins for servers: its requests, its patience, and what came of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from judge_server import Asked, Sent, fails
from openai_server import STOP, Real, greedy

from bfpo_bench.api.key import Key
from bfpo_bench.api.patience import Patience
from bfpo_bench.engines.base import (
    Failure,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    Remote,
    ScoringRequest,
)
from bfpo_bench.engines.server.arguments import check_server_arguments
from bfpo_bench.engines.server.engine import ServerEngine
from bfpo_bench.engines.server.look import look_at_all

QUICK = Patience(20, 5, 3, 2, first_wait=0.001, longest_wait=0.01, connecting=5.0)
"""Waits that a test can afford. Eight requests that fail twice each, one by one, lose no server."""


def files(*urls: str, **arguments: Any) -> ModelFiles:
    return ModelFiles("none", 511, (STOP,), arguments=arguments, remote=Remote(urls, "tiny"))


def connected(
    *urls: str, key: Key | None = None, patience: Patience = QUICK, **arguments: Any
) -> ServerEngine:
    """At once impatient: see QUICK. `arguments` as with --engine-arg."""
    key = key or Key()
    job = files(*urls, **arguments)
    found = look_at_all(urls, "tiny", key)
    return ServerEngine(found, job, key, check_server_arguments(arguments), patience)


def prompts(count: int, new: int = 4) -> list[GenerationRequest]:
    """All different; request i has i as its last token but one, which `number_of` finds again."""
    return [GenerationRequest((i + 1000, 2), new) for i in range(count)]


def number_of(asked: Asked) -> int:
    """Which of `prompts` it is; -1 for a request that looks at the server."""
    prompt = asked.body.get("prompt")
    return prompt[0] - 1000 if isinstance(prompt, list) and len(prompt) == 2 else -1


def generated(
    engine: ServerEngine, requests: Sequence[GenerationRequest]
) -> list[Generation | Failure]:
    found: dict[int, Generation | Failure] = {}
    for position, given in engine.generate(requests):
        assert position not in found, "answered twice"
        found[position] = given
    return [found[i] for i in range(len(requests))]


def scored(engine: ServerEngine, requests: Sequence[ScoringRequest]) -> list[Likelihood | Failure]:
    found = dict(engine.loglikelihoods(requests))
    return [found[i] for i in range(len(requests))]


def right(count: int) -> list[Generation]:
    """What `prompts` are answered with: their sums, i + 1002 and then its double and so on, modulo the
    vocabulary and up to the stop token."""
    found = []
    for request in prompts(count):
        said = greedy(request.prompt, request.max_new_tokens, [STOP])
        ended = said[-1] == STOP
        found.append(Generation(tuple(said[:-1] if ended else said), "stop" if ended else "length"))
    return found


def follow(
    results: Iterator[tuple[int, Any]],
    found: dict[int, Any],
    each: Callable[[int], None] = lambda count: None,
) -> None:
    """Put into `found` what comes, until something stops it; `each` is called after every result."""
    for position, given in results:
        assert position not in found, "answered twice"
        found[position] = given
        each(len(found))


class FailsFirst:
    """Fails the first so many times that each request is asked; looks at the server succeed."""

    def __init__(self, times: int, sent: Sent) -> None:
        self._times, self._sent = times, sent
        self._seen: dict[int, int] = {}
        self._lock = threading.Lock()

    def __call__(self, asked: Asked, real: Real) -> Sent:
        number = number_of(asked)
        if number < 0:
            return real(asked)
        with self._lock:
            seen = self._seen[number] = self._seen.get(number, 0) + 1
        return self._sent if seen <= self._times else real(asked)


TOO_MANY = fails(429, "slow down", retry_after="0.001")
