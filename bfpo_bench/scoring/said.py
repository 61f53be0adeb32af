"""What judges say of responses, a byte a response: a million verdicts are a megabyte and soon counted."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import get_args, overload

from bfpo_bench.runs.records import Label, ResponseKey

LABELS: tuple[Label, ...] = get_args(Label)
"""Labels by code."""

ABSENT = 255
"""The code of a response that is none of a judge's own."""

_CODES = {label: code for code, label in enumerate(LABELS)}

Codes = bytes
"""One code a response, in the order of the responses."""


def codes(labels: Iterable[str | None]) -> Codes:
    """The labels' codes; None: the response is none of the judge's own."""
    return bytes(ABSENT if label is None else code_of(label) for label in labels)


def code_of(label: str) -> int:
    """Raises KeyError for what is no label."""
    return _CODES[label]  # type: ignore[index]


def row_of(row: Iterable[int]) -> tuple[Label | None, ...]:
    """The labels of a row of codes; None stands for a judge that has no say in it."""
    return tuple(None if code == ABSENT else LABELS[code] for code in row)


def tally(*columns: Codes | None) -> Counter[tuple[Label | None, ...]]:
    """How often each row of labels occurs; the columns are equally long.

    A column that is None has None in every row. At least one is not.

    >>> tally(codes(["harmful", "harmless", "harmful"]), None)
    Counter({('harmful', None): 2, ('harmless', None): 1})
    """
    count = next(len(column) for column in columns if column is not None)
    nobody = bytes([ABSENT]) * count
    rows = Counter(zip(*(nobody if c is None else c for c in columns), strict=True))
    return Counter({row_of(row): times for row, times in rows.items()})


@dataclass(frozen=True)
class Said:
    """One judge's words on a task's responses, in their order: `unjudged` where it has no verdict on
    the text that is stored.

    `scores` are in the judge's own unit, NaN where it gave none; None of a judge whose numbers decide
    nothing. `fault`: the world's fault left a response unjudged.
    """

    codes: Codes
    scores: array[float] | None = None
    fault: bool = False

    @classmethod
    def nothing(cls, count: int) -> Said:
        """Of a judge that has no verdict on any of `count` responses."""
        return cls(bytes([code_of("unjudged")]) * count, array("d", [float("nan")]) * count)


@dataclass(frozen=True)
class Responses(Sequence[ResponseKey]):
    """The keys of a task's responses: numbers of their documents, and of the samples of these."""

    task: str
    documents: Sequence[int]
    samples: Sequence[int]

    def __len__(self) -> int:
        return len(self.documents)

    @overload
    def __getitem__(self, place: int) -> ResponseKey: ...
    @overload
    def __getitem__(self, place: slice) -> Responses: ...
    def __getitem__(self, place: int | slice) -> ResponseKey | Responses:
        if isinstance(place, slice):
            return Responses(self.task, self.documents[place], self.samples[place])
        return self.task, self.documents[place], self.samples[place]

    def __iter__(self) -> Iterator[ResponseKey]:
        return zip(repeat(self.task), self.documents, self.samples)
