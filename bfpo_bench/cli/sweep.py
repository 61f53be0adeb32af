"""`bfpo-bench sweep`: one recipe over several values, and the front of what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bfpo_bench.cli import complete, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.request import Request
    from bfpo_bench.sweep.run import Sweep


def sweep(
    recipe: str | None = typer.Argument(
        None,
        metavar="RECIPE",
        help="A YAML file, or a shipped recipe's name.",
        show_default=False,
        autocompletion=complete.recipes,
    ),
    changes: list[str] | None = typer.Argument(
        None, metavar="KEY=VALUE", help="Changes to the recipe at all points.", show_default=False
    ),
    out: Path = typer.Option(
        ..., metavar="DIR", help="Where models, runs and the front go.", show_default=False
    ),
    over: list[str] = typer.Option(
        [],
        metavar="KEY=V,V[,V...]",
        help="A key of the recipe and its values, such as objective.tau=0.01,0.1. Repeatable: every "
        "combination is a point.",
        show_default=False,
    ),
    soup: tuple[str, str] | None = typer.Option(
        None,
        metavar="A B",
        help="In place of a recipe: merge these two models.",
        show_default=False,
    ),
    weights: str | None = typer.Option(
        None,
        metavar="W,W[,W...]",
        help="With --soup: how much of B each point has, such as 0,.25,.5,.75,1.",
        show_default=False,
    ),
    shard: str | None = typer.Option(
        None, metavar="I/N", help="Make and measure only the I-th of N parts of the points."
    ),
    suite: options.Suite = "bfpo",
    tasks: options.Tasks = [],  # noqa: B006
    engine: options.Engine = "auto",
    engine_arg: options.EngineArgs = [],  # noqa: B006
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    judge: options.Judges = [],  # noqa: B006
    judge_url: options.JudgeUrl = None,
    judge_price: options.JudgePrice = None,
    max_cost: options.MaxCost = None,
    baseline: options.Baseline = None,
    max_new_tokens: options.MaxNewTokens = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    leaderboard: options.Leaderboard = None,
    no_chat_template: options.NoChatTemplate = False,
    num_fewshot: options.NumFewshot = None,
    system_prompt: options.SystemPrompt = None,
    strict: options.Strict = False,
    allow_drift: options.AllowDrift = False,
    offline: options.Offline = False,
    stall_timeout: options.StallTimeout = 30,
    json_: bool = typer.Option(False, "--json", help="Print the points as JSON."),
) -> None:
    """Train and measure one recipe over several values, and draw the front.

    Each point is a training in DIR/POINT, a run in DIR/runs and a leaderboard row.
    DIR/front.csv, front.svg and front.png have both scores with their intervals.
    The same command goes on where it stopped; where a point fails
    the others go on.

        bfpo-bench sweep two-cores/bfpo --out tau --over objective.tau=0.03,0.1,0.3

    Without a recipe, soups of two models, theta = (1 - w) A + w B:

        bfpo-bench sweep --soup models/a models/b --out soup --weights 0,.5,1

    Several machines take --shard 1/N to N/N and draw nothing. With their DIRs in
    one, the same command without --shard does what is missing and draws.
    """
    import sys

    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.engines.select import check_loads
    from bfpo_bench.request import Request
    from bfpo_bench.runs.shard import read_shard

    check_loads(engine, "A sweep")
    request = Request(
        models=(),
        suite=suite,
        tasks=options.globs(tasks),
        engine=engine,
        engine_arguments=options.engine_arguments(engine_arg),
        shard=read_shard(shard) if shard is not None else None,
        trust_remote_code=tuple(trust_remote_code),
        allow_pickle=allow_pickle,
        judges=tuple(judge),
        judge_url=judge_url,
        judge_price=options.judge_price(judge_price),
        max_cost=max_cost,
        baseline=baseline,
        max_new_tokens=max_new_tokens,
        limit=limit,
        seed=seed,
        leaderboard=leaderboard,
        chat_template=not no_chat_template,
        num_fewshot=num_fewshot,
        system_prompt=system_prompt,
        strict=strict,
        allow_drift=allow_drift,
        offline=offline,
        stall_minutes=stall_timeout,
    )
    check_asked(recipe, changes, over, soup, weights)
    command, ui = ["bfpo-bench", *sys.argv[1:]], RichUi()
    if recipe is not None:
        wanted = _of_recipe(recipe, changes or [], over, out, request, command)
    else:
        assert soup is not None
        assert weights is not None
        wanted = _of_soup(soup, weights, out, request, ui)
    raise typer.Exit(_work(wanted, command, ui, json_))


def check_asked(
    recipe: str | None,
    changes: Sequence[str] | None,
    over: Sequence[str],
    soup: Any,
    weights: str | None,
) -> None:
    """Raises UserError unless one of the two kinds of sweep is asked for, and whole."""
    import os

    from bfpo_bench.errors import UserError

    if recipe is None and soup is None:
        raise UserError(
            "A sweep is of a recipe, with --over, or of a --soup, with --weights: give one."
        )
    if recipe is not None and (soup is not None or weights is not None):
        raise UserError("A recipe is trained and a --soup merged: leave RECIPE or --soup out.")
    if recipe is not None and not over:
        raise UserError("--over is missing: say what to sweep, such as objective.tau=0.01,0.1.")
    if soup is not None and (over or changes):
        raise UserError(
            "--over and KEY=VALUE change a recipe, and a --soup has none: leave them out."
        )
    if soup is not None and weights is None:
        raise UserError("--weights is missing: say how much of B, such as 0,.25,.5,.75,1.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "A sweep starts its trainings one by one, and accelerate launch has started several of it: "
            "launch `train` with output=DIR/POINT for each point, then give this command alone."
        )


def _of_recipe(
    recipe: str,
    changes: Sequence[str],
    over: Sequence[str],
    out: Path,
    request: Request,
    command: Sequence[str],
) -> Sweep:
    from bfpo_bench.cli.train import check_installed
    from bfpo_bench.sweep.grid import points_of, read_knob
    from bfpo_bench.sweep.run import Sweep
    from bfpo_bench.sweep.trainings import trainings_of
    from bfpo_bench.training.recipe import shipped

    check_installed()
    knobs = [read_knob(text) for text in over]
    points = points_of(Path(recipe).name.removesuffix(".yaml"), knobs)
    trainings = trainings_of(recipe, changes, knobs, points, out, command)
    source = recipe if recipe in shipped() else Path(recipe).name
    return Sweep(source, points, trainings, out, request)


def _of_soup(
    models: tuple[str, str], weights: str, out: Path, request: Request, ui: RichUi
) -> Sweep:
    from bfpo_bench.sweep.grid import points_of
    from bfpo_bench.sweep.run import Sweep
    from bfpo_bench.sweep.soups import read_weights, soups_of

    points = points_of("soup", [read_weights(weights)])
    soups = soups_of(models, out, ui)
    first, second = (Path(model).name or model for model in models)
    return Sweep(f"soup of {first} and {second}", points, soups, out, request)


def _work(wanted: Sweep, command: Sequence[str], ui: RichUi, as_json: bool) -> int:
    """Returns the exit code."""
    from bfpo_bench.cli import sweep_view
    from bfpo_bench.leaderboard.add import run_row
    from bfpo_bench.runs.jsonl import write_atomically
    from bfpo_bench.sweep.front import csv_of, front_of
    from bfpo_bench.sweep.picture import draw
    from bfpo_bench.sweep.run import prepare, work

    record = prepare(wanted, ui)
    outcomes = work(wanted, record, command, ui)
    measured = {o.point.name: (o.run.run_id, run_row(o.run)) for o in outcomes if o.run is not None}
    front, files = front_of(wanted.points, measured), list[Path]()
    if wanted.request.shard is None:
        write_atomically(wanted.out / "front.csv", csv_of(front))
        files = [wanted.out / "front.csv", *draw(front, wanted.source, wanted.out)]
    if as_json:
        sweep_view.print_json(wanted, front, outcomes, files)
    else:
        sweep_view.print_sweep(wanted, front, outcomes, files)
    return 3 if any(o.fault is not None for o in outcomes) else 0
