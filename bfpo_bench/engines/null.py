"""The null engine: answers at once and loads no weights, to try out what lies around an engine."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Generation,
    GenerationRequest,
    Likelihood,
    ScoringRequest,
)

ANSWER_TOKENS = 32
"""An answer is the end of its prompt, at most so many tokens of it."""


class NullEngine:
    """What it says depends on a request's tokens alone: the same on every machine and in any order."""

    name = "null"

    def describe(self) -> dict[str, Any]:
        return {"engine": self.name, "device": "none", "dtype": "none", "versions": {}}

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[int, Generation]]:
        for position, request in enumerate(requests):
            room = min(ANSWER_TOKENS, request.max_new_tokens)
            yield position, Generation(request.prompt[-room:], "stop")

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood]]:
        for position, request in enumerate(requests):
            yield position, Likelihood(_logprob(request.tokens), False)

    def choices(self, requests: Sequence[ChoiceRequest]) -> Iterator[tuple[int, tuple[float, ...]]]:
        for position, request in enumerate(requests):
            told = (_logprob((*request.prompt, option)) for option in request.options)
            yield position, tuple(told)

    def close(self) -> None:
        pass


def _logprob(tokens: Sequence[int]) -> float:
    """A number from -64 to 0, different for different tokens."""
    return -(zlib.crc32(repr(tuple(tokens)).encode()) >> 8) / 2**18
