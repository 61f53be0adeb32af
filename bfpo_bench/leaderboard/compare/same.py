"""Whether a task means the same in two runs: what a difference of it would say otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bfpo_bench.runs import jsonl
from bfpo_bench.scoring.deciding import CHECKS, HARM
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.graded import SCALES

_ASIDE = ("place", "prompt_origin")


class _Spoken(msgspec.Struct, gc=False):
    task: str


def judges_of_tasks(run: FinishedRun) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> the judges whose verdicts decide about it, in order: key -> its part of the
    comparability key, but for what decides about no verdict."""
    judges: Mapping[str, Mapping[str, Any]] = run.manifest.comparability.get("judges", {})
    kinds = {key: str(judge.get("kind")) for key, judge in judges.items()}
    spoke: dict[str, list[str]] = {}
    for key in judges:
        file = run.folder.verdicts_file(key)
        for task in {line.task: None for line in jsonl.read_as(file, _Spoken)}:
            spoke.setdefault(task, []).append(key)
    return {
        task: {
            key: {k: v for k, v in judges[key].items() if k not in _ASIDE}
            for key in _deciding(keys, kinds)
        }
        for task, keys in spoke.items()
    }


def _deciding(keys: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    """Of the judges that spoke those that decide, as `scoring.deciding` has them: of each kind the
    first; a judge of harm leaves to one of refusals only how *safe* is split."""

    def first(*of: str) -> list[str]:
        return [key for kind in of for key in keys if kinds[key] == kind][:1]

    if grading := first(*SCALES):
        return grading
    if check := first(*CHECKS):
        return check + first("refusal")
    return first(*HARM) or first("refusal")


def why_not(
    task: str,
    a: FinishedRun,
    b: FinishedRun,
    judges_a: Mapping[str, Mapping[str, Any]],
    judges_b: Mapping[str, Mapping[str, Any]],
) -> str | None:
    """Why the task's scores of the two runs are not compared; None where they are.

    Decoding, a limit or another suite version leave the task what it is: they are part of what is
    compared. Another wording, metric or judge makes it another task.
    """
    mine, theirs = a.scores.tasks[task], b.scores.tasks[task]
    lacking = [side for side, score in (("A", mine), ("B", theirs)) if score.value is None]
    if lacking:
        reason = (mine if "A" in lacking else theirs).unscored or "no reason is given"
        return f"not scored in {' and '.join(lacking)}: {reason}"
    versions = [run.manifest.settings.tasks.get(task) for run in (a, b)]
    if versions[0] != versions[1]:
        return f"another task by that name: version {versions[0]} in A, {versions[1]} in B"
    metrics = [f"{score.metric} of {score.raw_metric}" for score in (mine, theirs)]
    if metrics[0] != metrics[1]:
        return f"scored as {metrics[0]} in A and as {metrics[1]} in B"
    if judges_a != judges_b:
        return _other_judges(judges_a, judges_b)
    return None


def _other_judges(a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]) -> str:
    names = [" and ".join(judges) or "nobody" for judges in (a, b)]
    if names[0] != names[1]:
        return f"judged by {names[0]} in A and by {names[1]} in B"
    parts = sorted({k for key in a for k in {*a[key], *b[key]} if a[key].get(k) != b[key].get(k)})
    return f"judged by {names[0]} in another version or wording ({', '.join(parts)})"
