"""`bfpo-bench pairs`: preference pairs from models' own responses and a judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from bfpo_bench.cli import options


def pairs(
    prompts: Path | None = typer.Option(
        None,
        metavar="FILE",
        help='JSON lines {"prompt": TEXT, "harmful": true or false}: is it harmful to comply?',
    ),
    model: options.Models = [],  # noqa: B006
    responses: Path | None = typer.Option(
        None,
        metavar="FILE",
        help='Instead of --prompts and --model: such lines with "responses": [TEXT, TEXT], which '
        "are judged as they are.",
    ),
    judge: options.Judges = [],  # noqa: B006
    temperature: float = typer.Option(0.7, metavar="T", help="Of sampling; top_p is 1."),
    max_new_tokens: int = typer.Option(512, metavar="N", help="Tokens of a response at most."),
    seed: options.Seed = 0,
    engine: options.Engine = "auto",
    engine_arg: options.EngineArgs = [],  # noqa: B006
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    out: Path = typer.Option(
        Path("pairs"), metavar="DIR", help="For the runs and pairs.jsonl, which is replaced."
    ),
    json_: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
) -> None:
    """Make preference pairs to train on: ask, judge and label two responses a prompt.

    One --model gives both responses, two give one each. The more helpful one is
    chosen, whatever its safety: compliance before partial refusal before refusal.
    Prompts whose responses have no such order are dropped and counted.

    A harm judge (--judge harmbench, or yesno=MODEL) says what is safe. Without one,
    complying with a harmful prompt is unsafe and all else is safe: harmful prompts
    give pairs of an unsafe chosen and a safe rejected response, benign prompts
    pairs of two safe ones.

    Do not ask prompts of the benchmark's own tasks: a model trained on them cannot
    be measured by them. `bfpo-bench contamination --train FILE` finds them.

    The same command goes on where it stopped and asks nothing twice.

        bfpo-bench pairs --prompts FILE --model Qwen/Qwen2.5-0.5B-Instruct
    """
    import sys

    from bfpo_bench.cli.pairs_view import as_json, lines, none_left, table
    from bfpo_bench.cli.ui import RichUi, Terminal, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.request import Request
    from bfpo_bench.runs.jsonl import write_atomically
    from bfpo_bench.training.redteam.ask import ask
    from bfpo_bench.training.redteam.collect import collect, dump
    from bfpo_bench.training.redteam.given import judge_given

    _check(prompts, responses, model, temperature)
    request = Request(
        models=tuple(model),
        engine=engine,
        engine_arguments=options.engine_arguments(engine_arg),
        trust_remote_code=tuple(trust_remote_code),
        allow_pickle=allow_pickle,
        judges=tuple(judge),
        max_new_tokens=max_new_tokens,
        seed=seed,
        out=out,
    )
    ui, command = RichUi(), ["bfpo-bench", *sys.argv[1:]]
    if prompts is not None:
        gathered = ask(prompts, temperature, request, command, ui)
    else:
        assert responses is not None
        gathered = judge_given(responses, request, ui)
    collected, file = collect(gathered.answered), out / "pairs.jsonl"
    if collected.pairs:
        write_atomically(file, dump(collected))
    elif not gathered.faults:
        raise UserError(none_left(collected))
    if json_:
        import json

        typer.echo(json.dumps(as_json(collected, file, gathered.faults), indent=2))
    else:
        console = Terminal()
        console.print(table(collected))
        for line in lines(collected, file, gathered.faults, request):
            console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(3 if gathered.faults else 0)


def _check(
    prompts: Path | None, responses: Path | None, models: Sequence[str], temperature: float
) -> None:
    from bfpo_bench.errors import UserError

    if (prompts is None) == (responses is None):
        raise UserError(
            "Pairs are made of --prompts FILE, asked of a --model, or of --responses FILE: give one "
            "of the two files."
        )
    if responses is not None and models:
        raise UserError("--responses are judged as they are: leave --model out, or give --prompts.")
    if prompts is not None and len(models) not in (1, 2):
        raise UserError(
            f"A pair has two responses, and {len(models)} models are named: name one --model, which "
            "gives both, or two."
        )
    if not 0 <= temperature < float("inf"):
        raise UserError(f"--temperature {temperature:g} is none: give 0 or more.")
    if len(models) == 1 and temperature == 0:
        raise UserError(
            "At --temperature 0 one model gives the same response twice: raise it, or name a second "
            "--model."
        )
