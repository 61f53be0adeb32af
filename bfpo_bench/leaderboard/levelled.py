"""Models asked for levels of helpfulness and safety: what comes out at each pair of levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bfpo_bench.leaderboard.defended import lacking, score
from bfpo_bench.leaderboard.notes import UNLIKE
from bfpo_bench.levels import Levels, without_levels
from bfpo_bench.names import of_null_engine

HELPFUL, HARMLESS = "helpfulness_generative", "harmlessness_generative"
"""Log-likelihoods are asked without levels, so that the cells of generated answers are what tells."""
NOTE = (
    "Scores are of generated answers alone: multiple-choice tasks are asked without levels. Levels are "
    "what was asked for, and mean what the training's judges or labels meant by them."
)


@dataclass(frozen=True)
class Cell:
    """A row of a block. Scores are (value, low, high) in percent, None where there is none. `missing`:
    the weighted tasks that they leave out."""

    model: str
    levels: Levels
    helpful: tuple[float, float, float] | None
    harmless: tuple[float, float, float] | None
    missing: frozenset[str] = frozenset()


def level_cells(rows: Iterable[Mapping[Any, Any]]) -> list[Cell]:
    """Model by model in the order of their first rows, each by levels from the least. Of several rows
    of one name the first counts.

    `rows` are a leaderboard's, all of one comparability key; the null engine's are passed over.
    """
    found: dict[str, dict[Levels, Mapping[Any, Any]]] = {}
    for row in rows:
        model, levels = without_levels(str(row["model"]))
        if levels is not None and not of_null_engine(model):
            found.setdefault(model, {}).setdefault(levels, row)
    return [
        Cell(model, levels, score(row, HELPFUL), score(row, HARMLESS), lacking(row))
        for model, mine in found.items()
        for levels, row in sorted(mine.items(), key=lambda one: one[0])
    ]


def alike(cells: Iterable[Cell]) -> bool:
    """Whether their means are over the same tasks."""
    return len({cell.missing for cell in cells}) < 2


def note(cells: Sequence[Cell]) -> str:
    """What is to be known of the cells, in sentences."""
    told = all(alike(mine) for _, mine in groupby(cells, lambda cell: cell.model))
    return NOTE if told else f"{NOTE} {UNLIKE}"
