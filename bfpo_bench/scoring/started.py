"""Tasks that start the model's answer: which of them are the points of one curve."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bfpo_bench.scoring.scores import TaskScore

TURNED_BACK = "turned back"
_PLACE = "#"


@dataclass(frozen=True)
class Started:
    """`tasks`: number of tokens -> task, the fewest first. `name` is what the tasks' names have in
    common; `measure` what their scores are percentages of."""

    name: str
    measure: str
    tasks: Mapping[int, str]


def curves(scored: Iterable[tuple[str, TaskScore]]) -> list[Started]:
    """Tasks whose names differ in their number of tokens alone, of more than one such number.

    `scored`: tasks by name, of one run or of several of one comparability key.
    """
    found: dict[str, dict[int, str]] = {}
    scores: dict[str, list[TaskScore]] = {}
    for name, task in scored:
        if task.started_tokens is not None:
            alike = _alike(name, task.started_tokens)
            found.setdefault(alike, {}).setdefault(task.started_tokens, name)
            scores.setdefault(alike, []).append(task)
    return [
        Started(_said(alike), _measure(scores[alike]), dict(sorted(tasks.items())))
        for alike, tasks in found.items()
        if len(tasks) > 1
    ]


def _alike(task: str, tokens: int) -> str:
    """The name with a mark in place of the last number in it that is `tokens`."""
    same = [m for m in re.finditer("[0-9]+", task) if (m[0].lstrip("0") or "0") == str(tokens)]
    return f"{task[: same[-1].start()]}{_PLACE}{task[same[-1].end() :]}" if same else task


def _said(alike: str) -> str:
    """'bfpo_late_refusal_k#' is called 'late_refusal'."""
    said = re.sub(f"[_-]?k?{_PLACE}", "_", alike.removeprefix("bfpo_")).strip("_")
    return said or "started_answers"


def _measure(tasks: Sequence[TaskScore]) -> str:
    """Where every safe answer refused, the scores are rates of refusals."""
    scored = [task for task in tasks if task.value is not None]
    if scored and all(_refusals(task) for task in scored):
        return TURNED_BACK
    metrics = {task.metric for task in scored}
    return metrics.pop() if len(metrics) == 1 else "score"


def _refusals(task: TaskScore) -> bool:
    counts = task.outcomes
    return task.metric == "safe rate" and counts is not None and counts.safe == counts.safe_refused
