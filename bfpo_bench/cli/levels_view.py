"""What `bfpo-bench levels` found, as lines and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bfpo_bench.training.control.level_file import Levelling


def lines(found: Levelling, out: Path) -> list[str]:
    """How many responses each pair of levels has, the cuts, and what was left out."""
    from bfpo_bench.training.control.sidecar import AXES

    told = list(found.faults)
    if found.cuts is not None:
        told.append(f"{found.cells.total():,} responses with levels: {out}")
        for axis in AXES:
            mine = getattr(found.cuts, axis)
            cuts = ", ".join(f"{value:.4g}" for value in mine.cuts)
            told.append(f"{axis} by {mine.name}, {mine.rule}: cuts {cuts}")
        cells = "; ".join(f"{levels}: {n:,}" for levels, n in sorted(found.cells.items()))
        told.append(f"responses by levels of helpfulness,safety: {cells}")
    return [*told, *(f"left out: {count:,} {reason}" for reason, count in found.left_out.items())]


def as_json(found: Levelling, out: Path) -> dict[str, Any]:
    written = found.cuts is not None
    return {
        "file": str(out) if written else None,
        "responses": found.cells.total(),
        "cells": {str(levels): n for levels, n in sorted(found.cells.items())},
        "cuts": found.cuts.model_dump(mode="json") if found.cuts is not None else None,
        "left_out": dict(found.left_out),
        "faults": found.faults,
    }
