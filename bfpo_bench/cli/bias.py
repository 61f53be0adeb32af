"""`bfpo-bench bias`: what a safety-aligned model prefers whatever it is asked, to be subtracted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from bfpo_bench.cli import options

if TYPE_CHECKING:
    from bfpo_bench.engines.steering.file import StoredBias


def bias(
    model: str = typer.Option(
        ..., "--model", "-m", metavar="MODEL", help="The safety-aligned one.", show_default=False
    ),
    reference: str = typer.Option(
        ..., metavar="MODEL", help="The one it was aligned from.", show_default=False
    ),
    prompts: Path = typer.Option(
        ..., metavar="FILE", help='JSON lines {"prompt": TEXT}.', show_default=False
    ),
    out: Path = typer.Option(
        ..., metavar="FILE", help="A safetensors file, which is replaced.", show_default=False
    ),
    positions: int = typer.Option(5, metavar="N", help="How many first tokens of an answer."),
    difference: Literal["logprobs", "probs"] = typer.Option(
        "logprobs", help="Of log-probabilities (logprobs) or probabilities (probs)."
    ),
    random: int | None = typer.Option(
        None,
        metavar="N",
        help="Ask N prompts without a meaning instead, made of the file's words at random.",
        show_default="the file's own prompts",
    ),
    seed: int = typer.Option(0, metavar="N", help="Of --random."),
    no_chat_template: options.NoChatTemplate = False,
    engine_arg: options.EngineArgs = [],  # noqa: B006
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Estimate what safety alignment added to the first tokens of any answer (TSDI).

    For each position: the mean over the prompts of how much more the model favours
    each token than its reference does, after the same tokens. Later positions
    follow the model's own greedy answers.

    Both run on transformers, one after the other; --engine-arg takes dtype,
    device and batch_size. An estimate that is stopped begins anew.

        bfpo-bench bias --model SAFE --reference BASE --prompts FILE --out a.bias

    `bfpo-bench run --model SAFE --bias a.bias` measures the model without it.
    """
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.engines.steering.make import BiasRequest, make_bias
    from bfpo_bench.progress import Progress

    asked = BiasRequest(
        model=model,
        reference=reference,
        prompts=prompts,
        positions=positions,
        out=out,
        difference=difference,
        random=random,
        seed=seed,
        chat_template=not no_chat_template,
        engine_arguments=options.engine_arguments(engine_arg),
        trust_remote_code=tuple(trust_remote_code),
        allow_pickle=allow_pickle,
    )
    ui = RichUi()
    with ui.stage("bias") as report:
        found, cut = make_bias(
            asked, lambda phase, done, total: report(Progress(phase, done, total))
        )
    if cut:
        ui.note(f"{cut} prompts were cut from the left to the models' context")
    _print(found, asked.model, out, json_)


def _print(found: StoredBias, model: str, out: Path, json_: bool) -> None:
    import json
    import shlex

    from bfpo_bench.cli.ui import plain

    told = found.provenance
    if json_:
        shape = [found.positions, found.vocabulary_size]
        whole = {"out": str(out), "sha256": found.sha256, "shape": shape}
        typer.echo(json.dumps(whole | told.model_dump(mode="json"), indent=2))
        return
    typer.echo(
        f"{out}: {found.positions} positions x {found.vocabulary_size:,} tokens, "
        f"bias {found.sha256[:8]}, over {told.prompts.prompts:,} prompts"
    )
    if told.counts[-1] < told.prompts.prompts:
        typer.echo(f"  prompts that reach each position: {', '.join(map(str, told.counts))}")
    typer.echo(
        plain(f"next: bfpo-bench run --model {shlex.quote(model)} --bias {shlex.quote(str(out))}")
    )
