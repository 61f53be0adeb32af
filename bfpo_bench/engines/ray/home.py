"""The folder of a Ray of our own, for its sockets and logs, and what killed processes left of theirs."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

_PREFIX = "bfpo-ray-"
_LOCK = "lock"
PLACE = Path("/tmp")
"""Short, since names of sockets are."""


@dataclass(frozen=True)
class Home:
    """The lock in it is held as long as its process lives, whoever else can see the folder: process ids
    mean nothing in another container that shares this disk."""

    folder: Path
    lock: BaseFileLock

    @classmethod
    def make(cls, place: Path = PLACE) -> Home:
        from filelock import FileLock

        # Under another name until it is locked: nobody may take it for one that was left
        draft = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=place))
        lock = FileLock(draft / _LOCK)
        lock.acquire(timeout=0)
        return cls(draft.rename(place / draft.name.removeprefix(".")), lock)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()


def clear_left(place: Path = PLACE) -> None:
    """Remove the folders of processes that were killed before they could."""
    from filelock import FileLock, Timeout

    for folder in place.glob(f"{_PREFIX}*"):
        try:
            if not (folder / _LOCK).is_file():
                continue
            lock = FileLock(folder / _LOCK)
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            # In use, or somebody else's
            continue
        Home(folder, lock).remove()
