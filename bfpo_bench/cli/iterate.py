"""`bfpo-bench iterate`: train in rounds, each on pairs of the last model's own responses."""

from __future__ import annotations

from pathlib import Path

import typer

from bfpo_bench.cli import complete, options


def iterate(
    recipe: str = typer.Argument(
        ...,
        metavar="RECIPE",
        help="A recipe of stage preference, as of `train`: its data are replaced by each round's "
        "pairs, its buffer stays.",
        show_default=False,
        autocompletion=complete.recipes,
    ),
    changes: list[str] | None = typer.Argument(
        None,
        metavar="KEY=VALUE",
        help="Changes to the recipe, such as model=ID or training.max_steps=10.",
        show_default=False,
    ),
    rounds: int = typer.Option(..., metavar="N", help="How many at most.", show_default=False),
    prompts: Path = typer.Option(
        ...,
        metavar="FILE",
        help='JSON lines {"prompt": TEXT, "harmful": true or false}: asked anew in each round.',
        show_default=False,
    ),
    out: Path | None = typer.Option(
        None,
        metavar="DIR",
        help="For the rounds: their pairs and models.",
        show_default="iterations/ and the name of the recipe's output",
    ),
    judge: options.Judges = [],  # noqa: B006
    temperature: float = typer.Option(
        0.7, metavar="T", help="Of the responses that make pairs; top_p is 1."
    ),
    max_new_tokens: int = typer.Option(512, metavar="N", help="Tokens of such a response at most."),
    suite: options.Suite = "bfpo",
    tasks: options.Tasks = [],  # noqa: B006
    limit: options.Limit = None,
    gate: Path | None = typer.Option(
        None,
        metavar="RULES.yaml",
        help="Rules as of `compare --gate`, of each round against the one before.",
        show_default="helpfulness and harmlessness are not shown to fall",
    ),
    engine: str = typer.Option(
        "auto",
        metavar="ENGINE",
        help="auto, vllm, transformers or ray, for all that is asked; auto as in `run`.",
    ),
    engine_arg: options.EngineArgs = [],  # noqa: B006
    runs: Path = typer.Option(
        Path("runs"), metavar="DIR", help="Where the runs live that measure the rounds."
    ),
    leaderboard: options.Leaderboard = None,
    json_: bool = typer.Option(False, "--json", help="Print iteration.json."),
) -> None:
    """Align in rounds: ask, judge, pair, train, measure, and again with the trained model.

    Round K asks the model of round K-1 twice for each prompt, pairs its responses
    as `bfpo-bench pairs` does, and trains from that model, which is the reference
    as well. Each round, and the model that the first begins with, is measured: a
    run and a row.

    It stops by itself where a round breaks the gate against the round before.

    The same command goes on where it stopped, with a larger --rounds for more.

    The judges that label the pairs also measure: judge the runs again with
    another one (`bfpo-bench judge RUN --judge NAME`) before you believe a gain.

        bfpo-bench iterate two-cores/bfpo --rounds 3 --prompts FILE
    """
    import sys

    from bfpo_bench.cli.iterate_view import as_json, print_rounds
    from bfpo_bench.cli.train import check_installed
    from bfpo_bench.cli.ui import RichUi, Terminal
    from bfpo_bench.iterate.asked import Asked, check
    from bfpo_bench.iterate.folder import Folder
    from bfpo_bench.leaderboard.compare.gate import read_rules
    from bfpo_bench.training.recipe import load_recipe

    _check_place(changes or [])
    check_installed()
    found = load_recipe(recipe, changes or [])
    asked = Asked(
        recipe=found,
        rounds=rounds,
        prompts=prompts,
        out=out or Path("iterations") / found.output.name,
        rules=None if gate is None else read_rules(gate),
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        judges=tuple(judge),
        suite=suite,
        tasks=options.globs(tasks),
        limit=limit,
        engine=engine,
        engine_arguments=options.engine_arguments(engine_arg),
        runs=runs,
        leaderboard=leaderboard,
    )
    check(asked)
    from bfpo_bench.iterate.acts import Acts, Broken
    from bfpo_bench.iterate.loop import iterate as run
    from bfpo_bench.iterate.state import read

    ui, fault = RichUi(), None
    try:
        run(asked, Acts(asked, ["bfpo-bench", *sys.argv[1:]], ui), ui)
    except Broken as broken:
        fault = str(broken)
    state = read(Folder(asked.out))
    if json_:
        typer.echo(as_json(state, fault))
    else:
        print_rounds(Terminal(), state, fault)
    raise typer.Exit(3 if fault is not None else 1 if state.ended == "gate" else 0)


def _check_place(changes: list[str]) -> None:
    import os

    from bfpo_bench.errors import UserError

    if any(change.partition("=")[0] == "output" for change in changes):
        raise UserError(
            "Each round's model has its place below --out: leave output out, and give --out."
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "`iterate` trains in one process, and several were launched: start it without a launcher, or "
            "give `pairs`, `accelerate launch ... train` and `run` in turn."
        )
