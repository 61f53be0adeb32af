"""What a judge found out about one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`label` is one of the judge's own, or `unjudged`, with `error` saying why.

    `score` is a number in the judge's own unit (a probability, a grade, a preference of 1 to 2);
    `raw` is what the label was read from; `answers` holds what a judge says besides its label.
    `fault`: the world failed, not the judge (a server that was down, say): the same command asks
    again, and nothing is remembered of it.
    """

    label: str
    score: float | None = None
    raw: str | None = None
    error: str | None = None
    answers: Mapping[str, str] | None = None
    fault: bool = False
