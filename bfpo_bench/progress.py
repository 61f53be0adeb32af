"""How long work tells of itself."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

ALOUD = "bfpo_bench.aloud"
"""The logger of what the user should read at once, from wherever inside a stage."""


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of `phase`; total 0 means that it is not known. `said` is a sentence for
    the user on the way."""

    phase: str
    done: int = 0
    total: int = 0
    said: str = ""


class Report(Protocol):
    def __call__(self, progress: Progress) -> None: ...


class Ui(Protocol):
    """How work speaks to whoever started it."""

    def note(self, text: str) -> None: ...

    def stage(self, title: str) -> AbstractContextManager[Report]: ...
