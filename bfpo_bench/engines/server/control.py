"""Requests of the run's kind on a prompt that the server was seen to answer when it was looked at.

Where such a one fails as well, it is the server that fails and not the prompt. No network in here.
"""

from __future__ import annotations

from dataclasses import replace

from bfpo_bench.engines.base import GenerationRequest, ScoringRequest
from bfpo_bench.engines.server.probes import IDS, MESSAGES
from bfpo_bench.engines.vllm_scoring import Step


def control(request: GenerationRequest) -> GenerationRequest:
    """As many new tokens, sampled alike."""
    if request.messages:
        return replace(request, messages=MESSAGES)
    return replace(request, prompt=_ids(request.prompt))


def control_step(step: Step) -> Step:
    ids = _ids(step.prompt)
    return replace(step, prompt=ids, scored=min(step.scored, len(ids) - 1), options=IDS[:2])


def control_scoring(request: ScoringRequest) -> ScoringRequest:
    return ScoringRequest(_ids(request.tokens), 1)


def _ids(tokens: tuple[int, ...]) -> tuple[int, ...]:
    """No more tokens than those, so that they have room where those have; two at least."""
    return IDS[: max(2, len(tokens))]
