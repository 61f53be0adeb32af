"""Progress on a terminal, and in a log file when there is none. All of it goes to stderr."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bfpo_bench.progress import Progress as StageProgress
from bfpo_bench.progress import Report


def plain(text: str) -> str:
    """Text without control characters: model names and model output are not ours."""
    return "".join(c for c in text if c.isprintable() or c == " ")


def printable(text: str) -> str:
    """Text for a terminal: without control characters, and with rich's markup taken literally."""
    return escape(plain(text))


class RichUi:
    """Notes as lines, stages as progress bars."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        if not self.console.is_terminal:
            # Downloads draw bars of their own, which a log file would keep frame by frame
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    def note(self, text: str) -> None:
        self.console.print(printable(text), highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        """A bar for `title`; each new phase of it starts anew."""
        if not self.console.is_terminal:
            yield self._lines(title)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(printable(title), total=None)
            phase = ""

            def report(progress: StageProgress) -> None:
                nonlocal phase
                if progress.phase != phase:
                    phase = progress.phase
                    bars.reset(
                        bar,
                        description=printable(f"{title}: {phase}"),
                        total=progress.total or None,
                    )
                bars.update(bar, completed=progress.done, total=progress.total or None)

            yield report

    def _lines(self, title: str) -> Report:
        """Without a terminal: a line a phase, and one for each tenth of it."""
        last: tuple[str, int] = ("", -1)

        def report(progress: StageProgress) -> None:
            nonlocal last
            tenth = 10 * progress.done // progress.total if progress.total else 0
            if (progress.phase, tenth) != last:
                last = (progress.phase, tenth)
                count = f" {progress.done}/{progress.total}" if progress.total else ""
                self.note(f"{title}: {progress.phase}{count}")

        return report
