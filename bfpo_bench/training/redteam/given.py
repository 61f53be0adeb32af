"""Responses that exist already: stored as a run stores its own, and judged by the same stage."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bfpo_bench.engines.transformers import check_arguments
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.progress import Ui
from bfpo_bench.request import Request
from bfpo_bench.runs.folder import RunFolder, check_writable
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.records import Response
from bfpo_bench.stages.judge import JudgeJob, judge
from bfpo_bench.stages.process import StageCrash, run_stage
from bfpo_bench.suite.suites import Decoding
from bfpo_bench.training.redteam.ask import planned
from bfpo_bench.training.redteam.judged import Gathered, answered, silent
from bfpo_bench.training.redteam.prompt_suite import task_name, write_suite
from bfpo_bench.training.redteam.prompts import AnsweredRow, read_rows, told


def judge_given(responses: Path, request: Request, ui: Ui) -> Gathered:
    """The responses of the file, judged. `request` names judges, engine and output, and no model.

    Verdicts are appended as they are made: the same rows and judges find their folder and go on.
    """
    rows = read_rows(responses, AnsweredRow)
    check_writable(request.out)
    plan = planned(request, write_suite(request.out, rows, 2, Decoding()), ui)
    # Another version or model of a judge gets a folder of its own: its verdicts are not mixed
    parts = [told(rows), [named.identity() for named in plan.judges]]
    run = RunFolder(request.out / f"responses-{digest(parts)[:8]}")
    with run.lock():
        _store(run, rows)
        faults = [_judge(run, named, request, ui) for named in plan.judges if named.tasks]
    found = answered([run], rows, plan.tasks, [named.judge for named in plan.judges])
    return Gathered(found, [fault for fault in faults if fault is not None] or silent(found))


def _store(run: RunFolder, rows: Mapping[int, AnsweredRow]) -> None:
    numbers: Counter[str] = Counter()
    lines = []
    for line, row in rows.items():
        task = task_name(row.harmful)
        for text in row.responses:
            response = _response(task, numbers[task], line, row.prompt, text)
            lines.append(json.dumps(response.dump(), ensure_ascii=False) + "\n")
            numbers[task] += 1
    write_atomically(run.responses_file, "".join(lines))


def _response(task: str, number: int, line: int, prompt: str, text: str) -> Response:
    return Response(
        task=task,
        doc_id=number,
        sample=0,
        messages=[{"role": "user", "content": prompt}],
        response=text,
        finish_reason="stop",
        prompt_tokens=0,
        response_tokens=0,
        seed=0,
        engine="given",
        document={"line": line},
    )


def _judge(run: RunFolder, planned: PlannedJudge, request: Request, ui: Ui) -> str | None:
    """None, or the reason why the judge broke off."""
    key, engine = planned.judge.key, planned.engine
    if planned.subject is not None and engine is not None:
        if engine.name == "transformers":
            check_arguments(request.engine_arguments)
        ui.note(f"judge {key}: engine {engine.name}, {engine.told}")
        planned.fetch()
    job = JudgeJob(
        work=planned.work(request.engine_arguments if engine else {}),
        runs=(run.path,),
        tasks=frozenset(planned.tasks),
        memory=planned.memory,
    )
    stage = f"judge-{key}"
    try:
        with ui.stage(f"judge {key}") as report:
            result = run_stage(stage, judge, job, log=run.log_file(stage), report=report)
    except StageCrash as crash:
        return f"judge {key} broke off: {crash}; the same command goes on from what is stored"
    for reason, count in result.unjudged.items():
        ui.note(f"judge {key}: {count} unjudged: {reason}")
    return None
