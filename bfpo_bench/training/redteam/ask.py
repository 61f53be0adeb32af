"""Two responses a prompt from the user's models, asked and judged by the pipeline of `bfpo-bench run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bfpo_bench.pipeline import execute
from bfpo_bench.plan import Plan, make_plan
from bfpo_bench.progress import Progress, Ui
from bfpo_bench.request import Request
from bfpo_bench.runs.folder import RunFolder, check_writable
from bfpo_bench.suite.suites import Decoding
from bfpo_bench.training.redteam.judged import Gathered, answered, check_judges
from bfpo_bench.training.redteam.prompt_suite import write_suite
from bfpo_bench.training.redteam.prompts import PromptRow, read_rows


def ask(
    prompts: Path, temperature: float, request: Request, command: Sequence[str], ui: Ui
) -> Gathered:
    """Both responses of each prompt from one model's run, or one from each of two.

    `request` names models, judges, engine and output; what is asked is this function's affair. The
    runs lie in its `out` and are resumed by the same request. Raises UserError for what the user must
    change; a stage that breaks off is told in `Gathered.faults`, and without all responses there is
    nothing gathered.
    """
    rows = read_rows(prompts, PromptRow)
    check_writable(request.out)
    suite = write_suite(
        request.out, rows, 2 // len(request.models), Decoding(temperature=temperature)
    )
    plan = planned(request, suite, ui)
    finished = execute(plan, command, ui)
    broken = [
        f"{f.planned.subject.name}: {f.fault}; the same command goes on from what is stored"
        for f in finished
        if f.fault is not None
    ]
    if broken:
        return Gathered([], broken)
    faults = [
        f"{f.scores.model}: unscored for a fault: {', '.join(f.scores.faults)}"
        for f in finished
        if f.scores is not None and f.scores.faults
    ]
    folders = [RunFolder(run.folder) for run in plan.runs]
    judges = [named.judge for named in plan.judges]
    return Gathered(answered(folders, rows, plan.tasks, judges), faults)


def planned(request: Request, suite: Path, ui: Ui) -> Plan:
    """The request's plan over the prompts' suite, whose scores stay beside it: they rank no models."""
    scores = suite.with_name("leaderboard.csv")
    request = replace(request, suite=str(suite), leaderboard=scores, strict=True)
    with ui.stage("plan") as report:
        plan = make_plan(request, lambda text: report(Progress(text)))
    check_judges([named.judge for named in plan.judges], plan.tasks)
    return plan
