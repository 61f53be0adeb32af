"""One run's scores as a leaderboard row, and the CSV that keeps rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Hashable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.leaderboard.columns import CELL_COLUMNS, LATER, TEXT
from bfpo_bench.leaderboard.lock import locked
from bfpo_bench.leaderboard.schema import BadCell, check_heading, check_rows
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.scoring.panels import judge_spread
from bfpo_bench.scoring.scores import Score, Scores, TaskScore

_FORMULA = re.compile(r"(^|[,;])([\s\"]*[=+\-@＝＋－＠])")


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
    wrote the file. Raises UserError for a file that is not a leaderboard, and for a row that holds
    what `schema.Row` does not allow, which names line and column.
    """
    if not path.exists():
        return pd.DataFrame(columns=list(TEXT))
    try:
        heading, cells, lines = _read_cells(path)
        if odd := [c for c in heading if neutral(c) != c]:
            raise ValueError(f"it has a column {odd[0][:40]!r}")
        check_heading(heading)
        found = check_rows(heading, cells, lines)
    except BadCell as error:
        raise UserError(
            f"{path} has a row that cannot be ({error}): correct it, or delete that line and add the "
            "row again with `bfpo-bench leaderboard add RUN`."
        ) from error
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is not a leaderboard ({first_line(error)}): give another file."
        ) from error
    lacking = [c for c in LATER if c not in heading]
    columns = [c for name in heading for c in ((*lacking, name) if name == "missing" else (name,))]
    kinds = {c: bool if c == "partial" else str if c in TEXT else float for c in columns}
    # Cast column by column it is in many pieces, of which pandas warns
    return pd.DataFrame(found, columns=columns).astype(kinds).copy()


def _read_cells(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """The heading, the rows with neutral texts, and each row's last line in the file. Raises ValueError
    for a row with another number of cells than the heading: cut short, it would lose its scores."""
    rows, lines = [], []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        heading = next(reader, None)
        if heading is None:
            raise ValueError("it is empty")
        for row in reader:
            if row and len(row) != len(heading):
                raise ValueError(
                    f"line {reader.line_num} has {len(row)} cells and its heading {len(heading)}"
                )
            if row:
                rows.append(
                    [neutral(v) if c in TEXT else v for c, v in zip(heading, row, strict=True)]
                )
                lines.append(reader.line_num)
    return heading, rows, lines


def upsert(table: pd.DataFrame, new: Mapping[str, Any]) -> pd.DataFrame:
    """The table with `new` in place of the row of the same identity, else at its end.

    A partial row never replaces a full one. A full one replaces the partial row that a fault left
    behind under the same key. A row that says again what stood there keeps its date.
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
    rows = table.to_dict("records")
    kept = [r for r, drop in zip(rows, same, strict=True) if not drop]
    position = int(same.to_numpy().argmax()) if same.any() else len(kept)
    if same.any() and _undated(rows[position], columns) == _undated(cells, columns):
        cells["date"] = rows[position]["date"]
    kept.insert(position, cells)
    return pd.DataFrame(kept, columns=columns)


def _undated(cells: Mapping[Hashable, Any], columns: list[str]) -> str:
    return to_csv(pd.DataFrame([cells], columns=columns).drop(columns="date"))


def add_row(path: Path, new: Mapping[str, Any]) -> None:
    """Put the row into the CSV: read, changed and replaced under a lock, so that no writer is lost."""
    try:
        with locked(path):
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
