"""The vLLM engine: one continuous batch, responses taken as they finish. CPU or GPU."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

from bfpo_bench.engines.base import (
    ChoiceRequest,
    Generation,
    GenerationRequest,
    Likelihood,
    ModelFiles,
    ScoringRequest,
    check_finite,
)
from bfpo_bench.engines.select import cache_bytes
from bfpo_bench.errors import UserError, first_line

AHEAD = 512
"""Requests waiting inside vLLM: enough to fill any batch, few enough to keep memory flat."""


class VllmEngine:
    """`--engine-arg` takes the arguments of `vllm.LLM` (gpu_memory_utilization, max_num_seqs, ...)."""

    name = "vllm"

    def __init__(self, llm: Any, files: ModelFiles) -> None:
        self.llm = llm
        self._stop = list(files.stop_tokens)
        self._lora: Any = None
        self._count = 0
        self._scored_at_once = AHEAD
        if files.adapter is not None:
            from vllm.lora.request import LoRARequest
            from vllm.platforms import current_platform

            self._lora = LoRARequest("adapter", 1, files.adapter)
            # vLLM's CPU build adds the adapter to the logits of prompt tokens with one index a
            # request where it needs one a token: right for one request, an engine death for more
            if current_platform.is_cpu():
                self._scored_at_once = 1

    @classmethod
    def load(cls, files: ModelFiles) -> VllmEngine:
        """The model in `files.folder`; float32 and a small cache on a CPU."""
        # A scoring request feeds `context` tokens and asks for one more, which vLLM counts against
        # the length although no position past the model's own is ever computed.
        os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(_cpu_cache_gib(files)))
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        from vllm import LLM
        from vllm.platforms import current_platform

        arguments: dict[str, Any] = {
            "max_model_len": files.context + 1,
            "generation_config": "vllm",
            "seed": files.seed,
            "enable_prefix_caching": True,
        }
        if current_platform.is_cpu():
            arguments |= {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 128}
        if files.adapter is not None:
            arguments |= {"enable_lora": True, "max_lora_rank": _lora_rank(files.adapter)}
        arguments |= {k: v for k, v in files.arguments.items() if k != "max_model_len"}
        try:
            llm = LLM(model=files.folder, **arguments)
        except (ValueError, TypeError, RuntimeError, OSError, AssertionError) as error:
            reason = first_line(error)
            raise UserError(
                f"vLLM cannot serve {files.folder}: {reason}; see the run's log, give "
                "--engine-arg max_model_len=N where memory is short, or use --engine transformers."
            ) from error
        return cls(llm, files)

    def describe(self) -> dict[str, Any]:
        import torch
        import vllm
        from vllm.platforms import current_platform

        config = self.llm.llm_engine.model_config
        return {
            "engine": self.name,
            "device": "cpu" if current_platform.is_cpu() else current_platform.get_device_name(),
            "dtype": str(config.dtype).removeprefix("torch."),
            "versions": {"torch": torch.__version__, "vllm": vllm.__version__},
        }

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[tuple[int, Generation]]:
        from vllm import SamplingParams

        def params(request: GenerationRequest) -> tuple[tuple[int, ...], Any]:
            return request.prompt, SamplingParams(
                temperature=request.temperature,
                top_p=request.top_p if request.temperature else 1.0,
                max_tokens=request.max_new_tokens,
                seed=request.seed,
                stop_token_ids=self._stop,
                detokenize=False,
            )

        for position, output in self._stream([params(r) for r in requests]):
            tokens = list(output.outputs[0].token_ids)
            stopped = output.outputs[0].finish_reason == "stop"
            if stopped and tokens and tokens[-1] in self._stop:
                tokens.pop()
            yield position, Generation(tuple(tokens), "stop" if stopped else "length")

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood]]:
        """Every token but the last is scored as prompt, the last as a generation that is forced.

        vLLM reports log-probabilities before `allowed_token_ids` masks the logits, so the forced
        token's is the model's own; feeding it as prompt would need one position more than the
        context has. One-token choices ask for no prompt log-probabilities at all.
        """
        from vllm import SamplingParams

        def params(request: ScoringRequest) -> tuple[tuple[int, ...], Any]:
            return request.tokens[:-1], SamplingParams(
                temperature=0.0,
                max_tokens=1,
                logprobs=0,
                prompt_logprobs=0 if request.continuation > 1 else None,
                allowed_token_ids=[request.tokens[-1]],
                ignore_eos=True,
                detokenize=False,
            )

        asked = [params(r) for r in requests]
        for position, output in self._stream(asked, self._scored_at_once):
            request = requests[position]
            steps = [output.outputs[0].logprobs[0]]
            targets = [request.tokens[-1]]
            if request.continuation > 1:
                scored = request.continuation - 1
                steps = [*output.prompt_logprobs[-scored:], *steps]
                targets = [*request.tokens[-1 - scored : -1], *targets]
            chosen = [step[token] for step, token in zip(steps, targets, strict=True)]
            total = sum(c.logprob for c in chosen)
            check_finite(total)
            yield position, Likelihood(total, all(c.rank == 1 for c in chosen))

    def choices(self, requests: Sequence[ChoiceRequest]) -> Iterator[tuple[int, tuple[float, ...]]]:
        """One step each; vLLM reports the options' log-probabilities whatever token it samples."""
        from vllm import SamplingParams

        def params(request: ChoiceRequest) -> tuple[tuple[int, ...], Any]:
            return request.prompt, SamplingParams(
                temperature=0.0,
                max_tokens=1,
                logprob_token_ids=list(request.options),
                ignore_eos=True,
                detokenize=False,
            )

        for position, output in self._stream([params(r) for r in requests]):
            step = output.outputs[0].logprobs[0]
            found = tuple(step[token].logprob for token in requests[position].options)
            for logprob in found:
                check_finite(logprob)
            yield position, found

    def _stream(
        self, asked: Sequence[tuple[tuple[int, ...], Any]], ahead: int = AHEAD
    ) -> Iterator[tuple[int, Any]]:
        """Feed requests in order, a bounded number ahead, and give each output as it finishes."""
        engine = self.llm.llm_engine
        waiting = iter(enumerate(asked))
        positions: dict[str, int] = {}
        while True:
            while len(positions) < ahead and (entry := next(waiting, None)) is not None:
                position, (tokens, params) = entry
                name = str(self._count)
                self._count += 1
                positions[name] = position
                engine.add_request(
                    name, {"prompt_token_ids": list(tokens)}, params, lora_request=self._lora
                )
            if not positions:
                return
            for output in engine.step():
                if output.finished:
                    yield positions.pop(output.request_id), output

    def close(self) -> None:
        self.llm.llm_engine.engine_core.shutdown()
        del self.llm


def _cpu_cache_gib(files: ModelFiles) -> int:
    """Float32 keys and values of 16 full contexts, at least 1 GiB and at most a quarter of what is free."""
    import json
    from pathlib import Path

    import psutil

    config = json.loads((Path(files.folder) / "config.json").read_text())
    most = psutil.virtual_memory().available // 4
    return max(1, math.ceil(min(16 * cache_bytes(config, files.context + 1), most) / 2**30))


def _lora_rank(adapter: str) -> int:
    """vLLM takes certain maximal ranks only: the smallest that holds this adapter."""
    import json
    from pathlib import Path

    rank = int(json.loads((Path(adapter) / "adapter_config.json").read_text())["r"])
    return next(size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank)
