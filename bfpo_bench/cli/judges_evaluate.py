"""`bfpo-bench judges evaluate`: how far a judge agrees with people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bfpo_bench.cli import complete, options

Judges = Annotated[
    list[str],
    typer.Option(
        "--judge",
        metavar="JUDGE",
        help="NAME or NAME=MODEL of `judges list`, or a judge folder. Repeatable.",
        show_default=False,
        autocompletion=complete.judges,
    ),
]


def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Labelled responses: .jsonl, .json (a list of records) or .parquet.",
            show_default=False,
        ),
    ],
    judge: Judges,
    prompt_column: str | None = typer.Option(
        None, metavar="NAME", help="Column of the prompts.", show_default="guessed"
    ),
    response_column: str | None = typer.Option(
        None, metavar="NAME", help="Column of the responses.", show_default="guessed"
    ),
    label_column: str | None = typer.Option(
        None, metavar="NAME", help="Column of what people say.", show_default="guessed"
    ),
    map_: list[str] = typer.Option(
        [],
        "--map",
        metavar="VALUE=LABEL",
        help="Which of the judge's labels a value of that column stands for; VALUE= leaves its rows "
        "out. Repeatable.",
        show_default="guessed",
    ),
    where: list[str] = typer.Option(
        [],
        metavar="COLUMN=VALUE",
        help="Only rows with that value; all must hold. Repeatable.",
        show_default=False,
    ),
    limit: int | None = typer.Option(None, metavar="N", min=1, help="Only the first N such rows."),
    positive: str | None = typer.Option(
        None,
        metavar="LABELS",
        help="Labels, separated by commas, that count as one against the rest in the two-way kappa.",
        show_default="refusal,partial_refusal, or the judge's first",
    ),
    worst: int = typer.Option(5, metavar="N", min=0, help="How many disagreements to print."),
    out: Path | None = typer.Option(
        None, metavar="FILE.jsonl", help="Keep what people and judges say of every row."
    ),
    engine: options.Engine = "auto",
    engine_arg: options.EngineArgs = [],  # noqa: B006
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    judge_url: options.JudgeUrl = None,
    judge_price: options.JudgePrice = None,
    max_cost: options.MaxCost = None,
    offline: options.Offline = False,
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Measure how far judges agree with people's labels: kappa, confusion, worst disagreements.

    Unjudged responses count for no label: they lower the coverage, not the
    kappa. Degenerate ones, which no judge is shown, count as a label of their
    own. Intervals draw whole prompts, since responses to one prompt are not
    independent.

    A judge is not to be trusted for labels that it was tuned on.

        bfpo-bench judges evaluate labelled.jsonl --judge refusal
    """
    from bfpo_bench.cli.evaluate_view import as_json, print_evaluated, records
    from bfpo_bench.cli.ui import RichUi, Terminal
    from bfpo_bench.judge_evaluation import evaluate_judges
    from bfpo_bench.judges.labelled import Reading
    from bfpo_bench.judges.load import load_judge
    from bfpo_bench.judging import JudgeOptions, check_trusted, plan_judge
    from bfpo_bench.runs.folder import check_file
    from bfpo_bench.runs.jsonl import write_atomically

    if out is not None:
        check_file(out, read=(file,))
    ui = RichUi()
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
    judges = [load_judge(name) for name in dict.fromkeys(judge)]
    check_trusted(asked.trust_remote_code, (), judges)
    planned = [plan_judge(judge, asked, ui.note) for judge in judges]
    reading = Reading(
        prompt=prompt_column,
        response=response_column,
        label=label_column,
        map=tuple(map_),
        where=tuple(where),
        limit=limit,
    )
    sides = [label.strip() for label in positive.split(",")] if positive else []
    evaluated = evaluate_judges(planned, file, reading, sides, ui, asked.arguments)
    if out is not None:
        write_atomically(out, records(evaluated))
    if json_:
        import json

        typer.echo(json.dumps(as_json(evaluated, file, worst), indent=2))
    else:
        print_evaluated(Terminal(), evaluated, file, worst)
    raise typer.Exit(3 if evaluated.faults else 0)
