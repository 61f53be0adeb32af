"""What tells a server that fails from a prompt that it fails at."""

from __future__ import annotations

from bfpo_bench.engines.base import GenerationRequest, ScoringRequest
from bfpo_bench.engines.server.control import control, control_scoring, control_step
from bfpo_bench.engines.server.probes import IDS, MESSAGES
from bfpo_bench.engines.vllm_scoring import Step


def test_a_prompt_is_another_and_all_else_the_same() -> None:
    asked = GenerationRequest((1,) * 99, 512, 0.7, 0.9, 11)
    assert control(asked) == GenerationRequest(IDS, 512, 0.7, 0.9, 11)
    hello = GenerationRequest((), 512, messages=({"role": "user", "content": "hello"},))
    assert control(hello) == GenerationRequest((), 512, messages=MESSAGES)


def test_it_has_room_where_the_request_has() -> None:
    """Three tokens for three."""
    assert control(GenerationRequest((1, 2, 3), 509)).prompt == IDS[:3]
    assert control_scoring(ScoringRequest((1, 2, 3), 2)).tokens == IDS[:3]


def test_a_step_scores_its_prompt_where_the_request_does() -> None:
    """Of seven tokens six follow another."""
    assert control_step(Step((1,) * 99, 30, (5,), ((0, 5),))).scored == 6
    assert control_step(Step((1,) * 99, 2, (5,), ((0, 5),))).scored == 2
    assert control_step(Step((1,), 0, (5,), ((0, 5),))).scored == 0
