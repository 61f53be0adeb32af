"""`bfpo-bench snip`: how much each weight of a trained model matters to what it was trained on."""

from __future__ import annotations

from pathlib import Path

import typer


def snip(
    model: str = typer.Argument(
        ..., metavar="MODEL", help="A folder that `bfpo-bench train` wrote.", show_default=False
    ),
    out: Path = typer.Option(
        ..., metavar="DIR", help="The folder to write: a new one, or empty.", show_default=False
    ),
    examples: int = typer.Option(
        128, metavar="N", min=1, help="The first so many pairs of its training data."
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Score the weights of a patch by SNIP: the mean of |w dL/dw| over its own training data.

    L is the negative log-likelihood a token of the chosen response, on the pairs of the
    recipe in the model's training manifest. Weights of linear layers are scored, besides
    the output head. Memory holds the model and as many scores as it has weights.

        bfpo-bench snip models/safety --out scores/safety
    """
    from bfpo_bench.cli.train import check_installed
    from bfpo_bench.cli.ui import RichUi, plain
    from bfpo_bench.engines.subject import resolve_subject
    from bfpo_bench.progress import Progress
    from bfpo_bench.training.merging.draft_folder import check_vacant

    check_vacant(out)
    check_installed()
    ui = RichUi()
    with ui.stage("model") as report:
        subject = resolve_subject(model, lambda text: report(Progress(text)))
    from bfpo_bench.training.merging.score import score

    with ui.stage("snip") as report:
        told = score(
            subject, out, examples, lambda done, total: report(Progress("examples", done, total))
        )
    if json_:
        typer.echo(told.model_dump_json(indent=2))
        return
    typer.echo(
        f"{out}: scores of {plain(told.model)} on {told.examples:,} responses "
        f"({told.loss:.3g} nats a token)"
    )
