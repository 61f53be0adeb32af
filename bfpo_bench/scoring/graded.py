"""Answers that a judge grades (1 to 10) or compares with another model's (preferences of 1 to 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.runs.records import Label, ResponseKey
from bfpo_bench.scoring.intervals import rate_or_mean
from bfpo_bench.scoring.length_controlled import length_controlled
from bfpo_bench.scoring.outcomes import Judged
from bfpo_bench.scoring.said import LABELS, Said
from bfpo_bench.scoring.scores import LengthControlledRate, OutcomeCounts, TaskScore
from bfpo_bench.scoring.tasks import fields_of
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class _Scale:
    """The judge's numbers, from worst to best, and what their mean is called."""

    labels: tuple[str, ...]
    worst: float
    best: float
    metric: str
    raw_metric: str


SCALES = {
    "preference": _Scale(("better", "worse", "draw"), 1, 2, "win rate", "win rate"),
    "rating": _Scale(("rated",), 1, 10, "(grade - 1) / 9", "mean grade"),
}
"""Kinds of judges that give numbers."""


def grade(kind: str, label: Label, score: float) -> Judged:
    """What an answer earns: 0 points for the worst number of the scale, 100 for the best.

    A degenerate answer earns 0, as the worst would. A number outside the scale is no verdict, and NaN
    is none.
    """
    scale = SCALES[kind]
    if label == "degenerate":
        return Judged("degenerate")
    if label not in scale.labels or not scale.worst <= score <= scale.best:
        return Judged("unjudged")
    share = (score - scale.worst) / (scale.best - scale.worst)
    return Judged("answered", grade=100 * share)


@dataclass(frozen=True)
class Lengths:
    """Characters of a task's answers and of those that they are compared with."""

    model: dict[ResponseKey, int]
    baseline: dict[ResponseKey, int]


def graded_score(
    spec: TaskSpec,
    kind: str,
    said: Said,
    keys: Sequence[ResponseKey],
    lengths: Lengths | None,
) -> TaskScore:
    """The mean of the points, with a bootstrap interval; beside a win rate the length-controlled one.

    `raw_value` is the mean in the judge's own unit: percent of wins, or a grade of 1 to 10.
    """
    scale = SCALES[kind]
    counts: Counter[str] = Counter()
    earned: list[float | None] = []
    for code, score in zip(said.codes, said.scores or (), strict=True):
        one = grade(kind, LABELS[code], score)
        counts[one.outcome] += 1
        earned.append(one.points)
    points = [p for p in earned if p is not None]
    n, scored = len(keys), len(points)
    fields: dict[str, Any] = {
        **fields_of(spec),
        "metric": scale.metric,
        "raw_metric": scale.raw_metric,
        "raw_higher_is_better": True,
        "n": n,
        "n_scored": scored,
        "outcomes": OutcomeCounts(**counts),
        "bound_low": sum(points) / n if n else None,
        "bound_high": (sum(points) + 100 * (n - scored)) / n if n else None,
    }
    if not scored or (counts["unjudged"] and not counts["answered"]):
        # What the rules for degenerate answers say alone is no measure of the others
        return TaskScore(**fields, unscored="no answer could be judged, see its verdicts")
    mean = rate_or_mean([p / 100 for p in points], f"{spec.name}/{scale.metric}")
    raw = 100 * mean.value
    if kind == "rating":
        raw = scale.worst + mean.value * (scale.best - scale.worst)
    return TaskScore(
        **fields,
        raw_value=raw,
        value=100 * mean.value,
        ci_low=100 * mean.low,
        ci_high=100 * mean.high,
        length_controlled=_length_controlled(dict(zip(keys, earned, strict=True)), lengths)
        if kind == "preference"
        else None,
    )


def _length_controlled(
    earned: Mapping[ResponseKey, float | None], lengths: Lengths | None
) -> LengthControlledRate:
    """By the minimal form: the published one is tied to AlpacaEval's annotator."""
    scored = {key: points for key, points in earned.items() if points is not None}
    if lengths is None or any(k not in lengths.baseline for k in scored):
        return LengthControlledRate(method="not computed: the lengths of the answers are not known")
    found = length_controlled(
        [1 + points / 100 for points in scored.values()],
        [lengths.model[k] for k in scored],
        [lengths.baseline[k] for k in scored],
    )
    return LengthControlledRate(
        value=found.value, ci_low=found.low, ci_high=found.high, method=found.method
    )
