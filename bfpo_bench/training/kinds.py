"""Prompts by kind, harmful or benign: which of them a judge scores, and which lines have to say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bfpo_bench.errors import UserError
from bfpo_bench.judges.spec import JudgeSpec


class Kinded(Protocol):
    """A record of a user's file. `place` is its line; `harmful`: is it harmful to comply with the
    prompt? None where it does not say."""

    @property
    def place(self) -> str: ...

    @property
    def harmful(self) -> bool | None: ...


def check_kinds(
    file: Path, rows: Iterable[Kinded], spec: JudgeSpec, reason: str | None = None
) -> None:
    """Raises UserError for a row that does not say of which kind its prompt is, to a judge of one kind,
    or for the `reason` that is given."""
    if len(spec.prompts) == 1:
        reason = f"scores {spec.prompts[0]} prompts alone"
    unsaid = next((row for row in rows if row.harmful is None), None)
    if reason is not None and unsaid is not None:
        raise UserError(
            f"Judge {spec.name} {reason}, and {file}, {unsaid.place}, does not say whether its prompt is "
            'harmful: give each line "harmful": true or false, or name another judge.'
        )


def is_asked(spec: JudgeSpec, row: Kinded) -> bool:
    """Whether the judge scores prompts such as the row's, which says its kind where that matters."""
    return len(spec.prompts) == 2 or ("harmful" if row.harmful else "benign") in spec.prompts
