"""`bfpo-bench segments`: rewards of the segments of pairs, by a judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bfpo_bench.cli import complete, options


def segments(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS.jsonl", help="What source jsonl of a recipe reads.")
    ],
    judge: Annotated[
        str,
        typer.Option(
            metavar="JUDGE",
            help="NAME or NAME=MODEL of `judges list`, or a judge folder: a reward model, or a judge of "
            "ratings, harm, toxicity or refusals.",
            autocompletion=complete.judges,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The same pairs with segments; replaced.")
    ],
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
    """Cut the responses of pairs into segments and give each a reward, for training with `ama`.

    A segment is a sentence, a list item or a block of code. The judge scores every
    beginning of a response that ends with a segment, and the segment's reward is
    that score less the one before it; so the rewards add up to the score of the whole.

    A judge of harmful prompts alone, as harm is, needs "harmful": true or false in
    each line, and pairs of the others are left out. So does one of refusals, which
    are right for harmful prompts and wrong for benign ones.

    Pairs with a beginning that was not judged are left out and counted. What a
    judge with a model has said is remembered: the same command goes on.

        bfpo-bench segments pairs.jsonl --judge harm --out segmented.jsonl
    """
    import json

    from bfpo_bench.cli.ui import RichUi, Terminal, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.judges.load import load_judge
    from bfpo_bench.judging import JudgeOptions, check_trusted, plan_judge
    from bfpo_bench.runs.folder import check_file
    from bfpo_bench.runs.jsonl import write_atomically
    from bfpo_bench.training.ama.judged import (
        check_segment_kinds,
        read_rows,
        segment_pairs,
    )
    from bfpo_bench.training.ama.rewards import check_judge

    check_file(out, read=(pairs,))
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
    loaded, ui = load_judge(judge), RichUi()
    check_judge(loaded.spec)
    check_trusted(asked.trust_remote_code, (), [loaded])
    rows, dropped = read_rows(pairs)
    check_segment_kinds(pairs, rows, loaded.spec)
    found = segment_pairs(rows, plan_judge(loaded, asked, ui.note), ui, asked.arguments)
    left_out = {**dropped, **found.left_out}
    told = {
        "file": str(out) if found.records else None,
        "pairs": len(found.records),
        "segments": found.segments,
        "left_out": left_out,
        "faults": found.faults,
    }
    if found.records:
        write_atomically(out, (json.dumps(r, ensure_ascii=False) + "\n" for r in found.records))
    elif not found.faults:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise UserError(f"{pairs}: no pair is left ({reasons or 'it has none'}): give other pairs.")
    if json_:
        typer.echo(json.dumps(told, indent=2))
    else:
        console = Terminal()
        written = f"{told['pairs']:,} pairs with {found.segments:,} segments: {out}"
        lines = [written] if found.records else []
        lines += [f"left out: {count:,} {reason}" for reason, count in left_out.items()]
        for line in (*found.faults, *lines):
            console.print(plain(line), highlight=False, soft_wrap=True)
    raise typer.Exit(3 if found.faults else 0)
