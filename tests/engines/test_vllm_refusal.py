"""What is said of a model that vLLM does not load."""

from __future__ import annotations

import pytest

from bfpo_bench.engines import vllm_refusal
from bfpo_bench.engines.vllm_refusal import refused


def test_a_mistyped_argument_is_named_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_refusal, "_arguments", lambda: ["max_num_seqs", "seed"])
    reason = "EngineArgs.__init__() got an unexpected keyword argument 'max_num_seq'"
    assert str(refused("models/a", "", reason)) == (
        "vLLM takes no --engine-arg max_num_seq (did you mean max_num_seqs?): mend the name, or leave it "
        "out."
    )


def test_anything_else_is_told_as_vllm_tells_it() -> None:
    said = str(refused("models/a", " on the Ray cluster", "no memory"))
    assert said.startswith(
        "vLLM cannot serve models/a on the Ray cluster: no memory; see the run's log"
    )
