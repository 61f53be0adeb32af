"""A preference pair, and what became of a source's rows on the way to pairs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from bfpo_bench.levels import Levels

Side = Literal["chosen", "rejected"]
Message = dict[str, str]


@dataclass(frozen=True)
class Segment:
    """A piece of a response and its reward, in any unit: more is better."""

    text: str
    reward: float


@dataclass(frozen=True)
class Pair:
    """Two responses to one conversation: `chosen` is the more helpful one, whatever its safety.

    `prompt` holds messages {"role", "content"} and ends with the user's. Safety is None where the
    source does not say. `safer` is the source's own order by safety, where it has one: also two safe
    responses may differ in it. `margin` is a reward of chosen less that of rejected (MODPO). The
    segments of a response (AMA) are the whole of it, piece by piece.
    """

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    chosen_safe: bool | None = None
    rejected_safe: bool | None = None
    safer: Side | None = None
    margin: float | None = None
    chosen_segments: tuple[Segment, ...] | None = None
    rejected_segments: tuple[Segment, ...] | None = None

    def dump(self) -> dict[str, Any]:
        """As plain values; segments where there are any, so that pairs without keep their hash."""
        told = dict(vars(self))
        for key in ("chosen_segments", "rejected_segments"):
            segments = told.pop(key)
            if segments is not None:
                told[key] = [dict(vars(segment)) for segment in segments]
        return told


@dataclass(frozen=True)
class Levelled:
    """A conversation that ends with a response, and the levels of that response."""

    messages: tuple[Message, ...]
    levels: Levels

    def dump(self) -> dict[str, Any]:
        return {"messages": list(self.messages), "levels": str(self.levels)}


@dataclass
class DataReport:
    """What one source gave. `dropped` and `changed` count rows by reason; `sha256` is of what was used.

    `rows` were in the split and `taken` of them were looked at (a recipe's fraction or limit).
    """

    source: str
    origin: str
    revision: str | None
    split: str
    rows: int = 0
    taken: int = 0
    used: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    sha256: str = ""

    def dump(self) -> dict[str, Any]:
        return {**vars(self), **{k: dict(vars(self)[k]) for k in ("dropped", "changed", "cases")}}
