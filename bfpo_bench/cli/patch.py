"""`bfpo-bench patch`: a base with a safety and an over-safety patch (SafePatching)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bfpo_bench.training.merging.checks import Ingredient
    from bfpo_bench.training.merging.patches import Patched


def patch(
    base: str = typer.Argument(
        ..., metavar="BASE", help="A hub id, id@revision, or folder.", show_default=False
    ),
    safety: tuple[str, Path] = typer.Option(
        ...,
        metavar="MODEL SCORES",
        help="What was trained from BASE to unlearn harmful responses, and its `snip` folder.",
        show_default=False,
    ),
    over_safety: tuple[str, Path] = typer.Option(
        ...,
        "--over-safety",
        metavar="MODEL SCORES",
        help="What was trained from BASE on the same responses, and its `snip` folder.",
        show_default=False,
    ),
    out: Path = typer.Option(
        ..., metavar="DIR", help="The folder to write: a new one, or empty.", show_default=False
    ),
    factors: str = typer.Option("1,1", metavar="A,B", help="How strong each patch is."),
    shares: str = typer.Option(
        ".1,.1", metavar="A,B", help="Each one's share of top scores, to 1."
    ),
    retain: float = typer.Option(
        1.0, metavar="P", help="The probability with which an entry of a patch is kept, to 1."
    ),
    seed: int = typer.Option(42, metavar="N", min=0, help="Of that draw."),
    shard_size: str = typer.Option(
        "5GB", metavar="SIZE", help="The most bytes a file of weights may have."
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Patch a base for safety and against over-safety (SafePatching).

    theta = base + a m_s (safety - base) + b m_o (over_safety - base). Of each scored
    weight m_s has the entries in the top share of the safety patch's scores that are not
    in the over-safety patch's, and m_o the other way round: no entry has both.

    Configuration, tokenizer and chat template are the base's, and so is what has no scores.
    No model is loaded whole: memory holds one tensor of each at a time.

        bfpo-bench patch models/base --safety models/safety scores/safety \\
            --over-safety models/over scores/over --out models/patched
    """
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.progress import Progress
    from bfpo_bench.training.merging import patches
    from bfpo_bench.training.merging.checks import check_same_network
    from bfpo_bench.training.merging.draft_folder import check_vacant
    from bfpo_bench.training.merging.origin import check_trained_from
    from bfpo_bench.training.merging.scores import check_scores_of, read_scores
    from bfpo_bench.training.merging.soup import kept_files
    from bfpo_bench.training.merging.subjects import ingredients, resolve
    from bfpo_bench.training.merging.tensor_files import parse_size

    check_vacant(out)
    strengths = patches.pair_of_numbers("--factors", factors)
    settings = patches.Settings(patches.pair_of_numbers("--shares", shares), retain, seed)
    shard_bytes, ui = parse_size(shard_size), RichUi()
    scores = [read_scores(folder) for _, folder in (safety, over_safety)]
    subjects = resolve([base, safety[0], over_safety[0]], ui)
    models = ingredients(subjects, (1.0, *strengths))
    check_same_network(models)
    for sentence in check_trained_from(subjects[0], subjects[1:]):
        ui.note(sentence)
    for folder, one, (told, _) in zip((safety[1], over_safety[1]), models[1:], scores, strict=True):
        check_scores_of(folder, told, one.name, one.identity)
    for subject in subjects:
        subject.base.materialise()
    both = [
        patches.Patch(model, found, told.examples)
        for model, (told, found) in zip(models[1:], scores, strict=True)
    ]
    with ui.stage("patch") as report:
        done = patches.patch(
            models[0],
            (both[0], both[1]),
            settings,
            kept_files(subjects[0].base.files),
            out,
            shard_bytes,
            lambda count, total: report(Progress("tensors", count, total)),
        )
    _print(out, done, models, json_)


def _print(out: Path, done: Patched, ingredients: Sequence[Ingredient], json_: bool) -> None:
    import json
    import shlex

    from bfpo_bench.cli.ui import plain

    base, *patches = ingredients
    parts = list(zip(("safety", "over-safety"), patches, done.entries, strict=True))
    merged = done.merged
    if json_:
        told = {"out": str(out), "base": base.name, "parameters": merged.parameters}
        for name, model, entries in parts:
            told[name] = {"model": model.name, "factor": model.weight, "entries": entries}
        typer.echo(json.dumps(told, indent=2))
        return
    files = "1 file" if merged.shards == 1 else f"{merged.shards} files"
    typer.echo(f"{out}: {merged.tensors:,} tensors, {merged.parameters:,} parameters in {files}")
    for name, model, entries in parts:
        share = 100 * entries / merged.parameters
        typer.echo(
            f"  {name}: {model.weight:g} x {plain(model.name)} at {entries:,} weights ({share:.2g} %)"
        )
    typer.echo(f"next: bfpo-bench run --model {shlex.quote(str(out))}")
