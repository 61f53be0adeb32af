"""`bfpo-bench train`: a model under comparison from a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete

if TYPE_CHECKING:
    from bfpo_bench.training.train import Trained


def train(
    recipe: str | None = typer.Argument(
        None,
        metavar="RECIPE",
        help="A YAML file, or a shipped recipe's name; without one they are listed.",
        show_default=False,
        autocompletion=complete.recipes,
    ),
    changes: list[str] | None = typer.Argument(
        None,
        metavar="KEY=VALUE",
        help="Changes to the recipe, such as training.max_steps=10 or output=DIR.",
        show_default=False,
    ),
    accelerate: str | None = typer.Option(
        None,
        "--accelerate",
        metavar="NAME",
        help="Print where the shipped accelerate configuration lies (ddp, fsdp2, zero2, zero3), and end.",
    ),
    json_: bool = typer.Option(
        False, "--json", help="Print the training manifest, or the recipes, as JSON."
    ),
) -> None:
    """Train a model by a recipe: supervised, BFPO, or a rival objective on the same pairs.

    The same command goes on from the last whole checkpoint.

    The same recipe on several GPUs, two or as many as --num_processes says:

        CONFIG=$(bfpo-bench train --accelerate fsdp2)
        accelerate launch --config_file $CONFIG -m bfpo_bench train RECIPE

    The result is measured with `bfpo-bench run --model OUTPUT`, its row says how it was trained.
    """
    import sys

    from bfpo_bench.errors import UserError
    from bfpo_bench.training.recipe import ACCELERATE, load_recipe, shipped

    if accelerate is not None:
        known = sorted(p.stem for p in ACCELERATE.glob("*.yaml"))
        if accelerate not in known:
            raise UserError(f"There is no configuration {accelerate}: {', '.join(known)}.")
        from bfpo_bench.training.processes import check_configuration

        check_configuration(accelerate)
        typer.echo(ACCELERATE / f"{accelerate}.yaml")
        return
    if recipe is None and json_:
        import json

        typer.echo(json.dumps(shipped(), indent=1))
        return
    if recipe is None:
        typer.echo("Recipes (bfpo-bench train NAME [KEY=VALUE]...):")
        for name in shipped():
            typer.echo(f"  {name}")
        return
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.training.processes import one_sentence

    with one_sentence():
        found = load_recipe(recipe, changes or [])
        check_installed()
        from bfpo_bench.training.train import train as run

        trained = run(found, ["bfpo-bench", *sys.argv[1:]], RichUi())
    from accelerate import PartialState

    if PartialState().is_main_process:
        _print(trained, json_)


def check_installed() -> None:
    from importlib.util import find_spec

    from bfpo_bench.errors import UserError

    if find_spec("trl") is None:
        raise UserError(
            "Training needs TRL, which is not installed: pip install -e '.[train]' in the checkout."
        )


def _print(trained: Trained, json_: bool) -> None:
    if json_:
        import json

        typer.echo(json.dumps(trained.manifest.model_dump(mode="json"), indent=1))
        return
    if trained.already:
        typer.echo(f"{trained.folder} is trained already; delete it to train it again.")
    else:
        typer.echo(f"model: {trained.folder} ({trained.manifest.describe()})")
    levels = " --levels all" if trained.manifest.levels is not None else ""
    typer.echo(f"next: bfpo-bench run --model {trained.folder}{levels}")
