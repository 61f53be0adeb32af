"""What the report's page shows, as data: typed, frozen, and free of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bfpo_bench.leaderboard.compare.result import Comparison
from bfpo_bench.leaderboard.defended import Guarded
from bfpo_bench.leaderboard.levelled import Cell as LevelCell
from bfpo_bench.scoring.finished import FinishedRun

if TYPE_CHECKING:
    from bfpo_bench.leaderboard.report.index import ResponsesData
    from bfpo_bench.leaderboard.report.tasks import Cell


@dataclass(frozen=True)
class Interval:
    """A score in percent with its 95 % interval; all three None where there is no score."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def above(self, other: Interval) -> bool:
        """Whether the whole interval lies above the whole of the other's."""
        return self.low is not None and other.high is not None and self.low > other.high


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard. `label` is the model's name, with the run's id where several share it.

    `anchor` is the row's id in the page, `run_id` None for a row that is known from a CSV alone.
    `judge_spread`: harmlessness by each judge of a panel alone, the least and the greatest.
    """

    anchor: str
    label: str
    model: str
    run_id: str | None
    rank: int | None
    scores: Mapping[str, Interval]
    judge_spread: tuple[float, float] | None
    base: str
    training: str
    engine: str
    date: str
    judges: Sequence[str]
    missing: Sequence[str]


@dataclass(frozen=True)
class BlockView:
    """Rows that may be ranked together. `frame` has their columns, with labels in place of models.

    `part` says what is partial, empty where that is not known.
    `apart` says why they are not ranked with the page's first block, a clause each. `embedded` names
    the judges among theirs that are small models of ours, `missing` the tasks that a row lacks.
    `null`: a row is the null engine's, which measures nothing. `defended`: models behind defences
    beside the bare ones; `levelled`: models asked for levels.
    """

    anchor: str
    suite: str
    key: str
    partial: bool
    part: str
    apart: Sequence[str]
    rows: Sequence[Row]
    frame: pd.DataFrame
    judges: Sequence[str]
    embedded: Sequence[str]
    missing: Sequence[str]
    null: bool
    defended: Sequence[Guarded] = ()
    levelled: Sequence[LevelCell] = ()


@dataclass(frozen=True)
class Chart:
    """Vega-Lite specifications in both themes. `summary` says in words what is to be seen in it.

    `narrow` holds both for a phone; where it is empty, the page makes the plots narrower itself.
    """

    name: str
    summary: str
    light: Mapping[str, Any]
    dark: Mapping[str, Any]
    narrow: Mapping[str, Any]


@dataclass(frozen=True)
class Curve:
    """Scores of tasks that are alike but for the number of tokens that answers were started with.

    `measure`: what the scores are percentages of. `tokens`: the numbers, the least first. `rows`: a
    model's label -> number of tokens -> its score.
    """

    name: str
    measure: str
    caption: str
    tokens: Sequence[int]
    rows: Mapping[str, Mapping[int, Interval]]
    chart: Chart


@dataclass(frozen=True)
class Standing:
    """A block with what the page says and draws of it. `levels` are those that models were asked for;
    `undrawn`: who lacks a score and has no point."""

    block: BlockView
    headline: Sequence[str]
    plane: Chart | None
    cells: Chart | None
    curves: Sequence[Curve]
    undrawn: Sequence[str]
    levels: Chart | None = None


@dataclass(frozen=True)
class Facts:
    """A heading with what is known under it: (name, value) pairs."""

    title: str
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class RunView:
    """A run with the label and the anchor of its row, its charts, and how its numbers came about.

    `id` is the run's among the page's runs (`rows.run_ids`).
    """

    number: int
    id: str
    label: str
    row: str
    run: FinishedRun
    tasks: Chart | None
    outcomes: Chart | None
    provenance: Sequence[Facts]


@dataclass(frozen=True)
class ComparisonView:
    """A comparison of `b` with its baseline `a`, by the labels of their rows; `refused` says why there
    is none."""

    anchor: str
    a: str
    b: str
    comparison: Comparison | None
    refused: str | None = None


@dataclass(frozen=True)
class Page:
    """The whole page. `notes` say what is not in it; `csv` is its table as a leaderboard.

    `responses` is what `write_responses` gave, None where no run is on the page.
    """

    title: str
    standings: Sequence[Standing]
    runs: Sequence[RunView]
    cells: Sequence[Cell]
    comparisons: Sequence[ComparisonView]
    notes: Sequence[str]
    csv: str
    responses: ResponsesData | None
