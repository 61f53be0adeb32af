"""The rows that the processor changes while vLLM's own persistent batch has requests join, leave, move,
be preempted and come back. The batch is vLLM's class; no model is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import serving
from biases import bias_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bfpo_bench.engines.base import BiasFile
from bfpo_bench.engines.steering.vllm_asking import (
    CONFIG,
    KEY,
    PROCESSOR,
    bias_arguments,
    bias_sampling,
)

POSITIONS, VOCABULARY, ROOM = 3, 7, 5
VALUES = np.arange(1, 1 + POSITIONS * VOCABULARY, dtype=np.float32).reshape(POSITIONS, VOCABULARY)


@pytest.fixture(scope="module")
def bias(tmp_path_factory: pytest.TempPathFactory) -> BiasFile:
    return bias_of(tmp_path_factory.mktemp("bias") / "a.bias", VALUES)


def processor(bias: BiasFile, size: int = VOCABULARY) -> Any:
    serving.need_vllm()
    import torch

    from bfpo_bench.engines.steering.on_vllm import BiasProcessor

    config = SimpleNamespace(
        additional_config=bias_arguments(bias, {})["additional_config"],
        model_config=SimpleNamespace(get_vocab_size=lambda: size),
    )
    return BiasProcessor(config, torch.device("cpu"), False)


class Batch:
    """vLLM's batch, with what it should lead to beside it."""

    def __init__(self, bias: BiasFile) -> None:
        import torch
        from vllm.v1.sample.logits_processor.state import LogitsProcessors
        from vllm.v1.worker.gpu_input_batch import InputBatch

        self.processor = processor(bias)
        self.batch = InputBatch(
            max_num_reqs=ROOM,
            max_model_len=64,
            max_num_batched_tokens=64,
            device=torch.device("cpu"),
            vocab_size=VOCABULARY,
            block_sizes=[16],
            max_num_blocks_per_req=[4],
            logitsprocs=LogitsProcessors([self.processor]),
            logitsprocs_need_output_token_ids=True,
        )
        self.inside: dict[str, Any] = {}
        self.preempted: dict[str, Any] = {}
        self.count = 0

    def join(self, wanted: bool) -> None:
        from vllm import SamplingParams
        from vllm.v1.worker.gpu_input_batch import CachedRequestState

        if len(self.inside) == ROOM:
            return
        self.count += 1
        self._add(
            CachedRequestState(
                req_id=str(self.count),
                prompt_token_ids=[1, 2],
                mm_features=[],
                sampling_params=SamplingParams(extra_args={KEY: True} if wanted else None),
                generator=None,
                block_ids=([0],),
                num_computed_tokens=0,
                output_token_ids=[],
            )
        )

    def _add(self, state: Any) -> None:
        self.inside[state.req_id] = state
        self.batch.add_request(state)

    def leave(self, number: int) -> Any:
        if not self.inside:
            return None
        name = list(self.inside)[number % len(self.inside)]
        self.batch.remove_request(name)
        return self.inside.pop(name)

    def preempt(self, number: int) -> None:
        state = self.leave(number)
        if state is not None:
            self.preempted[state.req_id] = state

    def resume(self) -> None:
        """As vLLM does: with a list that is new, of what it has put out."""
        if not self.preempted or len(self.inside) == ROOM:
            return
        _, state = self.preempted.popitem()
        state.output_token_ids = list(state.output_token_ids)
        self._add(state)

    def step(self, *, swapped: bool, chunked: int) -> None:
        """Every request puts out a token but one, whose prompt is not read to its end yet."""
        import torch

        self.batch.condense()
        if swapped and self.batch.num_reqs > 1:
            self.batch.swap_states(0, self.batch.num_reqs - 1)
        self.batch.refresh_metadata()
        names = self.batch.req_ids
        after = self.processor.apply(torch.zeros(len(names), VOCABULARY))
        for name, row in zip(names, after, strict=True):
            state = self.inside[name]
            position = len(state.output_token_ids)
            wanted = (state.sampling_params.extra_args or {}).get(KEY) and position < POSITIONS
            assert row.tolist() == (list(-VALUES[position]) if wanted else [0.0] * VOCABULARY)
        for place, name in enumerate(names):
            if place != chunked:
                self.inside[name].output_token_ids.append(-1)


goings = st.tuples(st.sampled_from(["leave", "preempt"]), st.integers(0, ROOM))
comings = st.one_of(st.tuples(st.just("join"), st.booleans()), st.tuples(st.just("resume")))
steps = st.fixed_dictionaries(
    {
        "going": st.lists(goings, max_size=2),
        "coming": st.lists(comings, max_size=3),
        "swapped": st.booleans(),
        "chunked": st.integers(0, 2 * ROOM),
    }
)


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(taken=st.lists(steps, min_size=1, max_size=12))
def test_each_row_loses_the_bias_of_its_own_position(bias: BiasFile, taken: Any) -> None:
    """In each step vLLM lets requests go, then takes others in, some in their places, closes the gaps,
    and may swap rows."""
    batch = Batch(bias)
    for one in taken:
        for name, *arguments in [*one["going"], *one["coming"]]:
            getattr(batch, name)(*arguments)
        batch.step(swapped=one["swapped"], chunked=one["chunked"])


def test_zeros_leave_every_bit(tmp_path: Path) -> None:
    serving.need_vllm()
    import torch

    made = processor(bias_of(tmp_path / "a.bias", np.zeros((2, VOCABULARY))))
    made.outputs = {0: [], 2: [5]}
    logits = torch.randn(3, VOCABULARY) * 1e4
    assert torch.equal(made.apply(logits.clone()), logits)


def test_another_vocabulary_is_refused(bias: BiasFile) -> None:
    with pytest.raises(ValueError, match="has 7 entries a position and the model's vocabulary 8"):
        processor(bias, size=8)


def test_what_the_user_gives_vllm_is_kept(bias: BiasFile) -> None:
    given_ = {"seed": 1, "logits_processors": ["a:B"], "additional_config": {"c": 1}}
    made = bias_arguments(bias, given_)
    assert made["logits_processors"] == ["a:B", PROCESSOR]
    assert made["additional_config"]["c"] == 1
    assert made["additional_config"][CONFIG]["sha256"] == bias.sha256
    assert bias_arguments(None, given_) == given_
    assert (bias_sampling(None), bias_sampling(bias)) == ({}, {"extra_args": {KEY: True}})
