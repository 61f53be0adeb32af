"""The report's rows: those of the runs, and those that a leaderboard holds besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.add import run_row
from bfpo_bench.leaderboard.columns import AGGREGATES, IDENTITY, TEXT
from bfpo_bench.leaderboard.defended import guarded
from bfpo_bench.leaderboard.keys import differences
from bfpo_bench.leaderboard.levelled import level_cells
from bfpo_bench.leaderboard.notes import partial_part
from bfpo_bench.leaderboard.report.model import BlockView, Interval, Row
from bfpo_bench.leaderboard.rows import neutral
from bfpo_bench.leaderboard.view import Block, blocks
from bfpo_bench.names import EMBEDDED_JUDGES, of_null_engine
from bfpo_bench.scoring.finished import FinishedRun

_RUN = "run_id"


def run_ids(runs: Sequence[FinishedRun]) -> list[str]:
    """What tells the runs apart: their ids, a second folder of the same id with a number behind it.

    The same command on another machine gives a run of the same id, perhaps with other numbers.
    """
    seen: Counter[str] = Counter()
    found = []
    for run in runs:
        seen[run.run_id] += 1
        times = seen[run.run_id]
        found.append(f"{run.run_id}-{times}" if times > 1 else run.run_id)
    return found


def table(runs: Sequence[FinishedRun], stored: pd.DataFrame) -> pd.DataFrame:
    """A leaderboard with the column `run_id` besides: each run's row, made from its scores, then the
    rows of `stored` (`read_leaderboard`'s) that are none of these runs'. `run_id` is as `run_ids` has
    it, and empty where no run is behind a row."""
    mine = [
        {k: _cell(v) for k, v in run_row(run).items()} | {_RUN: id_}
        for run, id_ in zip(runs, run_ids(runs), strict=True)
    ]
    known = {tuple(cells[c] for c in IDENTITY) for cells in mine}
    others = [
        cells | {_RUN: ""}
        for cells in stored.to_dict("records")
        if tuple(cells[c] for c in IDENTITY) not in known
    ]
    rows: list[dict[Any, Any]] = [*mine, *others]
    columns = list(dict.fromkeys(column for cells in rows for column in cells))
    found = pd.DataFrame(rows, columns=columns or [*TEXT, *AGGREGATES, _RUN])
    scores = [c for c in found.columns if c not in (*TEXT, _RUN)]
    return found.astype({c: "float64" for c in scores}).copy()


def as_leaderboard(found: pd.DataFrame) -> pd.DataFrame:
    """`table`'s rows as a leaderboard can hold them: of several runs that would have one row, each
    has its run's id behind the model's name."""
    again = found.duplicated(list(IDENTITY), keep=False)
    labels = found["model"] + " (" + found[_RUN] + ")"
    return found.assign(model=found["model"].where(~again, labels)).drop(columns=_RUN)


def _cell(value: Any) -> Any:
    return neutral(value) if isinstance(value, str) else value


def block_views(found: pd.DataFrame, keys: Mapping[str, Mapping[str, Any]]) -> list[BlockView]:
    """The table's blocks; `keys` holds the parts of each comparability key that is known."""
    ordered = blocks(found) if len(found) else []
    shared = set(found.loc[found["model"].duplicated(), "model"]) if len(found) else set()
    views: list[BlockView] = []
    for number, block in enumerate(ordered, 1):
        frame = block.rows.assign(
            model=[_label(cells, shared) for cells in block.rows.to_dict("records")]
        ).reset_index(drop=True)
        rows = [
            _row(cells, block.rows.iloc[at]["model"], f"row-{number}-{at + 1}")
            for at, cells in enumerate(frame.to_dict("records"))
        ]
        judges = list(dict.fromkeys(j for r in rows for j in r.judges))
        views.append(
            BlockView(
                anchor=f"block-{number}",
                suite=block.suite,
                key=block.key,
                partial=block.partial,
                part=partial_part(keys.get(block.key, {}).get("settings")) if block.partial else "",
                apart=why_apart(ordered[0], block, keys) if number > 1 else (),
                rows=rows,
                frame=frame,
                judges=judges,
                embedded=[j for j in EMBEDDED_JUDGES if j in judges],
                missing=sorted({task for r in rows for task in r.missing}),
                null=any(of_null_engine(r.model) for r in rows),
                defended=guarded(block.rows.to_dict("records")),
                levelled=level_cells(block.rows.to_dict("records")),
            )
        )
    return views


def why_apart(first: Block, block: Block, keys: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why the block is not ranked with the first, a clause each."""
    if block.key == first.key:
        return ["these rows are partial: some of the suite is missing or was left out"]
    here, there = keys.get(block.key), keys.get(first.key)
    if here is None or there is None:
        return ["another comparability key, whose parts are not known here"]
    return differences(here, there)


def _label(cells: Mapping[Any, Any], shared: set[str]) -> str:
    model = str(cells["model"])
    if model not in shared:
        return model
    mark = cells[_RUN] or f"{cells['suite']} {cells['comparability_key']}"
    return f"{model} ({mark})"


def _row(cells: Mapping[Any, Any], model: str, anchor: str) -> Row:
    spread = (
        _number(cells.get("harmlessness_judge_low")),
        _number(cells.get("harmlessness_judge_high")),
    )
    return Row(
        anchor=anchor,
        label=str(cells["model"]),
        model=model,
        run_id=cells[_RUN] or None,
        rank=None if pd.isna(cells["rank"]) else int(cells["rank"]),
        scores={a: interval(cells, a) for a in AGGREGATES},
        judge_spread=None if spread[0] is None or spread[1] is None else (spread[0], spread[1]),
        base=cells["base"],
        training=cells["training"],
        engine=cells["engine"],
        date=str(cells["date"])[:10],
        judges=str(cells["judges"]).split(),
        missing=str(cells["missing"]).split(),
    )


def interval(cells: Mapping[Any, Any], column: str) -> Interval:
    """The score of a column with its interval; empty where the row has none."""
    return Interval(*(_number(cells.get(f"{column}{end}")) for end in ("", "_ci_low", "_ci_high")))


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
