"""Leaderboards of several machines made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.columns import IDENTITY, TEXT
from bfpo_bench.leaderboard.keys import read_keys, write_keys
from bfpo_bench.leaderboard.lock import locked
from bfpo_bench.leaderboard.rows import read_leaderboard, to_csv
from bfpo_bench.runs.jsonl import write_atomically


@dataclass(frozen=True)
class Conflict:
    """Two rows of one identity with other numbers. `kept` and `dropped` name their files; `column` is
    the score that differs most, None for one that is missing; `columns` counts those that differ."""

    model: str
    suite: str
    key: str
    partial: bool
    kept: str
    dropped: str
    reason: str
    column: str
    value: float | None
    other: float | None
    columns: int


@dataclass(frozen=True)
class Merged:
    """`read` rows came from the files, `same` of them were there already with the same numbers, and
    `outdone` are models with a full row whose partial one of the same key is left out."""

    table: pd.DataFrame
    conflicts: tuple[Conflict, ...]
    read: int
    same: int
    outdone: tuple[str, ...]


@dataclass
class _Kept:
    row: dict[str, Any]
    file: str


def merge_tables(tables: Sequence[tuple[str, pd.DataFrame]]) -> Merged:
    """One table of (file, table)s: of rows of one identity the one with the latest date, and of one
    date that of the later file.

    A date without a time is that day's beginning. A full row puts out the partial one of the same
    model, suite and key, as it does where it is added. Rows keep the order of their first appearance.
    """
    kept: dict[tuple[Any, ...], _Kept] = {}
    conflicts: list[Conflict] = []
    same = 0
    columns = list(dict.fromkeys(c for _, table in tables for c in table.columns))
    for file, table in tables:
        for row in table.to_dict("records"):
            new = _Kept({str(k): v for k, v in row.items()}, file)
            identity = tuple(row[c] for c in IDENTITY)
            if identity not in kept:
                kept[identity] = new
                continue
            winner, loser, reason = _later(kept[identity], new)
            kept[identity] = winner
            conflict = _conflict(winner, loser, reason)
            same += conflict is None
            conflicts += [] if conflict is None else [conflict]
    outdone = [i for i in kept if i[2] and (*i[:2], False, *i[3:]) in kept]
    rows = [k.row for i, k in kept.items() if i not in outdone]
    return Merged(
        pd.DataFrame(rows, columns=columns),
        tuple(conflicts),
        sum(len(table) for _, table in tables),
        same,
        tuple(str(i[0]) for i in outdone),
    )


def merge_files(files: Sequence[Path], output: Path) -> Merged:
    """Merge the leaderboards `files`, and their files of keys, into `output`, in one step.

    Raises UserError for a file that does not exist or is no leaderboard, and for an `output` that
    exists and is none of them: its rows would be lost.
    """
    for file in files:
        if not file.is_file():
            raise UserError(f"There is no leaderboard {file}: give the CSVs that are to be merged.")
    if output.exists() and not any(output.samefile(f) for f in files):
        raise UserError(
            f"{output} exists already and is none of the files to merge: name it among them, or give "
            "another --output."
        )
    try:
        with locked(output):
            merged = merge_tables([(str(file), read_leaderboard(file)) for file in files])
            keys = {key: parts for file in files for key, parts in read_keys(file).items()}
            write_atomically(output, to_csv(merged.table))
            write_keys(output, keys)
    except OSError as error:
        raise UserError(
            f"{output} cannot be written ({error.strerror or error}): give another --output."
        ) from error
    return merged


def _later(before: _Kept, new: _Kept) -> tuple[_Kept, _Kept, str]:
    """Winner, loser, and why."""
    then, now = _moment(before.row["date"]), _moment(new.row["date"])
    if now == then:
        return new, before, f"both are of {new.row['date']}, and its file comes later"
    winner, loser = (new, before) if now > then else (before, new)
    return winner, loser, f"it is of {winner.row['date']}, the other of {loser.row['date']}"


def _moment(date: str) -> datetime:
    found = datetime.fromisoformat(date)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _conflict(kept: _Kept, dropped: _Kept, reason: str) -> Conflict | None:
    """None where the numbers are the same."""
    scores = [c for c in {**kept.row, **dropped.row} if c not in TEXT]
    pairs = {c: (_number(kept.row.get(c)), _number(dropped.row.get(c))) for c in scores}
    differing = {c: pair for c, pair in pairs.items() if pair[0] != pair[1]}
    if not differing:
        return None
    most = max(differing, key=lambda c: _distance(*differing[c]))
    return Conflict(
        model=kept.row["model"],
        suite=kept.row["suite"],
        key=kept.row["comparability_key"],
        partial=kept.row["partial"],
        kept=kept.file,
        dropped=dropped.file,
        reason=reason,
        column=most,
        value=differing[most][0],
        other=differing[most][1],
        columns=len(differing),
    )


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _distance(a: float | None, b: float | None) -> float:
    """A score that one of them lacks differs most."""
    return 101.0 if a is None or b is None else abs(a - b)
