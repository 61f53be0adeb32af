"""How long a stage may go without telling of progress."""

from __future__ import annotations

import math
from dataclasses import replace

from bfpo_bench.progress import Progress

BEFORE_THE_FIRST = 4
"""Until the first unit of a phase is done, silence may last so many times as long: loading a model,
compiling it and the longest of the first answers say nothing for a while."""


class Silence:
    """Counts the seconds without progress: without a unit more, and without another phase.

    They are added up by whoever waits. No clock is read, so neither a clock that is set nor a
    process that was stopped and goes on makes a silence.
    """

    def __init__(self, seconds: float | None) -> None:
        """`seconds` it may last, None for ever."""
        self._seconds = math.inf if seconds is None else seconds
        self._last = Progress("")
        self._lasted = 0.0

    @property
    def limit(self) -> float:
        """Seconds that it may last now."""
        return self._seconds * (1 if self._last.done else BEFORE_THE_FIRST)

    def heard(self, progress: Progress) -> None:
        # Words are no progress
        if replace(progress, said="") != self._last:
            self._last, self._lasted = replace(progress, said=""), 0.0

    def lasts(self, seconds: float) -> bool:
        """Whether it is too long after `seconds` more."""
        self._lasted += seconds
        return self._lasted >= self.limit

    def reason(self) -> str:
        """What a stage did that was silent for too long, and what to do about it."""
        return (
            f"made no progress for {_duration(self.limit)} (give the same command again, or a longer "
            "--stall-timeout)"
        )


def _duration(seconds: float) -> str:
    number, unit = (seconds / 60, "minute") if seconds >= 60 else (seconds, "second")
    return f"{round(number, 1):g} {unit}{'' if number == 1 else 's'}"
