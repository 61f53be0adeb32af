"""What a run's tasks ask of an engine: built from their documents, and encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bfpo_bench.engines.base import ScoringRequest
from bfpo_bench.engines.tokens import scoring_request
from bfpo_bench.errors import UserError
from bfpo_bench.runs.shard import Shard
from bfpo_bench.stages.asked import Asked, Asking, generative_requests
from bfpo_bench.suite.discriminative import Choice, choices
from bfpo_bench.suite.documents import LoadedTask, unusable


def part_of(task: LoadedTask, shard: Shard | None) -> LoadedTask:
    """The task with the documents of its that are asked here."""
    return task if shard is None else task.part(shard.of(task.spec.name, task.doc_ids))


def built_requests(
    how: Asking,
    tokenizer: Any,
    loaded: Sequence[LoadedTask],
    failed: dict[str, str],
    unaskable: list[str],
    shard: Shard | None = None,
) -> tuple[list[LoadedTask], list[Choice], list[tuple[ScoringRequest, int]], list[Asked]]:
    """The tasks whose requests can be built and encoded, with all their choices, those as tokens, and
    their prompts, or of each what falls to `shard`; the others join `failed`, and `unaskable` where that
    is for ever."""
    usable: list[LoadedTask] = []
    built: list[Choice] = []
    scoring: list[tuple[ScoringRequest, int]] = []
    asked: list[Asked] = []
    for task in loaded:
        try:
            if task.spec.kind == "generative":
                asked += generative_requests(how, tokenizer, [part_of(task, shard)])
            else:
                # Of all its documents: lm-eval draws examples for one after the other
                ids = set(part_of(task, shard).doc_ids)
                mine = [c for c in choices([task]) if c.doc_id in ids]
                scoring += [
                    scoring_request(tokenizer, c.context, c.continuation, how.context) for c in mine
                ]
                built += mine
            usable.append(task)
        except Exception as error:
            name = task.spec.name
            if isinstance(error, UserError):
                failed[name] = f"Task {name}: {error}"
            else:
                failed[name] = unusable(task.spec, "one of its documents", error)
            if not isinstance(error, OSError | MemoryError):
                unaskable.append(name)
    lost = [t for t in loaded if t.spec.kind == "generative" and t not in usable]
    if lost and not asked:
        # The model's chat template, and no document: what is left would pass for the whole
        name = lost[0].spec.name
        raise UserError(failed[name].removeprefix(f"Task {name}: "))
    return usable, built, scoring, asked
