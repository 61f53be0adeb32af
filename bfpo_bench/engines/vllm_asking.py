"""What vLLM is asked, and how its answers are read: the same for a `vllm.LLM` here and on Ray's workers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import Generation, GenerationRequest, ModelFiles
from bfpo_bench.engines.vllm_scoring import Step, StepAnswer


def sampling(request: GenerationRequest, stop_tokens: Sequence[int]) -> dict[str, Any]:
    """The arguments of `vllm.SamplingParams` that continue a prompt."""
    return {
        "temperature": request.temperature,
        "top_p": request.top_p if request.temperature else 1.0,
        "max_tokens": request.max_new_tokens,
        "seed": request.seed,
        "stop_token_ids": list(stop_tokens),
    }


def generation(given: Sequence[int], *, stopped: bool, stop_tokens: Sequence[int]) -> Generation:
    """vLLM's new tokens, without the one that stopped them."""
    tokens = tuple(given)
    if stopped and tokens and tokens[-1] in stop_tokens:
        tokens = tokens[:-1]
    return Generation(tokens, "stop" if stopped else "length")


def one_step(options: Sequence[int]) -> dict[str, Any]:
    """The log-probabilities of `options`, and of the most likely token, right after the prompt."""
    return {
        "temperature": 0.0,
        "max_tokens": 1,
        "logprob_token_ids": list(options),
        "ignore_eos": True,
    }


def scoring(step: Step) -> dict[str, Any]:
    if not step.scored:
        return one_step(step.options)
    return one_step(step.options) | {
        "prompt_logprobs": 0,
        "flat_logprobs": True,
        "skip_reading_prefix_cache": False,
    }


def answer(
    step: Step, after: Mapping[int, Any], best: int, inside: Sequence[Any] = ()
) -> StepAnswer:
    """From vLLM's log-probabilities after the prompt, its most likely token there, and what it says of
    each of the prompt's scored tokens.

    vLLM's ranks count from 1, and tokens that are exactly as likely as the given one before it.
    """
    return StepAnswer(
        logprobs={option: after[option].logprob for option in step.options},
        best=best,
        inside=sum(token.logprob for token in inside),
        greedy=all(token.rank == 1 for token in inside),
    )


def llm_arguments(files: ModelFiles, *, cpu: bool) -> dict[str, Any]:
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
        arguments |= {"enable_lora": True, "max_lora_rank": lora_rank(files.adapter)}
    return arguments | {k: v for k, v in files.arguments.items() if k != "max_model_len"}


def scorer_arguments(files: ModelFiles, *, cpu: bool) -> dict[str, Any]:
    """Of a `vllm.LLM` that gives the outputs of a classifier's head: ours, and the user's in their
    place."""
    arguments: dict[str, Any] = {
        "runner": "pooling",
        "convert": "classify",
        "max_model_len": files.context,
        "seed": files.seed,
        "trust_remote_code": files.remote_code,
    }
    if cpu:
        arguments |= {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 128}
    return arguments | {k: v for k, v in files.arguments.items() if k != "max_model_len"}


def lora_rank(adapter: str) -> int:
    """vLLM takes certain maximal ranks only: the smallest that holds this adapter."""
    rank = int(json.loads((Path(adapter) / "adapter_config.json").read_text())["r"])
    return next(size for size in (8, 16, 32, 64, 128, 256, 320, 512) if size >= rank)
