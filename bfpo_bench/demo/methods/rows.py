"""The rows of the common table: which model is measured, and what is put around it meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.request import Request

if TYPE_CHECKING:
    from bfpo_bench.plan import PlannedRun


@dataclass(frozen=True)
class Row:
    """`model` as it is, or with the `bias` of that name subtracted while it decodes, or behind a
    `defence`, or asked for `levels` of helpfulness and safety (H,S). `section` is the heading of
    docs/methods.md that tells of the method; None for those that docs/training.md tells of."""

    model: str
    bias: str | None = None
    defence: str | None = None
    levels: str | None = None
    section: str | None = None

    @property
    def name(self) -> str:
        """What the table calls it."""
        levels = f"levels {self.levels}" if self.levels is not None else None
        return " + ".join(p for p in (self.model, self.bias, self.defence, levels) if p is not None)

    @property
    def around(self) -> tuple[Any, ...]:
        """What rows must share to be measured by one command."""
        alone = self.defence is not None or self.levels is not None
        return (self.bias, alone and self.model)


def requests(
    rows: Iterable[Row], places: Mapping[str, Path], common: Mapping[str, Any]
) -> list[tuple[Request, list[Row]]]:
    """What to measure, and which of `rows` it gives; `common` are the arguments that all requests have."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.around, []).append(row)
    return [(_request(group, places, common), group) for group in groups.values()]


def _request(rows: Sequence[Row], places: Mapping[str, Path], common: Mapping[str, Any]) -> Request:
    first, models = rows[0], dict.fromkeys(row.model for row in rows)
    return Request(
        models=tuple(str(places[model]) for model in models),
        bias=places[first.bias] if first.bias is not None else None,
        defences=tuple(row.defence for row in rows if row.defence is not None),
        levels=tuple(row.levels for row in rows if row.levels is not None),
        **common,
    )


def row_of(rows: Iterable[Row], places: Mapping[str, Path], planned: PlannedRun) -> Row:
    """The one among the rows of a request that was planned as `planned`."""
    subject = planned.subject
    # What lies over a base, as a router does, is the row's model, and not that base
    folder = (subject.adapter or subject.base).folder
    defence = planned.defence.name if planned.defence is not None else None
    levels = str(planned.levels) if planned.levels is not None else None
    [found] = [
        row
        for row in rows
        if (places[row.model], row.defence, row.levels) == (folder, defence, levels)
    ]
    return found
