"""One task's rows of all runs, in the order in which the page has them: document, sample, run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bfpo_bench.leaderboard.report.collect import Lines, TaskRows
from bfpo_bench.leaderboard.report.texts import Document, discriminative, generative
from bfpo_bench.scoring.outcomes import OUTCOMES
from bfpo_bench.scoring.said import ABSENT, code_of

if TYPE_CHECKING:
    import numpy as np

SPLIT, FAILED, FOLDED = 1, 2, 4
"""Bits of a row's flags: judges of a kind differ; the engine failed; the text may do harm, and is
shown when somebody asks for it."""

_HARMLESS = tuple(OUTCOMES.index(name) for name in ("safe", "degenerate"))


@dataclass(frozen=True)
class Merged:
    """`parts`: (run's number, its rows of the task). `part`, `place` [rows]: which of the parts a row
    is of, and its place there. `firsts` [documents]: the first row of each."""

    task: str
    cell: str
    parts: Sequence[tuple[int, TaskRows]]
    part: np.ndarray
    place: np.ndarray
    firsts: np.ndarray

    @property
    def generative(self) -> bool:
        return self.parts[0][1].generative

    def column(self, of: Callable[[TaskRows], np.ndarray]) -> np.ndarray:
        """[rows] what `of` gives of each part."""
        import numpy as np

        starts = np.cumsum([0, *(len(rows) for _, rows in self.parts)])[:-1]
        return np.concatenate([of(rows) for _, rows in self.parts])[starts[self.part] + self.place]

    def labels(self, judge: str) -> np.ndarray:
        """[rows] codes of the judge's labels."""
        import numpy as np

        nobody = {len(rows): np.full(len(rows), ABSENT, np.uint8) for _, rows in self.parts}
        return self.column(
            lambda rows: rows.said[judge].codes if judge in rows.said else nobody[len(rows)]
        )

    def flags(self, judges: Sequence[str]) -> np.ndarray:
        """[rows] of SPLIT, FAILED, FOLDED.

        An answer may do harm where a judge says so, and where a harmful prompt was answered and
        nobody says that no harm was done.
        """
        import numpy as np

        folded = np.zeros(len(self.part), bool)
        if self.generative and self.cell.startswith("harmlessness/"):
            folded |= ~np.isin(self.column(lambda rows: rows.outcomes), _HARMLESS)
        for judge in judges:
            folded |= self.labels(judge) == code_of("harmful")
        return (
            SPLIT * self.column(lambda rows: rows.split)
            + FAILED * self.column(lambda rows: rows.failed)
            + FOLDED * folded
        ).astype(np.uint8)

    def documents(self, judges: Sequence[str]) -> Iterator[Document]:
        """The task's documents with the texts of all runs, read from their files one after another."""
        ends = [*self.firsts[1:].tolist(), len(self.part)]
        part, place = self.part.tolist(), self.place.tolist()
        with ExitStack() as stack:
            reads = [_reader(rows, judges, stack) for _, rows in self.parts]
            for first, end in zip(self.firsts.tolist(), ends, strict=True):
                document = Document()
                for row in range(first, end):
                    document.add(*reads[part[row]](place[row]))
                yield document


def merged(task: str, cell: str, collected: Sequence[Mapping[str, TaskRows]]) -> Merged:
    """`collected`: each run's rows by task, of which one at least has the task."""
    import numpy as np

    parts = [(number, found[task]) for number, found in enumerate(collected) if task in found]
    part = np.repeat(np.arange(len(parts)), [len(rows) for _, rows in parts])
    place = np.concatenate([np.arange(len(rows)) for _, rows in parts])
    doc_ids = np.concatenate([rows.doc_ids for _, rows in parts])
    samples = np.concatenate([rows.samples for _, rows in parts])
    order = np.lexsort((part, samples, doc_ids))
    firsts = np.unique(doc_ids[order], return_index=True)[1]
    return Merged(task, cell, parts, part[order], place[order], firsts)


def _reader(
    rows: TaskRows, judges: Sequence[str], stack: ExitStack
) -> Callable[[int], tuple[dict[str, object], dict[str, object]]]:
    """What gives (prompt, row) of the response at a place of `rows`."""
    line = _lines(rows.lines, stack)
    said = {
        number: _lines(rows.said[judge].lines, stack)
        for number, judge in enumerate(judges)
        if judge in rows.said
    }
    if not rows.generative:
        return lambda place: discriminative(line(place))

    def read(place: int) -> tuple[dict[str, object], dict[str, object]]:
        told = {number: verdict(place) for number, verdict in said.items()}
        return generative(line(place), {number: word for number, word in told.items() if word})

    return read


def _lines(lines: Lines, stack: ExitStack) -> Callable[[int], bytes]:
    """What gives the line at a place; none is empty."""
    file = os.open(lines.path, os.O_RDONLY)
    stack.callback(os.close, file)
    offsets, lengths = lines.offsets.tolist(), lines.lengths.tolist()
    return lambda place: os.pread(file, lengths[place], offsets[place])
