"""`bfpo-bench demo --compare`: the paper's picture, from five models that are trained here."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import typer

from bfpo_bench.cache import default_cache
from bfpo_bench.cli.execute import (
    exit_code,
    measure,
    print_ends,
    print_json,
    print_leaderboard,
)
from bfpo_bench.cli.train import check_installed
from bfpo_bench.cli.ui import RichUi, Terminal
from bfpo_bench.demo.compare import (
    BFPO,
    Comparison,
    are_trained,
    ensure_models,
    folder_name,
)
from bfpo_bench.demo.scatter import Point, scatter
from bfpo_bench.demo.words import Measured, Side, sentences
from bfpo_bench.engines.select import check_engine
from bfpo_bench.pipeline import Finished
from bfpo_bench.request import Request
from bfpo_bench.runs.folder import check_writable
from bfpo_bench.scoring.scores import Score
from bfpo_bench.training.output import RECIPE

_WIDTH = 79


def compare_and_print(
    engine: str,
    out: Path,
    leaderboard: Path | None,
    command: Sequence[str],
    comparison: Comparison | None = None,
    as_json: bool = False,
) -> int:
    """Train, measure, print; returns the exit code. `comparison` is for others than the demo's.

    Raises UserError for what would keep the models from being trained or measured, before either.
    """
    check_installed()
    check_engine(engine)
    check_writable(out)
    ui, comparison = RichUi(), comparison or Comparison()
    cache = default_cache()
    if are_trained(cache, comparison):
        ui.note(f"the models were trained earlier: {cache.resolve() / folder_name(comparison)}")
    folders = ensure_models(cache, command, ui, comparison)
    if engine == "auto":
        engine = "transformers"
        ui.note(
            "engine transformers: with models so small, starting vLLM takes longer than measuring them"
        )
    request = Request(
        models=tuple(map(str, folders)),
        suite="bfpo-demo",
        engine=engine,
        out=out,
        leaderboard=leaderboard,
    )
    plan, finished = measure(request, command)
    if as_json:
        print_json(finished)
        return exit_code(finished)
    console = Terminal()
    print_leaderboard(console, plan, finished)
    _print_picture(finished, folders, comparison)
    print_ends(console, plan, finished)
    _print_next(folders, finished, out)
    return exit_code(finished)


def _print_picture(
    finished: Sequence[Finished], folders: Sequence[Path], comparison: Comparison
) -> None:
    """The scatter and what it says, where every model has both scores."""
    found = {
        folder: measured(f, folder.name)
        for f in finished
        if (folder := f.planned.subject.base.folder) is not None
    }
    models = [m for folder in folders if (m := found.get(folder)) is not None]
    if len(models) < len(folders):
        typer.echo("No picture: not every model has both scores.")
        return
    points = [Point(m.name, m.helpful.value, m.harmless.value) for m in models]
    for line in scatter(points, across="helpful", up="harmless"):
        typer.echo(line)
    typer.echo("")
    for line in (*sentences(models, BFPO), _how(comparison)):
        typer.echo(textwrap.fill(line, _WIDTH, subsequent_indent="  "))
    typer.echo("")


def _how(comparison: Comparison) -> str:
    """What a reader must know to call the comparison fair, or not."""
    return (
        f"Each training from {comparison.names[0]} had {comparison.steps} steps of "
        f"{2 * comparison.pairs} pairs of the same data and the best of four learning rates; DPO "
        "trained all parameters, BFPO down_proj alone."
    )


def measured(finished: Finished, name: str) -> Measured | None:
    """Both sides under this name; None where one lacks a score."""
    scores = finished.scores
    if scores is None:
        return None
    helpful, harmless = _side(scores.helpfulness), _side(scores.harmlessness)
    if helpful is None or harmless is None:
        return None
    return Measured(name, helpful, harmless)


def _side(score: Score) -> Side | None:
    if score.value is None or score.ci_low is None or score.ci_high is None:
        return None
    return Side(score.value, score.ci_low, score.ci_high)


def _print_next(folders: Sequence[Path], finished: Sequence[Finished], out: Path) -> None:
    program = "bfpo-bench" if shutil.which("bfpo-bench") else sys.argv[0]
    rival, own = (
        f"{program} train {shlex.quote(str(f / RECIPE))}" for f in (folders[1], folders[-1])
    )
    typer.echo("")
    typer.echo(f"The models, each with its recipe and how it was trained: {folders[0].parent}")
    typer.echo("Every answer of every model side by side, and two of them on the same documents:")
    typer.echo(f"    {program} report {shlex.quote(str(out))}")
    runs = " ".join(shlex.quote(str(f.planned.folder)) for f in (finished[0], finished[-1]))
    typer.echo(f"    {program} compare {runs}")
    typer.echo("Another tau, a strong rival that is not among the five, recipes for other models:")
    typer.echo(f"    {own} objective.tau=0.05 output=models/bfpo-tau")
    typer.echo(f"    {rival} policy=safe-first output=models/dpo-safe-first")
    typer.echo(f"    {program} train")
