"""Findings of judges, remembered on this machine: nothing is judged twice, across runs and models."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding

_TABLE = """
CREATE TABLE IF NOT EXISTS findings (
    judge TEXT NOT NULL, item TEXT NOT NULL, finding TEXT NOT NULL, PRIMARY KEY (judge, item)
) WITHOUT ROWID
"""
_AT_ONCE = 500
"""Items asked for in one query; SQLite takes no more variables than 999 everywhere."""


class FindingCache:
    """`judge` is the hash of all that its findings depend on, an item's hash of all that it is shown.

    Prompts and responses are not in the file, what the judge wrote is. Many processes may use it at
    once, and a killed one loses nothing that `add` has returned for.
    """

    def __init__(self, connection: sqlite3.Connection, judge: str) -> None:
        self._connection = connection
        self._judge = judge

    def known(self, items: Iterable[str]) -> dict[str, Finding]:
        """Item hash -> finding, for those that are remembered."""
        wanted, found = list(items), {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            query = f"SELECT item, finding FROM findings WHERE judge = ? AND item IN ({','.join('?' * len(part))})"
            for item, told in self._connection.execute(query, [self._judge, *part]):
                found[item] = Finding(**json.loads(told))
        return found

    def add(self, item: str, finding: Finding) -> None:
        """Remember a finding, unless the world's fault made it."""
        if finding.fault:
            return
        told = {k: v for k, v in vars(finding).items() if k != "fault" and v is not None}
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO findings VALUES (?, ?, ?)",
                (self._judge, item, json.dumps(told)),
            )


@contextmanager
def open_cache(path: Path, judge: str) -> Iterator[FindingCache]:
    """The cache in the file `path`. Raises UserError where it cannot be read or written, be it only
    when it is used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_TABLE)
            yield FindingCache(connection, judge)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"The cache of verdicts {path} cannot be used ({error}): free some space where the disk is "
        "full, else delete it, or set BFPO_BENCH_CACHE to a folder that can be written."
    )
