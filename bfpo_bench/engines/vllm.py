"""The vLLM engine: one continuous batch, responses taken as they finish. CPU or GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Failure,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    ScoringRequest,
    check_finite,
)
from bfpo_bench.engines.steering.vllm_asking import (
    bias_arguments,
    bias_sampling,
    set_bias_environment,
)
from bfpo_bench.engines.vllm_asking import (
    answer,
    generation,
    llm_arguments,
    one_step,
    sampling,
    scoring,
)
from bfpo_bench.engines.vllm_async import BalancedLlm, engines
from bfpo_bench.engines.vllm_core import Ask, VllmCore
from bfpo_bench.engines.vllm_refusal import refused
from bfpo_bench.engines.vllm_scoring import Step, StepAnswer, Tally, steps
from bfpo_bench.engines.vllm_setting import parallel, set_environment
from bfpo_bench.errors import first_line


class VllmEngine:
    """`--engine-arg` takes the arguments of `vllm.LLM` (gpu_memory_utilization, max_num_seqs, ...)."""

    name = "vllm"

    def __init__(self, core: VllmCore, files: ModelFiles) -> None:
        from vllm.platforms import current_platform

        self._core = core
        self._stop = list(files.stop_tokens)
        self._bias = bias_sampling(files.bias)
        # vLLM's CPU build adds the adapter to the logits of prompt tokens with one index a request
        # where it needs one a token: right for one request, an engine death for more
        self._score_prompts = files.adapter is None or not current_platform.is_cpu()

    @property
    def llm(self) -> Any:
        """The `vllm.LLM` that answers now: a death of its engine brings another."""
        return self._core.llm

    @classmethod
    def load(cls, files: ModelFiles) -> VllmEngine:
        """The model in `files.folder`; float32 and a small cache on a CPU."""
        # A scoring request feeds `context` tokens and asks for one more, which vLLM counts against
        # the length although no position past the model's own is ever computed.
        os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
        set_environment(files.folder, files.context + 1, files.arguments)
        set_bias_environment(files.bias)
        from vllm.platforms import current_platform

        arguments = bias_arguments(files.bias, llm_arguments(files, cpu=current_platform.is_cpu()))
        if current_platform.is_cpu() and arguments["enforce_eager"]:
            # vLLM compiles the function that ranks log-probabilities all the same: half a minute
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        core = VllmCore(lambda: _llm(files.folder, arguments), _lora(files), engines(arguments))
        return cls(core, files)

    def describe(self) -> dict[str, Any]:
        import torch
        import vllm
        from vllm.platforms import current_platform

        config = self.llm.llm_engine.model_config
        described = {
            "engine": self.name,
            "device": "cpu" if current_platform.is_cpu() else current_platform.get_device_name(),
            "dtype": str(config.dtype).removeprefix("torch."),
            "versions": {"torch": torch.__version__, "vllm": vllm.__version__},
            **parallel(self.llm.llm_engine.vllm_config.parallel_config),
        }
        if self._core.restarts:
            described["restarts"] = self._core.restarts
        if self._core.at_once < self._core.most:
            described["requests_at_once"] = self._core.at_once
        return described

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        asks = (
            Ask(i, r.prompt, sampling(r, self._stop) | self._bias) for i, r in enumerate(requests)
        )
        for position, output in self._core.stream(asks):
            if isinstance(output, Failure):
                yield position, output
                continue
            given = output.outputs[0]
            stopped = given.finish_reason == "stop"
            yield (
                position,
                generation(given.token_ids, stopped=stopped, stop_tokens=self._stop),
            )

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        """Each context is computed once; see `vllm_scoring`.

        The last token of a continuation is never fed: that would need one position more than the
        context has.
        """
        tally = Tally(requests)
        again: list[Step] = []
        asks = (
            Ask(step, step.prompt, scoring(step))
            for step in steps(requests, score_prompts=self._score_prompts)
        )
        for step, output in self._core.stream(asks):
            if isinstance(output, Failure):
                yield from tally.fail(step, output)
            elif output.num_cached_tokens > step.readable:
                again.append(step)
            else:
                yield from tally.add(step, _answer(step, output))
        whole = (Ask(s, s.prompt, scoring(s) | {"skip_reading_prefix_cache": True}) for s in again)
        for step, output in self._core.stream(whole):
            if isinstance(output, Failure):
                yield from tally.fail(step, output)
            else:
                yield from tally.add(step, _answer(step, output))

    def choices(
        self, requests: Sequence[ChoiceRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """One step each; vLLM reports the options' log-probabilities whatever token it samples."""
        asks = (Ask(i, r.prompt, one_step(r.options)) for i, r in enumerate(requests))
        for position, output in self._core.stream(asks):
            if isinstance(output, Failure):
                yield position, output
                continue
            step = output.outputs[0].logprobs[0]
            found = tuple(step[token].logprob for token in requests[position].options)
            for logprob in found:
                check_finite(logprob)
            yield position, found

    def close(self) -> None:
        self._core.close()


def _answer(step: Step, output: Any) -> StepAnswer:
    given = output.outputs[0]
    tokens = step.prompt[-step.scored :] if step.scored else ()
    # What was not computed comes from the other end
    places = output.prompt_logprobs[-step.scored :] if step.scored else ()
    inside = [place[token] for place, token in zip(places, tokens, strict=True)]
    return answer(step, given.logprobs[0], given.token_ids[0], inside)


def _llm(folder: str, arguments: dict[str, Any]) -> Any:
    from vllm import LLM

    try:
        if engines(arguments) > 1:
            return BalancedLlm(folder, arguments)
        return LLM(model=folder, **arguments)
    except (ValueError, TypeError, RuntimeError, OSError, AssertionError) as error:
        raise refused(folder, "", first_line(error)) from error


def _lora(files: ModelFiles) -> Any:
    if files.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, files.adapter)
