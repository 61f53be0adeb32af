"""Seals: what a finished stage left behind, so that the same command need not look at it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.jsonl import write_atomically


class Seals:
    """`seals.json` of a run: stage -> what it was to do, and the files that it read and wrote.

    A seal holds as long as the stage would be given the same thing to do and every file has the size
    and time that it had. A seal that does not hold, or a file of them that is damaged, costs the time
    of looking again and nothing else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, stage: str, job: Any, files: Sequence[Path]) -> bool:
        """Whether the stage has nothing left to do. `job` is JSON-like."""
        return self._read().get(stage) == _seal(job, files)

    def has(self, stage: str) -> bool:
        """Whether the stage once finished everything."""
        return stage in self._read()

    def set(self, stage: str, job: Any, files: Sequence[Path]) -> None:
        """Call it when the stage has finished everything, and its files are closed."""
        seals = self._read() | {stage: _seal(job, files)}
        write_atomically(self._path, json.dumps(seals, indent=2) + "\n")

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _seal(job: Any, files: Sequence[Path]) -> dict[str, Any]:
    return {"job": digest(job), "files": file_states(files)}


def file_states(files: Sequence[Path]) -> list[list[Any]]:
    """Name and state of each file: without its folder, so that a run may be moved."""
    return [[file.name, _state(file)] for file in files]


def _state(file: Path) -> list[int] | None:
    """Size and time of the last change in nanoseconds; None for a file that is not there."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]
