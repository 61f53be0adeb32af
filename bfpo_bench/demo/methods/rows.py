"""The rows of the common table: which model is measured, and what is put around it meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.names import NO_DEFENCE
from bfpo_bench.request import Request


@dataclass(frozen=True)
class Row:
    """`model` as it is, or with the `bias` of that name subtracted while it decodes, or behind a
    `defence`. `section` is the heading of docs/methods.md that tells of the method; None for those
    that docs/training.md tells of."""

    model: str
    bias: str | None = None
    defence: str | None = None
    section: str | None = None

    @property
    def name(self) -> str:
        """What the table calls it."""
        return " + ".join(part for part in (self.model, self.bias or self.defence) if part)

    @property
    def around(self) -> tuple[Any, ...]:
        """What rows must share to be measured by one command."""
        return (self.bias, self.defence is not None and self.model)


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
        **common,
    )


def row_of(
    rows: Iterable[Row], places: Mapping[str, Path], folder: Path | None, defence: str
) -> Row:
    """The one among the rows of a request that was measured on the model in `folder`."""
    [found] = [
        row
        for row in rows
        if places[row.model] == folder and (row.defence or NO_DEFENCE) == defence
    ]
    return found
