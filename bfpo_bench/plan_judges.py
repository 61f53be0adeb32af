"""Of the plan, what judges can do: which there are, their models, and whose answers they compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.judges.baseline import baseline_answers
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import load_judges
from bfpo_bench.judging import PlannedJudge, check_trusted, plan_judge
from bfpo_bench.request import Request, judge_options
from bfpo_bench.runs.folder import RunFolder, check_whole
from bfpo_bench.runs.identity import digest
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec


def judges_of(suite: Suite, tasks: Sequence[TaskSpec], request: Request) -> list[Judge]:
    """Those named, else the suite's, and those that join by themselves.

    Raises UserError for judges that cannot be, for a baseline that none of them would use, and for a
    trusted model that is none of the request.
    """
    judges = load_judges(request.judges or suite.judges, tasks)
    check_trusted(request.trust_remote_code, request.models, judges)
    if request.baseline is not None and not any(j.spec.kind == "preference" for j in judges):
        raise UserError(
            "--baseline is what a judge of preferences compares with, and none is named: name one, "
            "such as --judge reward=MODEL."
        )
    return judges


def plan_judges(
    suite: Suite,
    tasks: Sequence[TaskSpec],
    request: Request,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[PlannedJudge, ...]:
    """The judges of a run, resolved from metadata. Raises UserError for what the user must change."""
    judges = judges_of(suite, tasks, request)
    return tuple(_plan_judge(j, tasks, request, progress) for j in judges)


def _plan_judge(
    judge: Judge, tasks: Sequence[TaskSpec], request: Request, progress: Callable[[str], None]
) -> PlannedJudge:
    names = tuple(t.name for t in tasks if judge.scores(t))
    if judge.joined and not names:
        return PlannedJudge(judge)
    try:
        planned = plan_judge(judge, judge_options(request), progress)
    except UserError as error:
        if request.strict or not judge.joined:
            raise
        # Nobody named it: the other tasks must not wait for a model that cannot be had here
        return PlannedJudge(judge, names, fault=str(error))
    planned = replace(planned, tasks=names)
    if judge.spec.kind != "preference" or not names:
        return planned
    if request.baseline is not None:
        return replace(planned, baseline=_run_baseline(request.baseline, names))
    return replace(planned, baseline={t.name: t.baseline for t in tasks if t.name in names})


def _run_baseline(folder: Path, tasks: Sequence[str]) -> dict[str, Any]:
    """Whose answers are compared with, and a hash of them."""
    run = RunFolder(folder)
    manifest = run.manifest()
    if manifest is None:
        raise UserError(f"--baseline {folder} is not a run: give the folder of one, as in runs/.")
    check_whole(folder, manifest)
    found = baseline_answers(run).items()
    answers = {f"{t} {d}": [r.prompt, r.answer] for (t, d), r in found if t in tasks}
    if not answers:
        raise UserError(
            f"--baseline {folder} holds no answer to {' or '.join(tasks)}: give a run that has them."
        )
    return {"run": manifest.run_id, "answers": digest(answers)}
