"""One run's scores as a leaderboard row, and the CSV that keeps rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Hashable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.runs.jsonl import remove_drafts, write_atomically
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.scoring.aggregate import CELLS
from bfpo_bench.scoring.panels import judge_spread
from bfpo_bench.scoring.scores import Score, Scores, TaskScore

TEXT = (
    "model",
    "suite",
    "partial",
    "comparability_key",
    "engine",
    "judges",
    "date",
    "base",
    "training",
    "missing",
)
_LATER = ("base", "training")
"""Columns that a leaderboard of an earlier version may lack."""
IDENTITY = ("model", "suite", "partial", "comparability_key")
_FORMULA = re.compile(r"(^|[,;])([\s\"]*[=+\-@＝＋－＠])")
CELL_COLUMNS = {cell: cell.replace("/", "_") for cell in CELLS}
AGGREGATES = ("helpfulness", "harmlessness", *CELL_COLUMNS.values(), "over_refusal")


_SCORES = tuple(f"{a}{end}" for a in AGGREGATES for end in ("", "_ci_low", "_ci_high"))
_ENDS = ("", "_ci_low", "_ci_high", "_judge_low", "_judge_high", "_length_controlled")


def row(
    scores: Scores, engine: str, date: str, training: TrainingManifest | None
) -> dict[str, Any]:
    """The row's columns in order: text, aggregates, then every task, each score with its interval.

    `suite` reads name@version; `base` and `training` are empty for a model that tells nothing of
    its training; `missing` lists weighted tasks that have no score. `harmlessness_judge_low` and
    `_high` are the least and the greatest harmlessness by one judge of a panel alone, empty where one
    judge decided; `<task>_length_controlled` stands beside a win rate.
    """
    found: dict[str, Any] = {
        "model": scores.model,
        "suite": f"{scores.suite}@{scores.suite_version}",
        "partial": scores.partial,
        "comparability_key": scores.comparability_key,
        "engine": engine,
        "judges": " ".join(scores.judges),
        "date": date,
        "base": training.base_name if training else "",
        "training": training.describe() if training else "",
        "missing": " ".join(scores.missing),
    }
    columns: Mapping[str, Score] = {
        "helpfulness": scores.helpfulness,
        "harmlessness": scores.harmlessness,
        **{column: scores.cells[cell] for cell, column in CELL_COLUMNS.items()},
        "over_refusal": scores.over_refusal,
        **scores.tasks,
    }
    for name, score in columns.items():
        found[name] = score.value
        found[f"{name}_ci_low"] = score.ci_low
        found[f"{name}_ci_high"] = score.ci_high
        if name == "harmlessness":
            low, high = judge_spread(scores.panels) or (None, None)
            found |= {"harmlessness_judge_low": low, "harmlessness_judge_high": high}
        if isinstance(score, TaskScore) and score.length_controlled is not None:
            found[f"{name}_length_controlled"] = score.length_controlled.value
    return found


def check_columns(tasks: Iterable[str]) -> None:
    """Raises UserError for a task whose name gives it a column that has another meaning."""
    taken = {f"{column}{end}" for column in (*TEXT, "rank", *AGGREGATES) for end in _ENDS}
    for task in tasks:
        mine = {f"{task}{end}" for end in _ENDS}
        if clash := sorted(mine & taken):
            raise UserError(
                f"Task {task} cannot have a row: the leaderboard's column {clash[0]} is taken "
                "already: rename the task."
            )
        taken |= mine


def neutral(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula, and that stays on one line.

    Characters that cannot be seen become a space. A formula may also begin after a comma or a
    semicolon, where a spreadsheet takes the one or the other for the end of a cell.
    """
    runs = groupby(text, str.isprintable)
    flat = "".join("".join(run) if seen else " " for seen, run in runs)
    return _FORMULA.sub(r"\1'\2", flat)


def read_leaderboard(path: Path) -> pd.DataFrame:
    """The CSV as a table; empty where there is no file.

    Text columns that earlier versions did not write are there, and empty. Texts are neutral, whoever
    wrote the file. Raises UserError for a file that is not a leaderboard.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(TEXT))
    try:
        _check_widths(path)
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if odd := [c for c in table.columns if neutral(c) != c]:
            raise ValueError(f"it has a column {odd[0][:40]!r}")
        lacking = [c for c in (*TEXT, *_SCORES) if c not in table.columns]
        if others := [c for c in lacking if c not in _LATER]:
            raise ValueError(f"it has no column {others[0]}")
        for column in lacking:
            table.insert(list(table.columns).index("missing"), column, "")
        table["partial"] = table["partial"].str.lower() == "true"
        for column in (c for c in TEXT if c != "partial"):
            table[column] = table[column].map(neutral)
        scores = [c for c in table.columns if c not in TEXT]
        numbers = table[scores].replace("", None).apply(pd.to_numeric)
        table = pd.concat([table[list(TEXT)], numbers], axis=1)[table.columns]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is not a leaderboard ({first_line(error)}): give another file."
        ) from error
    return table


def _check_widths(path: Path) -> None:
    """Raises ValueError for a row with another number of cells than the heading: pandas fills a cut row
    with empty cells, and written back it would have lost its scores."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        heading = next(rows, [])
        for row in rows:
            if row and len(row) != len(heading):
                raise ValueError(
                    f"line {rows.line_num} has {len(row)} cells and its heading {len(heading)}"
                )


def upsert(table: pd.DataFrame, new: Mapping[str, Any]) -> pd.DataFrame:
    """The table with `new` in place of the row of the same identity, else at its end.

    A partial row never replaces a full one. A full one replaces the partial row that a fault left
    behind under the same key.
    """
    cells: dict[Hashable, Any] = {
        k: neutral(v) if isinstance(v, str) else v for k, v in new.items()
    }
    same = pd.Series(True, index=table.index)
    for column in ("model", "suite", "comparability_key"):
        same &= table[column] == cells[column]
    if cells["partial"]:
        same &= table["partial"]
    columns = [*table.columns, *(c for c in cells if c not in table.columns)]
    kept = [r for r, drop in zip(table.to_dict("records"), same, strict=True) if not drop]
    position = int(same.to_numpy().argmax()) if same.any() else len(kept)
    kept.insert(position, cells)
    return pd.DataFrame(kept, columns=columns)


def add_row(path: Path, new: Mapping[str, Any]) -> None:
    """Put the row into the CSV: read, changed and replaced under a lock, so that no writer is lost."""
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=60):
            remove_drafts(path)
            write_atomically(path, to_csv(upsert(read_leaderboard(path), new)))
    except OSError as error:
        raise UserError(
            f"The leaderboard {path} cannot be written ({error.strerror or error}): give another --leaderboard; "
            "the scores are in the run's folder and the same command adds the row."
        ) from error


def to_csv(table: pd.DataFrame) -> str:
    """Scores with four decimals, text as it is."""
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.4f", lineterminator="\n")
    return text.getvalue()
