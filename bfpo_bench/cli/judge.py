"""`bfpo-bench judge`: judge what is stored, or lines from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bfpo_bench.cli import complete, options
from bfpo_bench.cli.complain import complain

if TYPE_CHECKING:
    from bfpo_bench.judges.finding import Finding
    from bfpo_bench.judges.lines import Line
    from bfpo_bench.judging import PlannedJudge
    from bfpo_bench.request import Request


def judge(
    runs: list[Path] = typer.Argument(
        None,
        metavar="[RUN]...",
        help="Run folders, as in runs/.",
        autocompletion=complete.runs,
    ),
    judge: options.Judges = [],  # noqa: B006
    input_: Path | None = typer.Option(
        None, "--input", metavar="FILE", help="JSON lines with `prompt` and `response` instead."
    ),
    output: Path | None = typer.Option(
        None, "--output", metavar="FILE", help="Where the judged lines go."
    ),
    engine: options.Engine = "auto",
    engine_arg: options.EngineArgs = [],  # noqa: B006
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    judge_url: options.JudgeUrl = None,
    judge_price: options.JudgePrice = None,
    max_cost: options.MaxCost = None,
    baseline: options.Baseline = None,
    suite: str | None = typer.Option(
        None,
        metavar="SUITE",
        help="The runs' suite, where it is a file of yours.",
        autocompletion=complete.suites,
    ),
    leaderboard: options.Leaderboard = None,
    stall_timeout: options.StallTimeout = 30,
    json_: bool = typer.Option(
        False, "--json", help="Print the scores, or with --input the counts, as JSON."
    ),
) -> None:
    """Judge stored responses again, or any prompts and responses; no model under test is loaded.

    A run is scored anew by the judges named and gets a row of its own. Its scores.json is that of the
    judges last asked for; the row of each set of judges stays in the leaderboard. Several judges of a kind are a
    panel: the first decides, and how far they agree is shown.

        bfpo-bench judge runs/MODEL-1a2b3c4d --judge harmbench --judge yesno=JUDGE_MODEL

    Lines keep their fields, and get `label`, `score`, `raw` and `error`: as many lines as there were,
    in their order.

        bfpo-bench judge --input answers.jsonl --output judged.jsonl --judge refusal

    Nothing is judged twice: what a judge has said of a text is remembered across runs and models.
    """
    from bfpo_bench.errors import UserError
    from bfpo_bench.request import Request

    if bool(runs) == (input_ is not None):
        raise UserError("Name what to judge: run folders, or --input FILE with --output FILE.")
    if (input_ is None) != (output is None):
        raise UserError("--input and --output go together: name the file to write as well.")
    request = Request(
        models=(),
        judges=tuple(judge),
        engine=engine,
        engine_arguments=options.engine_arguments(engine_arg),
        trust_remote_code=tuple(trust_remote_code),
        allow_pickle=allow_pickle,
        judge_url=judge_url,
        judge_price=options.judge_price(judge_price),
        max_cost=max_cost,
        baseline=baseline,
        leaderboard=leaderboard,
        stall_minutes=stall_timeout,
    )
    if input_ is not None and output is not None:
        if baseline or suite or leaderboard:
            raise UserError(
                "--baseline, --suite and --leaderboard are for runs: leave them out with --input."
            )
        raise typer.Exit(_judge_lines(input_, output, request, json_))
    raise typer.Exit(_judge_runs(runs, suite, request, json_))


def _judge_lines(source: Path, target: Path, request: Request, as_json: bool) -> int:
    from bfpo_bench.cli.ui import RichUi, plain
    from bfpo_bench.errors import UserError
    from bfpo_bench.judges.lines import judged_lines, read_lines, write_lines
    from bfpo_bench.judges.load import load_judge
    from bfpo_bench.judging import check_trusted, judge_texts, plan_judge
    from bfpo_bench.request import judge_options
    from bfpo_bench.runs.folder import check_file
    from bfpo_bench.stages.process import StageCrash

    if len(request.judges) != 1:
        raise UserError("Lines are judged by one judge: name it with --judge.")
    check_file(target, "--output", read=(source,))
    ui = RichUi()
    lines = read_lines(source)
    chosen = judge_options(request)
    judge = load_judge(request.judges[0])
    check_trusted(chosen.trust_remote_code, (), [judge])
    planned = plan_judge(judge, chosen, ui.note)
    _check_lines(planned, lines)
    try:
        texts = [line.text for line in lines]
        found = judge_texts(planned, texts, ui, chosen.arguments, request.stall_seconds)
    except StageCrash as crash:
        broken = f"judge {planned.judge.key} broke off: {crash}"
        complain(plain(broken), "red")
        return 3
    write_lines(target, judged_lines(lines, found))
    for note in _told(lines, found):
        ui.note(note)
    if as_json:
        typer.echo(_counts(target, found))
    return 3 if any(f.fault for f in found) else 0


def _check_lines(planned: PlannedJudge, lines: Sequence[Line]) -> None:
    """Raises UserError for a judge that needs what no line has."""
    from bfpo_bench.errors import UserError

    key, spec = planned.judge.key, planned.judge.spec
    if spec.document or spec.document_fields:
        raise UserError(
            f"Judge {key} reads the documents of a task, which lines do not have: judge a run by it."
        )
    compares = spec.kind == "preference" and spec.engine != "score"
    if compares and not any(line.text.baseline is not None for line in lines):
        raise UserError(
            f"Judge {key} compares two responses: give the other one as `baseline` in each line."
        )


def _counts(target: Path, found: Sequence[Finding]) -> str:
    """What `_told` says, as JSON."""
    import json
    from collections import Counter

    told = {
        "file": str(target),
        "lines": len(found),
        "labels": Counter(f.label for f in found),
        "unjudged": Counter(f.error for f in found if f.label == "unjudged"),
        "faults": sum(bool(f.fault) for f in found),
    }
    return json.dumps(told, indent=2)


def _told(lines: Sequence[Line], found: Sequence[Finding]) -> list[str]:
    from collections import Counter

    counts = Counter(f.label for f in found)
    told = [f"{len(lines)} lines: {', '.join(f'{n} {label}' for label, n in counts.most_common())}"]
    reasons = Counter(f.error for f in found if f.label == "unjudged")
    told += [f"{count} unjudged: {reason}" for reason, count in reasons.most_common()]
    if any(f.fault for f in found):
        told.append("the same command asks again what could not be asked")
    return told


def _judge_runs(runs: Sequence[Path], suite: str | None, request: Request, as_json: bool) -> int:
    import sys

    from bfpo_bench.cli.rejudged_view import print_rejudged
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.judging import left_out
    from bfpo_bench.progress import Progress
    from bfpo_bench.rejudge import plan_rejudging, rejudge

    ui = RichUi()
    with ui.stage("plan") as report:
        plan = plan_rejudging(runs, suite, request, lambda text: report(Progress(text)))
    for note in left_out(plan.wanted.judges):
        ui.note(note)
    done = rejudge(plan, ["bfpo-bench", *sys.argv[1:]], ui)
    print_rejudged([(plan.wanted.leaderboard, one) for one in done], as_json)
    return 3 if any(one.scores.faults for one in done) else 0
