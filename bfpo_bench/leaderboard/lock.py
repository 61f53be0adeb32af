"""One writer at a time for a leaderboard and the file of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bfpo_bench.runs.jsonl import remove_drafts


@contextmanager
def locked(leaderboard: Path) -> Iterator[None]:
    """Waits up to a minute for other writers, then removes what killed ones have left. OSError where
    the folder cannot be written. Not to be taken twice by one process."""
    from filelock import FileLock

    leaderboard.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(leaderboard.with_name(f".{leaderboard.name}.lock"), timeout=60):
        remove_drafts(leaderboard)
        yield
