"""Families, cells, helpfulness, harmlessness and over-refusal of two runs, where both are means of
the same tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bfpo_bench.leaderboard.compare.pairing import Pairing
from bfpo_bench.leaderboard.compare.result import OVER_REFUSAL, Kind
from bfpo_bench.scoring.aggregate import CELLS
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.paired import Paired, mean_difference, paired
from bfpo_bench.scoring.paired_draws import Pairs
from bfpo_bench.suite.suites import DIMENSIONS


@dataclass(frozen=True)
class Reason:
    """Why a mean is not compared. `follows`: because a task or a part of it is not."""

    said: str
    follows: bool


@dataclass(frozen=True)
class Means:
    """`found`: name -> its difference, with its kind; `unscored`: name -> why there is none, and
    `following` those where that follows from their parts."""

    found: dict[str, tuple[Kind, Paired]] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    following: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        kind: Kind,
        weights: tuple[Mapping[str, float], Mapping[str, float]],
        parts: Mapping[str, Paired],
    ) -> None:
        """The mean of `parts` by `weights`, which either run has of its own."""
        reason = _why_no_mean(*weights, parts)
        if reason is None:
            mine = {part: parts[part] for part in weights[0]}
            self.found[name] = (kind, mean_difference(mine, weights[0]))
        else:
            self.leave_out(name, reason)

    def leave_out(self, name: str, reason: Reason) -> None:
        self.unscored[name] = reason.said
        if reason.follows:
            self.following.append(name)

    def of(self, kind: Kind) -> dict[str, Paired]:
        return {name: one for name, (found, one) in self.found.items() if found == kind}


def _why_no_mean(
    a: Mapping[str, float], b: Mapping[str, float], parts: Mapping[str, Paired]
) -> Reason | None:
    if not a or not b:
        where = "either run" if not a and not b else "A" if not a else "B"
        return Reason(f"not scored in {where}", follows=True)
    if only := sorted({*a} ^ {*b}):
        where = "A" if only[0] in a else "B"
        return Reason(f"{_and_more(only)} counts in {where} alone", follows=True)
    if differ := [part for part in a if a[part] != b[part]]:
        weights = f"{a[differ[0]]:g} in A and {b[differ[0]]:g} in B"
        return Reason(f"{_and_more(differ)} weighs {weights}", follows=False)
    if lacking := [part for part in a if part not in parts]:
        return Reason(f"{_and_more(lacking)} is not compared", follows=True)
    return None if sum(a.values()) else Reason("no part of it has a weight", follows=False)


def _and_more(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def means(a: FinishedRun, b: FinishedRun, tasks: Mapping[str, Paired]) -> Means:
    """All means of the tasks as `scoring.collect` forms them, a family's name being 'cell/family'."""
    found = Means()
    runs = (a, b)
    members = [_members(run) for run in runs]
    for family in _either(members):
        sides = [dict.fromkeys(side.get(family, ()), 1.0) for side in members]
        found.add(family, "family", (sides[0], sides[1]), tasks)
    for cell in CELLS:
        sides = [_families(run, cell, side) for run, side in zip(runs, members, strict=True)]
        if any(sides):
            found.add(cell, "cell", (sides[0], sides[1]), found.of("family"))
    for name in DIMENSIONS:
        sides = [_cells(run, name) for run in runs]
        found.add(name, "aggregate", (sides[0], sides[1]), found.of("cell"))
    return found


def _either(sides: Sequence[Mapping[str, object]]) -> Iterable[str]:
    return {**sides[0], **sides[1]}


def _members(run: FinishedRun) -> dict[str, list[str]]:
    """Family -> its weighted tasks that have a value."""
    found: dict[str, list[str]] = {}
    for name, task in run.scores.tasks.items():
        if task.weighted and task.value is not None:
            found.setdefault(f"{task.cell}/{task.family}", []).append(name)
    return found


def _families(
    run: FinishedRun, cell: str, members: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    weights = run.manifest.settings.weights
    names = [family for family in members if family.startswith(f"{cell}/")]
    return {name: weights.get(name.removeprefix(f"{cell}/"), 1.0) for name in names}


def _cells(run: FinishedRun, dimension: str) -> dict[str, float]:
    """Its cells, each of weight 1; none where the run has no such score."""
    if getattr(run.scores, dimension).value is None:
        return {}
    default = {name: list(cells) for name, cells in DIMENSIONS.items()}
    cells = (default | run.manifest.settings.dimensions)[dimension]
    return dict.fromkeys(cells, 1.0)


def over_refusal(a: FinishedRun, b: FinishedRun, pairing: Pairing) -> Paired | Reason:
    """Percent of benign prompts refused, of all tasks that judges of refusals alone score; or why
    that is not compared."""
    counted = [
        [name for name, task in run.scores.tasks.items() if task.raw_metric == "compliance rate"]
        for run in (a, b)
    ]
    sides = [dict.fromkeys(names, 1.0) for names in counted]
    if reason := _why_no_mean(sides[0], sides[1], dict.fromkeys(pairing.tasks)):  # type: ignore[arg-type]
        return reason
    if not all(_adds_up(run, names) for run, names in zip((a, b), counted, strict=True)):
        told = "the tasks that it counts cannot be told from the scores of their outcomes"
        return Reason(told, follows=False)
    frames = [pairing.tasks[name].rows for name in counted[0]]
    refused = [
        np.concatenate(
            [_refused(rows[f"outcome_{side}"].astype(object).to_numpy()) for rows in frames]
        )
        for side in "ab"
    ]
    # A document's samples belong together, and equal numbers in two tasks are two documents
    starts = np.cumsum([0, *(int(rows["doc_id"].max()) + 1 for rows in frames)])
    documents = [
        rows["doc_id"].to_numpy() + at for rows, at in zip(frames, starts[:-1], strict=True)
    ]
    pairs = Pairs(OVER_REFUSAL, "points", np.concatenate(documents), refused[0], refused[1], "", "")
    return paired([pairs])[OVER_REFUSAL]


def _adds_up(run: FinishedRun, names: Sequence[str]) -> bool:
    """Whether the run's over-refusal is that of these tasks."""
    found = [o for name in names if (o := run.scores.tasks[name].outcomes) is not None]
    scored = sum(run.scores.tasks[name].n_scored for name in names)
    told = run.scores.over_refusal.value
    rate = 100 * sum(o.over_refused for o in found) / max(1, scored)
    return told is not None and abs(rate - told) < 1e-6


def _refused(outcomes: np.ndarray) -> np.ndarray:
    found = np.where(outcomes == "over_refused", 100.0, 0.0)
    found[outcomes == "unjudged"] = np.nan
    return found
