"""Texts that people have labelled, from a file of any column names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judges.label_values import (
    check_occur,
    given_labels,
    guessed_label,
    labels_of,
    value_text,
)
from bfpo_bench.nearest import nearest

Record = dict[str, Any]

PROMPT_COLUMNS = ("prompt", "question", "instruction", "goal", "behavior", "behaviour", "request")
RESPONSE_COLUMNS = ("response", "completion", "answer", "generation", "output")
LABEL_COLUMNS = ("label", "final_label", "human_label", "gold_label", "gold", "verdict")
JUDGED = {"label", "score", "raw", "error"}
"""What `bfpo-bench judge --output` adds to each line."""
KEPT_LABEL = "input_label"
"""What it makes of a label that was there."""


@dataclass(frozen=True)
class LabelledText:
    """One row: `label` is what people said of the response, in the judge's words.

    `number` counts the file's rows, or lines, from 1.
    """

    number: int
    prompt: str
    response: str | None
    label: str

    @property
    def group(self) -> str | int:
        """What it shares with rows that it is not independent of: the prompt, where it has one."""
        return self.prompt or self.number


@dataclass(frozen=True)
class Reading:
    """What the user said of a file: columns, `VALUE=LABEL` and `COLUMN=VALUE` pairs, how many rows."""

    prompt: str | None = None
    response: str | None = None
    label: str | None = None
    map: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Labelled:
    """The rows that count, and how they were read: columns by role, values of the label column with
    the label each stands for (None: left out), and how many rows have no label to go by."""

    rows: tuple[LabelledText, ...]
    columns: dict[str, str]
    labels: dict[str, str | None]
    left_out: int


def read_labelled(path: Path, labels: Sequence[str], reading: Reading = Reading()) -> Labelled:
    """The labelled texts of a .jsonl, .json (a list of records) or .parquet file, in its order.

    `labels` are the judge's. What `reading` leaves open is guessed from the names and values there.
    A null response is one: it is as empty as "". Rows whose label is missing are left out.

    Raises UserError for a file that cannot be read, for columns or labels that are not clear, and
    where no row is left.
    """
    rows = _records(path)
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    kept = _where(path, rows, columns, reading.where)
    roles = {
        "prompt": _text_column(reading.prompt, PROMPT_COLUMNS, columns, "prompt", path),
        "response": _text_column(reading.response, RESPONSE_COLUMNS, columns, "response", path),
        "label": _label_column(reading.label, columns, kept, labels, path),
    }
    column, given = roles["label"], given_labels(reading.map, labels)
    values = {n: text for n, row in rows if (text := value_text(row.get(column)))}
    check_occur(given, values.values(), column)
    words = labels_of((values[n] for n, _ in kept if n in values), column, labels, given)
    found, left_out = [], 0
    for number, row in kept:
        label = words.get(values.get(number, ""))
        if label is None:
            left_out += 1
            continue
        prompt, response = (
            _text(row, roles[role], number, path) for role in ("prompt", "response")
        )
        found.append(LabelledText(number, prompt or "", response, label))
        if len(found) == reading.limit:
            break
    if not found:
        raise UserError(
            f"{path} has no row left to judge ({left_out:,} without a label): change --where or --map."
        )
    return Labelled(tuple(found), roles, words, left_out)


def _records(path: Path) -> list[tuple[int, Record]]:
    readers = {".jsonl": _json_lines, ".json": _json_list, ".parquet": _parquet}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path} is none of {', '.join(readers)}: convert it, or rename it.")
    try:
        rows = read(path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as such.") from error
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise UserError(f"{path} cannot be read ({reason}): mend the path.") from error
    if not rows:
        raise UserError(f"{path} has no rows: name another file.")
    return rows


def _json_lines(path: Path) -> list[tuple[int, Record]]:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                rows.append((number, _record(line, f"{path}, line {number},")))
    return rows


def _record(line: str, place: str) -> Record:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} is not valid JSON: mend or delete it.") from error
    if not isinstance(row, dict):
        raise UserError(f"{place} is no JSON record in braces: mend or delete it.")
    return row


def _json_list(path: Path) -> list[tuple[int, Record]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({first_line(error)}): mend it, or name a file with a record "
            "a line .jsonl."
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(
            f"{path} is no list of JSON records: give one, or a record a line (.jsonl)."
        )
    return list(enumerate(rows, 1))


def _parquet(path: Path) -> list[tuple[int, Record]]:
    import pandas as pd

    try:
        rows = pd.read_parquet(path).to_dict("records")
    except ValueError as error:
        raise UserError(f"{path} is no parquet file ({first_line(error)}): mend it.") from error
    return [(number, {str(k): v for k, v in row.items()}) for number, row in enumerate(rows, 1)]


def _where(
    path: Path, rows: list[tuple[int, Record]], columns: Sequence[str], pairs: Sequence[str]
) -> list[tuple[int, Record]]:
    """The rows that have every COLUMN=VALUE."""
    for pair in pairs:
        column, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise UserError(f"--where {pair!r} is not COLUMN=VALUE: write for example model=GPT4.")
        _there(column, columns, "--where", path)
        rows = [(n, row) for n, row in rows if (value_text(row.get(column)) or "") == value]
        if not rows:
            raise UserError(f"{path} has no row with {pair}: change --where.")
    return rows


def _there(column: str, columns: Sequence[str], option: str, path: Path) -> str:
    if column not in columns:
        raise UserError(
            f"{path} has no column {column!r}{nearest(column, columns)}, which {option} names: it has "
            f"{', '.join(columns)}."
        )
    return column


def _text_column(
    asked: str | None, guesses: Sequence[str], columns: Sequence[str], what: str, path: Path
) -> str:
    if asked is not None:
        return _there(asked, columns, f"--{what}-column", path)
    lowered = {column.lower(): column for column in columns}
    for guess in guesses:
        if guess in lowered:
            return lowered[guess]
    raise UserError(
        f"{path} has no column that is surely the {what} (it has {', '.join(columns)}): name it with "
        f"--{what}-column."
    )


def _label_column(
    asked: str | None,
    columns: Sequence[str],
    rows: Sequence[tuple[int, Record]],
    labels: Sequence[str],
    path: Path,
) -> str:
    """A column of a usual name, else the only one whose values all stand for labels."""
    if asked is not None:
        return _there(asked, columns, "--label-column", path)
    lowered = {column.lower(): column for column in columns}
    usual = [lowered[name] for name in LABEL_COLUMNS if name in lowered]
    if lowered.keys() >= JUDGED:
        # `bfpo-bench judge` wrote them: this `label` is a judge's, and not what people say
        usual = [column for column in usual if column.lower() != "label"]
        usual += [lowered[KEPT_LABEL]] if KEPT_LABEL in lowered else []
    if len(usual) == 1:
        return usual[0]
    if usual:
        raise UserError(
            f"{path} has several columns that could be the label ({', '.join(usual)}): name it with "
            "--label-column."
        )
    fitting = [column for column in columns if _fits(column, rows, labels)]
    if len(fitting) == 1:
        return fitting[0]
    reason = f"{' and '.join(fitting)} all could be" if fitting else f"it has {', '.join(columns)}"
    raise UserError(
        f"{path} has no column that is surely the label ({reason}): name it with --label-column."
    )


def _fits(column: str, rows: Sequence[tuple[int, Record]], labels: Sequence[str]) -> bool:
    values = {text for _, row in rows if (text := value_text(row.get(column)))}
    return bool(values) and all(guessed_label(v, column, labels) for v in values)


def _text(row: Record, column: str, number: int, path: Path) -> str | None:
    cell = row.get(column)
    if cell is None or isinstance(cell, str):
        return cell
    if value_text(cell) is None:
        return None
    raise UserError(
        f"{path}, row {number}: column {column!r} holds {type(cell).__name__}, not text: name a "
        "column of texts."
    )
