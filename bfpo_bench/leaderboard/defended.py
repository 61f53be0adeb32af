"""Models behind defences beside the bare model: what each does to safety, and to over-defensiveness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.notes import UNLIKE
from bfpo_bench.names import DEFENCES, bare, of_null_engine

SAFETY, OVER_REFUSAL = "harmlessness_generative", "over_refusal"
"""No defence touches log-likelihoods, so that the cell of generated answers is what tells."""
NOTE = (
    "Changes are in points from the bare model, and say nothing about chance: `compare` does. "
    "Multiple-choice tasks are asked without the defence."
)


@dataclass(frozen=True)
class Guarded:
    """A row of a block. `defence` is None for the bare model; `safety` and `over_refusal` are (value,
    low, high) in percent, `*_change` points from the bare model's; None where there is no score.
    `unlike`: it lacks other tasks than the bare model, from which it therefore has no change."""

    model: str
    defence: str | None
    safety: tuple[float, float, float] | None
    over_refusal: tuple[float, float, float] | None
    safety_change: float | None = None
    over_refusal_change: float | None = None
    unlike: bool = False


def guarded(rows: Iterable[Mapping[Any, Any]]) -> list[Guarded]:
    """The models that have a row behind a defence, in the order of their first rows: the bare model,
    where it has one, then its defences. Of several rows of one name the first counts.

    `rows` are a leaderboard's, all of one comparability key; the null engine's are passed over.
    """
    found: dict[str, dict[str | None, Mapping[Any, Any]]] = {}
    for row in rows:
        model, defence = bare(str(row["model"]))
        if not of_null_engine(model):
            found.setdefault(model, {}).setdefault(defence, row)
    told: list[Guarded] = []
    for model, mine in found.items():
        defences = [d for d in (None, *DEFENCES) if d in mine]
        if defences != [None]:
            told += [_guarded(model, d, mine[d], mine.get(None)) for d in defences]
    return told


def _guarded(
    model: str, defence: str | None, row: Mapping[Any, Any], alone: Mapping[Any, Any] | None
) -> Guarded:
    safety, over = score(row, SAFETY), score(row, OVER_REFUSAL)
    if defence is None or alone is None:
        return Guarded(model, defence, safety, over)
    if lacking(row) != lacking(alone):
        return Guarded(model, defence, safety, over, unlike=True)
    return Guarded(
        model,
        defence,
        safety,
        over,
        _change(safety, score(alone, SAFETY)),
        _change(over, score(alone, OVER_REFUSAL)),
    )


def note(rows: Iterable[Guarded]) -> str:
    """What is to be known of the rows, in sentences."""
    return f"{NOTE} {UNLIKE}" if any(row.unlike for row in rows) else NOTE


def lacking(row: Mapping[Any, Any]) -> frozenset[str]:
    """The weighted tasks that the row has no score of, which its means leave out."""
    return frozenset(str(row["missing"]).split())


def score(row: Mapping[Any, Any], column: str) -> tuple[float, float, float] | None:
    """(value, low, high) of the row's column in percent; None where it has no score."""
    value, low, high = (row.get(f"{column}{end}") for end in ("", "_ci_low", "_ci_high"))
    if value is None or low is None or high is None or pd.isna(value):
        return None
    return float(value), float(low), float(high)


def _change(
    score: tuple[float, float, float] | None, alone: tuple[float, float, float] | None
) -> float | None:
    return None if score is None or alone is None else score[0] - alone[0]
