"""Discriminative tasks are scored by lm-eval itself, from log-likelihoods that our engines gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.names import is_utf8
from bfpo_bench.suite.documents import LoadedTask

FEW_SHOT_SEED = 1234
"""lm-eval's own default. Set before requests are built, each time: building draws from it."""

ChoiceKey = tuple[str, int, int]


@dataclass(frozen=True)
class Choice:
    """One log-likelihood request: how likely is `continuation` after `context`?"""

    task: str
    doc_id: int
    choice: int
    context: str
    continuation: str

    @property
    def key(self) -> ChoiceKey:
        return self.task, self.doc_id, self.choice


def choices(tasks: Sequence[LoadedTask]) -> list[Choice]:
    """All log-likelihood requests of discriminative tasks, built by lm-eval.

    Raises ValueError for a text that no tokenizer takes, and whatever lm-eval raises.
    """
    built = []
    for loaded in tasks:
        loaded.task.set_fewshot_seed(FEW_SHOT_SEED)
        loaded.task.build_all_requests(
            samples=list(loaded.doc_ids), rank=0, world_size=1, limit=None
        )
        for instance in loaded.task.instances:
            context, continuation = instance.args
            # lm-eval numbers the documents of a sample from 0
            doc_id = loaded.doc_ids[instance.doc_id]
            if not is_utf8(context + continuation):
                raise ValueError("half a character, a lone surrogate, which no tokenizer takes")
            built.append(Choice(loaded.spec.name, doc_id, instance.idx, context, continuation))
    return built


def evaluate(
    tasks: Sequence[LoadedTask], likelihoods: Mapping[ChoiceKey, tuple[float, bool]]
) -> dict[str, Any]:
    """lm-eval's `evaluate` over stored log-likelihoods: its results and samples, no model involved.

    `likelihoods` maps each request's key to (log-probability in nats, greedy or not).
    """
    from lm_eval.api.model import LM
    from lm_eval.evaluator import evaluate as lm_evaluate

    ids = {loaded.spec.name: list(loaded.doc_ids) for loaded in tasks}
    for loaded in tasks:
        loaded.task.set_fewshot_seed(FEW_SHOT_SEED)

    class Recorded(LM):
        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return [likelihoods[r.task_name, ids[r.task_name][r.doc_id], r.idx] for r in requests]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError("no bfpo_* task asks for rolling log-likelihoods")

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError("generative tasks are not scored through lm-eval")

    return lm_evaluate(
        lm=Recorded(),
        task_dict={"tasks": {loaded.spec.name: loaded.task for loaded in tasks}},
        samples=ids,
        log_samples=True,
        bootstrap_iters=0,
    )
