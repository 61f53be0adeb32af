"""Run requests and print what came of them: what `run` and `demo` have in common."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from bfpo_bench.judging import left_out
from bfpo_bench.pipeline import Finished, execute
from bfpo_bench.plan import Plan, make_plan, stronger_judge_hint
from bfpo_bench.request import Request


def execute_and_print(request: Request, command: Sequence[str], as_json: bool) -> int:
    """Plan, execute, print; returns the exit code."""
    plan, finished = measure(request, command)
    if as_json:
        print_json(finished)
    else:
        from bfpo_bench.cli.ui import Terminal

        console = Terminal()
        _print_models(console, finished)
        print_leaderboard(console, plan, finished)
        print_ends(console, plan, finished)
    return exit_code(finished)


def measure(request: Request, command: Sequence[str]) -> tuple[Plan, list[Finished]]:
    """Plan and execute, telling of it on stderr."""
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.progress import Progress

    ui = RichUi()
    with ui.stage("plan") as report:
        plan = make_plan(request, lambda text: report(Progress(text)))
    for note in left_out(plan.judges):
        ui.note(note)
    if plan.offline and not request.offline:
        ui.note("the hub cannot be reached: the commits that its cache holds are used")
    return plan, execute(plan, command, ui)


def exit_code(finished: Sequence[Finished]) -> int:
    """0, or 3 where a fault left something unscored."""
    return 0 if all(f.complete for f in finished) else 3


def print_json(finished: Sequence[Finished]) -> None:
    """Each model's run folder, fault and scores, or of a shard what it holds, as one JSON list."""
    import json

    from bfpo_bench.cli.shards_view import shard_json

    typer.echo(
        json.dumps(
            [
                {
                    "run": str(f.planned.folder),
                    "fault": f.fault,
                    "scores": f.scores.model_dump() if f.scores else None,
                }
                | ({"shard": shard_json(f.shard)} if f.shard is not None else {})
                for f in finished
            ],
            indent=2,
        )
    )


def _print_models(console: Console, finished: Sequence[Finished]) -> None:
    from bfpo_bench.cli.panel_view import panel_table
    from bfpo_bench.cli.render import outcome_table, task_table

    for f in finished:
        if f.scores is not None:
            console.print(task_table(f.scores))
            console.print(outcome_table(f.scores))
            for panel in f.scores.panels:
                console.print(panel_table(panel))


def print_leaderboard(console: Console, plan: Plan, finished: Sequence[Finished]) -> None:
    """Every row of the leaderboard that is comparable to one of these."""
    from bfpo_bench.cli.render import leaderboard_tables
    from bfpo_bench.leaderboard.keys import read_keys
    from bfpo_bench.leaderboard.rows import read_leaderboard

    keys = {f.scores.comparability_key for f in finished if f.scores is not None}
    if not keys:
        return
    suite = f"{plan.suite.name}@{plan.suite.version}"
    table = read_leaderboard(plan.leaderboard)
    mine = table[(table["suite"] == suite) & table["comparability_key"].isin(keys)]
    for part in leaderboard_tables(mine, read_keys(plan.leaderboard)):
        console.print(part)


def print_ends(console: Console, plan: Plan, finished: Sequence[Finished]) -> None:
    """Faults, where everything lies, and a stronger judge where there is one."""
    from bfpo_bench.cli.shards_view import shard_lines
    from bfpo_bench.cli.ui import plain

    for f in finished:
        if f.fault is not None:
            console.print(plain(f"{f.planned.subject.name}: {f.fault}"), style="red", markup=False)
            console.print("the same command goes on from what is stored", style="red")
        elif f.scores is not None and f.scores.faults:
            console.print(
                plain(f"{f.scores.model}: unscored for a fault: {', '.join(f.scores.faults)}"),
                style="red",
                markup=False,
            )
    for f in finished:
        console.print(f"run: {f.planned.folder}", markup=False, highlight=False, soft_wrap=True)
        for line in shard_lines(f.shard) if f.shard is not None else ():
            console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
    if any(f.scores is not None for f in finished):
        console.print(
            f"leaderboard: {plan.leaderboard}", markup=False, highlight=False, soft_wrap=True
        )
    if hint := stronger_judge_hint(plan):
        console.print(hint, style="dim", markup=False)
