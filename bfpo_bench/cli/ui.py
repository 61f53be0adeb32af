"""What commands print: a terminal that takes every text literally, and progress on stderr, or in a
log file when there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from bfpo_bench.progress import Progress as StageProgress
from bfpo_bench.progress import Report

_SLOW_SECONDS = 5
"""What is done sooner needs no rate."""


def plain(text: str) -> str:
    """Text on one line without control characters: model names and model output are not ours.

    White space of any kind is a space; what cannot be seen, or turns the writing round, is left out.
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)


class Terminal(Console):
    """A console that takes every text literally: markup, names of emoji and control characters have
    no meaning in it, whatever they came with."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield segment._replace(text="\n".join(map(plain, segment.text.split("\n"))))


def rate(units: float) -> str:
    """Units a second in few digits; a minute or an hour where that says more."""
    name, seconds = ("s", 1) if units >= 1 else ("min", 60) if units * 60 >= 1 else ("h", 3600)
    speed = units * seconds
    return f"{speed:,.0f}/{name}" if speed >= 10 else f"{speed:.1f}/{name}"


def duration(seconds: float) -> str:
    """As a clock shows it: 0:42, 12:05, 3:00:00."""
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


class _RateColumn(ProgressColumn):
    """How fast it goes, over the last half minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(rate(speed) if speed else "", style="progress.data.speed")


class RichUi:
    """Notes as lines, stages as progress bars with their rate and the time left."""

    def __init__(self) -> None:
        self.console = Terminal(stderr=True)
        if not self.console.is_interactive:
            # Downloads draw bars of their own, which a log file would keep frame by frame
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    def note(self, text: str) -> None:
        self.console.print(plain(text), highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        """A bar for `title`; each new phase of it starts anew."""
        if not self.console.is_interactive:
            yield self._lines(title)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(plain(title), total=None)
            phase = ""

            def report(progress: StageProgress) -> None:
                nonlocal phase
                if progress.said:
                    self.note(progress.said)
                if progress.phase != phase:
                    phase = progress.phase
                    bars.reset(
                        bar,
                        description=plain(f"{title}: {phase}"),
                        total=progress.total or None,
                    )
                bars.update(bar, completed=progress.done, total=progress.total or None)

            yield report

    def _lines(self, title: str) -> Report:
        """Without a terminal that can draw: a line a phase, and one for each tenth of it."""
        last: tuple[str, int] = ("", -1)
        began, first = 0.0, 0

        def report(progress: StageProgress) -> None:
            nonlocal last, began, first
            if progress.said:
                self.note(progress.said)
            if progress.phase != last[0]:
                began, first = time.monotonic(), progress.done
            tenth = 10 * progress.done // progress.total if progress.total else 0
            if (progress.phase, tenth) != last:
                last = (progress.phase, tenth)
                seconds = time.monotonic() - began
                self.note(f"{title}: {_line(progress, progress.done - first, seconds)}")

        return report


def _line(progress: StageProgress, done: int, seconds: float) -> str:
    """The phase, how much of it, and, of a phase that takes its time, how fast and for how long:
    `done` units took `seconds`."""
    if not progress.total:
        return progress.phase
    counted = f"{progress.phase} {progress.done}/{progress.total}"
    if done <= 0 or seconds < _SLOW_SECONDS:
        return counted
    left = (progress.total - progress.done) * seconds / done
    return f"{counted}, {rate(done / seconds)}" + (f", {duration(left)} left" if left else "")
