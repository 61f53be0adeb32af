"""`--engine ray`: one vLLM for each worker of a Ray cluster, fed and read by Ray Data's LLM pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

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
from bfpo_bench.engines.ray.core import RayCore
from bfpo_bench.engines.ray.rows import Answered, read_generated
from bfpo_bench.engines.ray.setting import Setting
from bfpo_bench.engines.vllm_asking import (
    answer,
    generation,
    llm_arguments,
    one_step,
    sampling,
    scoring,
)
from bfpo_bench.engines.vllm_core import Ask
from bfpo_bench.engines.vllm_scoring import Step, Tally, steps

K = TypeVar("K")

ONLY_TOKENS = {"detokenize": False}
"""Tokens are all that is read, as in the vllm engine. vLLM would decode also the places of a prompt that
it did not compute, which are no tokens, and its engine breaks under that."""


class RayEngine:
    """`--engine-arg` takes `workers`, and the arguments of `vllm.LLM` for each of them.

    A worker loads the model when requests are there for it: once for all log-likelihoods of a run, and
    once for all responses.
    """

    name = "ray"

    def __init__(self, setting: Setting, core: RayCore, files: ModelFiles) -> None:
        self._setting, self._core, self._files = setting, core, files
        self._stop = files.stop_tokens

    @classmethod
    def start(cls, files: ModelFiles) -> RayEngine:
        """Join the cluster and see that its nodes can serve the model. None is loaded yet.

        Raises UserError for a cluster that cannot be had, or where the workers cannot be.
        """
        setting = Setting.prepare(files, files.folder, files.context + 1)
        arguments = llm_arguments(setting.files, cpu=setting.cpu)
        model = setting.model("generate", arguments)
        return cls(setting, RayCore(setting.cluster, setting.shape, model), files)

    def describe(self) -> dict[str, Any]:
        return self._setting.describe(self.name, self._core.asked_again)

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        asks = (Ask(i, r.prompt, sampling(r, self._stop)) for i, r in enumerate(requests))
        for position, found in self._ask(asks, len(requests)):
            if isinstance(found, Failure):
                yield position, found
            else:
                yield position, self._generation(requests[position], found.tokens)

    def _generation(
        self, request: GenerationRequest, tokens: tuple[int, ...]
    ) -> Generation | Failure:
        """Ray's stage keeps back why vLLM stopped: for an end of its own before anything else."""
        if tokens and tokens[-1] in self._stop:
            return generation(tokens, stopped=True, stop_tokens=self._stop)
        room = self._files.context + 1 - len(request.prompt)
        if len(tokens) < min(request.max_new_tokens, room):
            return Failure("vLLM ended it early and without an end")
        return generation(tokens, stopped=False, stop_tokens=self._stop)

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]:
        """As the vllm engine: see `vllm_scoring`. Contexts are shared within a worker where no prompt is
        scored: Ray's stage does not tell how much of one vLLM had in its cache, where there are no
        log-probabilities."""
        # vLLM's CPU build adds an adapter wrongly to prompt log-probabilities: see the vllm engine
        inside = self._files.adapter is None or not self._setting.cpu
        count = sum(1 for _ in steps(requests, score_prompts=inside))
        asks = (Ask(s, s.prompt, _whole(s)) for s in steps(requests, score_prompts=inside))
        tally = Tally(requests)
        for step, found in self._ask(asks, count):
            yield from _told(tally, step, found)

    def choices(
        self, requests: Sequence[ChoiceRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        asks = (Ask(i, r.prompt, one_step(r.options)) for i, r in enumerate(requests))
        for position, found in self._ask(asks, len(requests)):
            if isinstance(found, Failure):
                yield position, found
                continue
            told = tuple(found.after[token].logprob for token in requests[position].options)
            for logprob in told:
                check_finite(logprob)
            yield position, told

    def _ask(self, asks: Iterator[Ask[K]], count: int) -> Iterator[tuple[K, Answered | Failure]]:
        only = (Ask(ask.key, ask.prompt, ask.params | ONLY_TOKENS) for ask in asks)
        for key, found in self._core.stream(only, count):
            yield key, found if isinstance(found, Failure) else read_generated(found)

    def close(self) -> None:
        self._setting.cluster.close()


def _whole(step: Step) -> dict[str, Any]:
    """Of a prompt that is scored everything is computed."""
    return scoring(step) | ({"skip_reading_prefix_cache": True} if step.scored else {})


def _told(
    tally: Tally, step: Step, found: Answered | Failure
) -> Iterator[tuple[int, Likelihood | Failure]]:
    if isinstance(found, Failure):
        yield from tally.fail(step, found)
    else:
        yield from tally.add(step, answer(step, found.after, found.tokens[0], found.inside))
