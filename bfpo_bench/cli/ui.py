"""What commands print: a terminal that takes every text literally, and progress on stderr, or in a
log file when there is none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from bfpo_bench.progress import Progress as StageProgress
from bfpo_bench.progress import Report


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


class RichUi:
    """Notes as lines, stages as progress bars."""

    def __init__(self) -> None:
        self.console = Terminal(stderr=True)
        if not self.console.is_terminal:
            # Downloads draw bars of their own, which a log file would keep frame by frame
            os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    def note(self, text: str) -> None:
        self.console.print(plain(text), highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        """A bar for `title`; each new phase of it starts anew."""
        if not self.console.is_terminal:
            yield self._lines(title)
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            bar = bars.add_task(plain(title), total=None)
            phase = ""

            def report(progress: StageProgress) -> None:
                nonlocal phase
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
