"""A part of a run that one job of several asks: every n-th document of each task."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from bfpo_bench.errors import UserError

_MOST = 10_000


@dataclass(frozen=True)
class Shard:
    """The `number`-th of `count` parts, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def suffix(self) -> str:
        """What the name of its folder has after the run id."""
        return f".shard-{self.number}-of-{self.count}"

    def of(self, task: str, doc_ids: Sequence[int]) -> list[int]:
        """Its documents of a task. Each task begins with another shard, so that tasks with fewer
        documents than there are shards do not all fall to the first ones."""
        start = (self.number - 1 - zlib.crc32(task.encode())) % self.count
        return list(doc_ids[start :: self.count])


def read_shard(text: str) -> Shard:
    """`3/8`. Raises UserError for anything else."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if found is None:
        raise UserError(f"--shard {text!r} is not I/N: write for example 3/8, the third of eight.")
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count <= _MOST:
        raise UserError(
            f"--shard {text} is none: give I from 1 to N, and an N of at most {_MOST:,}."
        )
    return Shard(number, count)
