"""`bfpo-bench runs`: what runs there are, and each in the forms of other tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete, options

if TYPE_CHECKING:
    from bfpo_bench.progress import Ui
    from bfpo_bench.rejudge import Rejudged
    from bfpo_bench.scoring.finished import FinishedRun
    from bfpo_bench.suite.tasks import TaskSpec

app = typer.Typer(
    help="List runs, make one of its shards, or write one in the form of another tool.",
    no_args_is_help=True,
)

FORMS = ("lm-eval", "inspect", "model-card", "dataset")


@app.command("list")
def list_(
    out: Path = typer.Option(
        Path("runs"), "--out", metavar="DIR", help="The folder that holds them."
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """List the runs in a folder, the last worked on first: what of, how far, and how big.

    Shards of a run are one line: how many of them are finished, and whether they are merged. A folder
    that cannot be read is named, with the reason, and the exit code is 3.
    """
    from bfpo_bench.cli.runs_view import shard_notes, table
    from bfpo_bench.cli.ui import Terminal, plain
    from bfpo_bench.leaderboard.listing import list_runs, together

    runs, unreadable = list_runs(out)
    if json_:
        import json

        told = {"runs": [r.dump() for r in runs], "unreadable": [vars(u) for u in unreadable]}
        typer.echo(json.dumps(told, indent=2))
    else:
        console = Terminal()
        if runs:
            found = together(runs)
            console.print(table(found))
            for note in shard_notes(found):
                console.print(plain(note), soft_wrap=True, highlight=False)
        else:
            console.print(f"There is no run in {plain(str(out))}.")
    errors = Terminal(stderr=True)
    for one in unreadable:
        errors.print(plain(f"not read: {one.path}: {one.reason}"), soft_wrap=True, highlight=False)
    if unreadable:
        raise typer.Exit(3)


@app.command()
def merge(
    shards: list[Path] = typer.Argument(
        ...,
        metavar="SHARD...",
        help="All shards of a run, or of several; or where the run of them is to be, runs/RUN, for "
        "those that lie there.",
    ),
    out: Path | None = typer.Option(
        None,
        "--out",
        metavar="DIR",
        help="The folder that the run goes into.",
        show_default="where its first shard is",
    ),
    leaderboard: options.Leaderboard = None,
    json_: bool = typer.Option(False, "--json", help="Print the scores as JSON."),
) -> None:
    """Make runs of the shards that `run --shard` has made; no model is loaded.

    Those of one run must go together and be complete: what does not is named, with its mend, and the
    other runs are made all the same. A run is then scored and gets its row, as if one command had made
    it; where its scoring dies, that is told, and the exit code is 3. The shards stay, and merging again
    is harmless.

        bfpo-bench runs merge runs/*.shard-*
    """
    from bfpo_bench.cli.complain import complain
    from bfpo_bench.cli.rejudged_view import print_rejudged
    from bfpo_bench.cli.ui import RichUi, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.runs.parts import by_run, find_shards
    from bfpo_bench.stages.process import StageCrash

    ui = RichUi()
    merged: list[tuple[Path, Rejudged]] = []
    refused: list[UserError] = []
    crashed: list[StageCrash] = []
    for folders in by_run(find_shards(shards)):
        try:
            merged.append(_merged(folders, out, leaderboard, ui))
        except UserError as error:
            refused.append(error)
        except StageCrash as crash:
            crashed.append(crash)
    if merged or json_:
        print_rejudged(merged, json_)
    if not json_:
        for _, one in merged:
            typer.echo(f"run: {one.folder.path}")
    for broken in crashed:
        complain(f"not scored: {plain(str(broken))}; the same command goes on", "red")
    # The last is said where the command ends, as that of a single run is
    for sentence in refused[:-1]:
        complain(f"error: {plain(str(sentence))}", "red")
    if refused:
        raise refused[-1]
    raise typer.Exit(3 if crashed or any(one.scores.faults for _, one in merged) else 0)


def _merged(
    folders: Sequence[Path], out: Path | None, leaderboard: Path | None, ui: Ui
) -> tuple[Path, Rejudged]:
    """The leaderboard that the run of these shards is on, and the run. Raises UserError for shards that
    make none."""
    import sys

    from bfpo_bench.judging import left_out
    from bfpo_bench.merge_shards import merge_shards, plan_merge
    from bfpo_bench.progress import Progress
    from bfpo_bench.rejudge import Rejudged
    from bfpo_bench.runs.folder import RunFolder

    with ui.stage("plan") as report:
        plan = plan_merge(folders, out, leaderboard, lambda text: report(Progress(text)))
    for note in left_out(plan.wanted.judges):
        ui.note(note)
    scores = merge_shards(plan, ["bfpo-bench", *sys.argv[1:]], ui)
    return plan.wanted.leaderboard, Rejudged(RunFolder(plan.folder), scores)


@app.command()
def export(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="A run's folder, as in runs/.", autocompletion=complete.runs
    ),
    to: str = typer.Option(..., "--to", metavar="|".join(FORMS), help="In whose form."),
    out: Path = typer.Option(..., "--out", metavar="DIR", help="Where the files go."),
    include_harmful: bool = typer.Option(
        False,
        "--include-harmful",
        help="With dataset: also responses to harmful prompts that are no clear refusals.",
    ),
) -> None:
    """Write a finished run in the form of another tool. Nothing leaves this machine.

    lm-eval: results and samples as its --output_path --log_samples writes them.

    inspect: logs that `inspect view --log-dir DIR` opens, one a task (needs inspect_ai).

    model-card: evaluation results into the model's folder DIR: .eval_results/ and README.md, of which
    everything else is kept.

    dataset: a folder that `datasets.load_dataset` reads, with a card. Responses to harmful prompts are
    kept back unless they are clear refusals, and so are prompts of gated and not openly licensed data.
    """
    from bfpo_bench.cli.ui import Terminal, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.nearest import nearest

    if to not in FORMS:
        raise UserError(
            f"There is no form {to!r}{nearest(to, FORMS)}: --to takes {', '.join(FORMS)}."
        )
    if include_harmful and to != "dataset":
        raise UserError(f"--include-harmful is for --to dataset: leave it out with {to}.")
    try:
        written = _export(to, run, out, include_harmful)
    except OSError as error:
        raise UserError(
            f"{error.filename or out} cannot be written ({error.strerror}): give another --out."
        ) from error
    console = Terminal()
    for line in written:
        console.print(plain(line), soft_wrap=True, highlight=False)


def _export(to: str, path: Path, out: Path, include_harmful: bool) -> list[str]:
    """Lines that say what was written."""
    from bfpo_bench.scoring.finished import read_finished
    from bfpo_bench.suite.tasks import load_tasks, tasks_dir

    run, specs = read_finished(path), load_tasks(tasks_dir())
    if to == "dataset":
        from bfpo_bench.cli.push import kept_lines
        from bfpo_bench.exchange.published import export_dataset

        published = export_dataset(run, specs, out, include_harmful)
        return [*map(str, published.files), *kept_lines(published.kept)]
    if to == "lm-eval":
        from bfpo_bench.exchange.lm_eval_samples import export_lm_eval as write
    elif to == "inspect":
        from bfpo_bench.exchange.inspect_log import export_inspect as write
    else:
        return _model_card(run, specs, out)
    return [str(file) for file in write(run, specs, out)]


def _model_card(run: FinishedRun, specs: Mapping[str, TaskSpec], out: Path) -> list[str]:
    from bfpo_bench.exchange.model_card import EVAL_RESULTS, export_model_card

    files = export_model_card(run, specs, out)
    without = f"no {EVAL_RESULTS}: no scored task has a data set on the hub"
    return [*map(str, files), *([] if out / EVAL_RESULTS in files else [without])]
