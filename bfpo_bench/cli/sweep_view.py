"""What is said of a sweep when its command ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich import box

from bfpo_bench.cli.fitting import FittingTable, Name
from bfpo_bench.cli.ui import Terminal, plain
from bfpo_bench.leaderboard.view import cell_text
from bfpo_bench.sweep.front import AXES, Front, Placed, told
from bfpo_bench.sweep.run import RUNS, Outcome, Sweep


def print_sweep(
    sweep: Sweep, front: Front, outcomes: Sequence[Outcome], files: Sequence[Path]
) -> None:
    """The points that were worked, faults, what the front says, and where everything lies."""
    console = Terminal()
    worked = {o.point.name for o in outcomes}
    if worked:
        console.print(_table([p for p in front.points if p.point.name in worked], bool(files)))
    for outcome in outcomes:
        if outcome.fault is not None:
            text = f"{outcome.point.name}: {outcome.fault}"
            console.print(plain(text), style="red", markup=False, soft_wrap=True)
    if any(o.fault is not None for o in outcomes):
        console.print("the same command tries again what failed", style="red")
    for line in told(front) if files else [_of_shard(sweep, outcomes)]:
        console.print(plain(line), highlight=False, soft_wrap=True)
    for file in files:
        console.print(str(file), markup=False, highlight=False, soft_wrap=True)
    if files and front.compared:
        told_next = f"every answer side by side: bfpo-bench report {sweep.out / RUNS}"
        console.print(told_next, markup=False, highlight=False, soft_wrap=True)


def _of_shard(sweep: Sweep, outcomes: Sequence[Outcome]) -> str:
    done = sum(o.run is not None for o in outcomes)
    return (
        f"shard {sweep.request.shard}: {done} of its {len(outcomes)} points measured, of "
        f"{len(sweep.points)} in all; when all shards are, the same command without --shard draws the front"
    )


def _table(points: Sequence[Placed], with_front: bool) -> FittingTable:
    table = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("point", justify="left", overflow="fold")
    for axis in AXES:
        table.add_column(axis, justify="right", no_wrap=True)
    if with_front:
        table.add_column("front", justify="left", no_wrap=True)
    for placed in points:
        scores = [cell_text(placed.row, axis) if placed.row else "–" for axis in AXES]
        on_it = "yes" if placed.on_front else "no" if placed.on_front is not None else "–"
        table.add_row(Name(placed.point.name), *scores, *([on_it] if with_front else []))
    return table


def print_json(
    sweep: Sweep, front: Front, outcomes: Sequence[Outcome], files: Sequence[Path]
) -> None:
    """One document: the points that were worked, and the files that were written."""
    faults = {o.point.name: o.fault for o in outcomes}
    points = [_point(p, sweep, faults) for p in front.points if p.point.name in faults]
    shard = sweep.request.shard
    found = {
        "shard": str(shard) if shard is not None else None,
        "points": points,
        "said": told(front) if files else [],
        "files": [str(file) for file in files],
    }
    typer.echo(json.dumps(found, indent=2))


def _point(placed: Placed, sweep: Sweep, faults: dict[str, str | None]) -> dict[str, Any]:
    row = placed.row or {}
    scores = {
        axis: [row.get(f"{axis}{end}") for end in ("", "_ci_low", "_ci_high")] for axis in AXES
    }
    return {
        "point": placed.point.name,
        "values": placed.point.values,
        "model": str(sweep.out / placed.point.name),
        "run": str(sweep.out / RUNS / placed.run) if placed.run is not None else None,
        **scores,
        "on_front": placed.on_front,
        "fault": faults[placed.point.name],
    }
