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
from bfpo_bench.engines.vllm_core import AT_ONCE, Ask, VllmCore
from bfpo_bench.engines.vllm_scoring import Step, StepAnswer, Tally, steps
from bfpo_bench.engines.vllm_setting import set_environment
from bfpo_bench.errors import UserError, first_line


class VllmEngine:
    """`--engine-arg` takes the arguments of `vllm.LLM` (gpu_memory_utilization, max_num_seqs, ...)."""

    name = "vllm"

    def __init__(self, core: VllmCore, files: ModelFiles) -> None:
        from vllm.platforms import current_platform

        self._core = core
        self._stop = list(files.stop_tokens)
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
        set_environment(files.folder, files.context + 1)
        from vllm.platforms import current_platform

        arguments = _arguments(files, cpu=current_platform.is_cpu())
        if current_platform.is_cpu() and arguments["enforce_eager"]:
            # vLLM compiles the function that ranks log-probabilities all the same: half a minute
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        return cls(VllmCore(lambda: _llm(files.folder, arguments), _lora(files)), files)

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
        }
        if self._core.restarts:
            described["restarts"] = self._core.restarts
        if self._core.at_once < AT_ONCE:
            described["requests_at_once"] = self._core.at_once
        return described

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        asks = (Ask(i, r.prompt, self._sampling(r)) for i, r in enumerate(requests))
        for position, output in self._core.stream(asks):
            if isinstance(output, Failure):
                yield position, output
                continue
            tokens = list(output.outputs[0].token_ids)
            stopped = output.outputs[0].finish_reason == "stop"
            if stopped and tokens and tokens[-1] in self._stop:
                tokens.pop()
            yield position, Generation(tuple(tokens), "stop" if stopped else "length")

    def _sampling(self, request: GenerationRequest) -> dict[str, Any]:
        return {
            "temperature": request.temperature,
            "top_p": request.top_p if request.temperature else 1.0,
            "max_tokens": request.max_new_tokens,
            "seed": request.seed,
            "stop_token_ids": self._stop,
        }

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
            Ask(step, step.prompt, _scoring(step))
            for step in steps(requests, score_prompts=self._score_prompts)
        )
        for step, output in self._core.stream(asks):
            if isinstance(output, Failure):
                yield from tally.fail(step, output)
            elif output.num_cached_tokens > step.readable:
                again.append(step)
            else:
                yield from tally.add(step, _answer(step, output))
        whole = (Ask(s, s.prompt, _scoring(s) | {"skip_reading_prefix_cache": True}) for s in again)
        for step, output in self._core.stream(whole):
            if isinstance(output, Failure):
                yield from tally.fail(step, output)
            else:
                yield from tally.add(step, _answer(step, output))

    def choices(
        self, requests: Sequence[ChoiceRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """One step each; vLLM reports the options' log-probabilities whatever token it samples."""
        asks = (Ask(i, r.prompt, _one_step(r.options)) for i, r in enumerate(requests))
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


def _one_step(options: Sequence[int]) -> dict[str, Any]:
    """The log-probabilities of `options`, and of the most likely token, right after the prompt."""
    return {
        "temperature": 0.0,
        "max_tokens": 1,
        "logprob_token_ids": list(options),
        "ignore_eos": True,
    }


def _scoring(step: Step) -> dict[str, Any]:
    if not step.scored:
        return _one_step(step.options)
    return _one_step(step.options) | {
        "prompt_logprobs": 0,
        "flat_logprobs": True,
        "skip_reading_prefix_cache": False,
    }


def _answer(step: Step, output: Any) -> StepAnswer:
    """vLLM's ranks count from 1, and tokens that are exactly as likely as the given one before it."""
    after = output.outputs[0].logprobs[0]
    logprobs = {option: after[option].logprob for option in step.options}
    best = output.outputs[0].token_ids[0]
    if not step.scored:
        return StepAnswer(logprobs, best)
    tokens = step.prompt[-step.scored :]
    # What was not computed comes from the other end
    inside = output.prompt_logprobs[-step.scored :]
    chosen = [place[token] for place, token in zip(inside, tokens, strict=True)]
    return StepAnswer(
        logprobs, best, sum(c.logprob for c in chosen), all(c.rank == 1 for c in chosen)
    )


def _arguments(files: ModelFiles, *, cpu: bool) -> dict[str, Any]:
    """Of `vllm.LLM`: ours, and the user's in their place."""
    arguments: dict[str, Any] = {
        "max_model_len": files.context + 1,
        "generation_config": "vllm",
        "seed": files.seed,
        "enable_prefix_caching": True,
        "trust_remote_code": files.remote_code,
    }
    if cpu:
        # Contexts are shared by whole blocks; its own 128 is longer than most multiple choice
        arguments |= {"dtype": "float32", "enforce_eager": True, "block_size": 32}
        arguments |= {"max_num_seqs": 128}
    if files.adapter is not None:
        arguments |= {"enable_lora": True, "max_lora_rank": _lora_rank(files.adapter)}
    return arguments | {k: v for k, v in files.arguments.items() if k != "max_model_len"}


def _llm(folder: str, arguments: dict[str, Any]) -> Any:
    from vllm import LLM

    try:
        return LLM(model=folder, **arguments)
    except (ValueError, TypeError, RuntimeError, OSError, AssertionError) as error:
        reason = first_line(error)
        raise UserError(
            f"vLLM cannot serve {folder}: {reason}; see the run's log, give "
            "--engine-arg max_model_len=N where memory is short, or use --engine transformers."
        ) from error


def _lora(files: ModelFiles) -> Any:
    if files.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, files.adapter)


def _lora_rank(adapter: str) -> int:
    """vLLM takes certain maximal ranks only: the smallest that holds this adapter."""
    import json
    from pathlib import Path

    rank = int(json.loads((Path(adapter) / "adapter_config.json").read_text())["r"])
    return next(size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank)
