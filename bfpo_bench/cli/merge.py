"""`bfpo-bench merge`: a model whose weights are a weighted sum of others'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bfpo_bench.training.merging.checks import Ingredient
    from bfpo_bench.training.merging.writing import Merged


def merge(
    models: list[str] = typer.Argument(
        ...,
        metavar="A B [C ...]",
        help="Two checkpoints or more: hub ids, id@revision, or folders.",
        show_default=False,
    ),
    out: Path = typer.Option(
        ..., metavar="DIR", help="The folder to write: a new one, or empty.", show_default=False
    ),
    weights: str | None = typer.Option(
        None,
        metavar="W,W[,W...]",
        help="One number a model; they sum to 1 and may be negative.",
        show_default="equal",
    ),
    vectors: str | None = typer.Option(
        None,
        metavar="ETA[,ETA...]",
        help="The models are BASE PLUS MINUS [PLUS MINUS ...]: one number a preference vector.",
        show_default=False,
    ),
    shard_size: str = typer.Option(
        "5GB", metavar="SIZE", help="The most bytes a file of weights may have."
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Merge checkpoints of one network linearly: theta = sum_i w_i theta_i.

    The soup of a helpful and a safe model lies between them (rewarded soups, P-SACPO).
    Weights 1,1,-1, with a common base as the third, add up what two trainings changed in it.

    --vectors adds preference vectors to a base: theta = base + sum_i eta_i (plus_i - minus_i).
    Of each pair minus was trained on plus's data with swapped labels, both from that base.

    Configuration, tokenizer and chat template are the first model's.
    No model is loaded whole: memory holds one tensor of each at a time.

        bfpo-bench merge models/helpful models/safe --weights .5,.5 --out soups/half
        bfpo-bench merge models/base models/plus models/minus --vectors .5 --out soups/vector
    """
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.errors import UserError
    from bfpo_bench.training.merging.draft_folder import check_vacant

    if len(models) < 2:
        raise UserError("A merge takes at least two models: name another.")
    if vectors is not None and weights is not None:
        raise UserError("--vectors says the weights of all models: leave --weights out.")
    check_vacant(out)
    from bfpo_bench.progress import Progress
    from bfpo_bench.training.merging import soup as soups
    from bfpo_bench.training.merging.checks import check_same_network
    from bfpo_bench.training.merging.subjects import ingredients, resolve, template_notes
    from bfpo_bench.training.merging.tensor_files import parse_size
    from bfpo_bench.training.merging.vectors import vector_weights

    if vectors is not None:
        shares = vector_weights(vectors, len(models))
    else:
        shares = soups.parse_weights(weights, len(models))
    shard_bytes = parse_size(shard_size)
    ui = RichUi()
    subjects = resolve(models, ui)
    summands = ingredients(subjects, shares)
    check_same_network(summands)
    if vectors is not None:
        from bfpo_bench.training.merging.origin import check_trained_from

        for sentence in check_trained_from(subjects[0], subjects[1:]):
            ui.note(sentence)
    for sentence in template_notes(subjects):
        ui.note(sentence)
    for subject in subjects:
        subject.base.materialise()
    with ui.stage("merge") as report:
        done = soups.merge(
            summands,
            soups.kept_files(subjects[0].base.files),
            out,
            shard_bytes,
            lambda count, total: report(Progress("tensors", count, total)),
        )
    _print(out, done, summands, json_)


def _print(out: Path, done: Merged, ingredients: Sequence[Ingredient], json_: bool) -> None:
    import json
    import shlex

    from bfpo_bench.cli.ui import plain

    if json_:
        models = [{"model": one.name, "weight": one.weight} for one in ingredients]
        told = {"out": str(out), "models": models, "tensors": done.tensors}
        told |= {"parameters": done.parameters, "files": done.shards}
        typer.echo(json.dumps(told, indent=2))
        return
    files = "1 file" if done.shards == 1 else f"{done.shards} files"
    typer.echo(f"{out}: {done.tensors:,} tensors, {done.parameters:,} parameters in {files}")
    for ingredient in ingredients:
        typer.echo(f"  {ingredient.weight:g} x {plain(ingredient.name)}")
    typer.echo(f"next: bfpo-bench run --model {shlex.quote(str(out))}")
