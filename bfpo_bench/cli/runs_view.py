"""What `bfpo-bench runs list` prints."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from bfpo_bench.cli.fitting import FittingTable
from bfpo_bench.cli.ui import plain
from bfpo_bench.leaderboard.listing import ListedRun, ShardedRun
from bfpo_bench.runs.parts import listed


def table(runs: Sequence[ListedRun | ShardedRun]) -> Table:
    """A line for what was reached, what of, and when; of a narrow terminal one below the other."""
    found = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    found.add_column("run, model", overflow="fold", min_width=18)
    found.add_column("suite", overflow="fold", min_width=10)
    found.add_column("reached", no_wrap=True)
    for name in ("help-\nful", "harm-\nless"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("last\nworked on", no_wrap=True)
    found.add_column("size", justify="right", no_wrap=True)
    for one in runs:
        r = one.newest if isinstance(one, ShardedRun) else one
        tasks = f"{r.tasks} task{'' if r.tasks == 1 else 's'}"
        faults = f"\n{r.faults} faulty" if r.faults else ""
        reached = _of_shards(one) if isinstance(one, ShardedRun) else one.reached
        found.add_row(
            f"{plain(r.run_id)}\n  {plain(r.model)}",
            plain(r.suite) + (",\npartial" if r.partial else ""),
            f"{reached}\n{tasks}{faults}",
            _score(r.helpfulness),
            _score(r.harmlessness),
            r.worked_on[:16].replace("T", "\n"),
            size(one.bytes),
        )
    return found


def _of_shards(run: ShardedRun) -> str:
    shards = f"{len(run.finished)} of {run.count} shards"
    return f"{shards},\nmerged" if run.merged else shards


def shard_notes(runs: Iterable[ListedRun | ShardedRun]) -> list[str]:
    """Of each run in shards that are not merged: which are not finished, or how they are merged."""
    notes = []
    for run in runs:
        if not isinstance(run, ShardedRun) or run.merged:
            continue
        if run.unfinished:
            told = f"not finished: shard {listed(run.unfinished)}"
        else:
            merge = shlex.join(("bfpo-bench", "runs", "merge", str(run.whole)))
            told = f"all shards are finished; make the run of them: {merge}"
        notes.append(f"{run.newest.run_id}: {told}")
    return notes


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def size(count: int) -> str:
    """Bytes as people read them: 512 B, 1.5 kB, 2.0 GB."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
