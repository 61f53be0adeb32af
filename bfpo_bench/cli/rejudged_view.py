"""What `bfpo-bench judge RUN` prints, and `bfpo-bench runs merge`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import typer

from bfpo_bench.cli.panel_view import panel_table
from bfpo_bench.cli.render import leaderboard_tables, outcome_table, task_table
from bfpo_bench.cli.ui import Terminal, plain
from bfpo_bench.leaderboard.keys import read_keys
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.rejudge import Rejudged


def print_rejudged(scored: Sequence[tuple[Path, Rejudged]], as_json: bool) -> None:
    """Scores, panels and leaderboards; or the scores as JSON. `scored`: each with its leaderboard."""
    done = [one for _, one in scored]
    if as_json:
        told = [{"run": str(r.folder.path), "scores": r.scores.model_dump()} for r in done]
        typer.echo(json.dumps(told, indent=2))
        return
    console = Terminal()
    for one in done:
        console.print(task_table(one.scores))
        console.print(outcome_table(one.scores))
        for panel in one.scores.panels:
            console.print(panel_table(panel))
    leaderboards = list(dict.fromkeys(leaderboard for leaderboard, _ in scored))
    for leaderboard in leaderboards:
        keys = {one.scores.comparability_key for file, one in scored if file == leaderboard}
        table = read_leaderboard(leaderboard)
        mine = table[table["comparability_key"].isin(keys)]
        for part in leaderboard_tables(mine, read_keys(leaderboard)):
            console.print(part)
    for one in done:
        if one.scores.faults:
            broken = f"{one.scores.model}: unscored for a fault: {', '.join(one.scores.faults)}"
            console.print(plain(broken), style="red", markup=False)
    for command in dict.fromkeys(one.former for one in done if one.former):
        former = f"scores.json is by these judges now; the former scores come back with: {shlex.join(command)}"
        console.print(plain(former), markup=False, highlight=False, soft_wrap=True)
    for leaderboard in leaderboards:
        console.print(f"leaderboard: {leaderboard}", markup=False, highlight=False, soft_wrap=True)
