"""`bfpo-bench levels`: levels of helpfulness and safety for responses, by two judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bfpo_bench.cli import complete, options


def levels(
    responses: Annotated[
        Path,
        typer.Argument(
            metavar="RESPONSES.jsonl",
            help="Lines {prompt, response} or {messages}, or pairs, whose lines are two responses.",
        ),
    ],
    helpfulness: Annotated[
        str,
        typer.Option(
            metavar="JUDGE",
            help="NAME or NAME=MODEL of `judges list`, or a judge folder: a reward model, or a judge of "
            "ratings or refusals.",
            autocompletion=complete.judges,
        ),
    ],
    safety: Annotated[
        str,
        typer.Option(
            metavar="JUDGE",
            help="Likewise: a judge of harm or toxicity, or a reward model of safety.",
            autocompletion=complete.judges,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The same responses with levels; replaced.")
    ],
    count: Annotated[
        int | None,
        typer.Option(
            "--levels",
            min=2,
            max=10,
            metavar="N",
            help="Levels of each, 0 to N - 1.",
            show_default="5, or what --cuts has",
        ),
    ] = None,
    cuts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Level by the cuts of another file, which lie beside it as NAME.cuts.json.",
        ),
    ] = None,
    engine: options.Engine = "auto",
    engine_arg: options.EngineArgs = [],  # noqa: B006
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    judge_url: options.JudgeUrl = None,
    judge_price: options.JudgePrice = None,
    max_cost: options.MaxCost = None,
    offline: options.Offline = False,
    json_: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
) -> None:
    """Give responses levels of helpfulness and safety, for training with `levels`.

    Rewards and grades are cut at quantiles, so that each level has as many
    responses as the next; probabilities and labels into equal widths. A score at a
    cut belongs to the lower level. The cuts are kept in FILE.cuts.json.

    A judge of harmful prompts alone, as harm is, needs "harmful": true or false in
    each line: what answers a benign prompt is safe.

    Responses that a judge could not judge are left out and counted. What a judge
    with a model has said is remembered: the same command goes on.

        bfpo-bench levels F.jsonl --helpfulness refusal --safety harm --out L.jsonl
    """
    import json

    from bfpo_bench.cli.levels_view import as_json, lines
    from bfpo_bench.cli.ui import RichUi, Terminal, plain
    from bfpo_bench.judges.load import load_judge
    from bfpo_bench.judging import JudgeOptions, check_trusted, plan_judge
    from bfpo_bench.runs.folder import check_file
    from bfpo_bench.training.control.judged import check_axis
    from bfpo_bench.training.control.level_file import level_file
    from bfpo_bench.training.control.sidecar import sidecar

    check_file(out, read=(responses,) if cuts is None else (responses, cuts))
    check_file(sidecar(out), read=(responses,))
    asked = JudgeOptions(
        engine=engine,
        arguments=options.engine_arguments(engine_arg),
        trust_remote_code=tuple(trust_remote_code),
        allow_pickle=allow_pickle,
        url=judge_url,
        price=options.judge_price(judge_price),
        max_cost=max_cost,
        offline=offline,
    )
    ui, first, second = RichUi(), load_judge(helpfulness), load_judge(safety)
    check_axis(first.spec, "helpfulness")
    check_axis(second.spec, "safety")
    check_trusted(asked.trust_remote_code, (), [first, second])
    found = level_file(
        responses,
        out,
        {
            "helpfulness": plan_judge(first, asked, ui.note),
            "safety": plan_judge(second, asked, ui.note),
        },
        count,
        cuts,
        ui,
        asked.arguments,
    )
    if json_:
        typer.echo(json.dumps(as_json(found, out), indent=2))
    else:
        console = Terminal()
        for line in lines(found, out):
            console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(3 if found.faults else 0)
