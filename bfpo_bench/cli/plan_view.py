"""A plan as a table, lines and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.ui import plain
from bfpo_bench.engines.select import EngineChoice
from bfpo_bench.engines.subject import Subject
from bfpo_bench.engines.tokens import stated_context
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.plan import Plan, PlannedRun, TaskEstimate
from bfpo_bench.plan_levels import unknown


def table(plan: Plan) -> Table:
    """The tasks by cell: documents, requests, tokens."""
    found = Table(
        title=plain(f"{plan.suite.name}@{plan.suite.version}: {plan.suite.title}"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    found.add_column("task", no_wrap=True)
    for heading in ("docs", "requests", "tokens in", "tokens out"):
        found.add_column(heading, justify="right", no_wrap=True)
    for cell in dict.fromkeys(e.task.cell for e in plan.estimates):
        found.add_section()
        found.add_row(Text(cell, style="bold"))
        for e in plan.estimates:
            if e.task.cell == cell:
                found.add_row(f"  {e.task.name.removeprefix('bfpo_')}", *_numbers([e]))
    found.add_section()
    found.add_row(f"{len(plan.estimates)} tasks", *_numbers(plan.estimates))
    return found


def _numbers(estimates: Sequence[TaskEstimate]) -> list[str]:
    out = sum(e.new_tokens for e in estimates)
    return [
        f"{sum(e.documents for e in estimates):,}",
        f"{sum(e.requests for e in estimates):,}",
        f"{sum(e.prompt_tokens for e in estimates):,}",
        f"≤ {out:,}" if out else "",
    ]


def _data_lines(plan: Plan) -> list[str]:
    known = {
        f"  {d.hub_id} @ {d.sha}{'' if d.online else ' (cached, the hub was not reached)'}"
        for d in plan.data.values()
        if d.hub_id is not None
    }
    if not known:
        return ["data: packaged"]
    lock = (
        f"data lock: {len(plan.unverified)} of {len(plan.tasks)} tasks have data that are not "
        "verified: recorded at first use, a change is a warning"
    )
    return ["data:", *sorted(known), lock]


def lines(plan: Plan) -> list[str]:
    """Decoding, judges and, for each model, its engine and run folder."""
    d = plan.suite.decoding
    how = "greedy" if d.temperature == 0 else f"temperature {d.temperature}, top_p {d.top_p}"
    reasons = "; ".join(plan.partial_reasons)
    found = [
        *_data_lines(plan),
        f"decoding: {how}, at most {d.max_new_tokens} new tokens; seed {plan.request.seed}",
        *_bias(plan),
        *_exceptions(plan),
        *(f"left out: {task}: {reason}" for task, reason in plan.failed.items()),
        f"row: {f'partial ({reasons})' if reasons else 'full'}, into {plan.leaderboard}",
        *_shard(plan),
    ]
    judged = {name for p in plan.judges for name in p.tasks}
    generative = [e.task for e in plan.estimates if e.task.kind == "generative"]
    if nobody := [t for t in generative if t.name not in judged]:
        needs = "; ".join(f"{t.name} needs a judge of {' or '.join(t.judged_by)}" for t in nobody)
        found.append(f"answered and stored, not scored: {needs}")
    for p in plan.judges:
        if p.tasks or not p.judge.joined:
            found.append(f"judge {p.judge.key}: {p.judge.spec.title.rstrip('.')}{_served(p)}")
    for run in plan.runs:
        state = "goes on" if (run.folder / "manifest.json").exists() else "new"
        found.append(f"model {run.subject.name}: {_engine(run.engine)}; {run.folder} ({state})")
        found += [*_context(plan, run.subject), *_training(run.subject), *_asked_with(plan, run)]
    return found


def _bias(plan: Plan) -> list[str]:
    """What decoding subtracts, and where it comes from."""
    if plan.bias is None:
        return []
    told = plan.bias.provenance
    return [
        f"bias {plan.bias.sha256[:8]}: subtracted at the first {plan.bias.positions} positions of what is "
        f"written; {told.model.name} less {told.reference.name}, {told.difference} over "
        f"{told.prompts.prompts:,} prompts"
    ]


def _shard(plan: Plan) -> list[str]:
    """What becomes of a part of a run."""
    shard = plan.request.shard
    if shard is None:
        return []
    return [
        f"shard {shard}: the numbers are of its documents alone; the row is made of all "
        f"{shard.count} by `bfpo-bench runs merge`"
    ]


def _served(planned: PlannedJudge) -> str:
    """Where the judge's model is served, or why it is not."""
    if planned.fault is not None:
        return f"; LEFT OUT, its tasks stay unscored: {planned.fault}"
    if planned.subject is not None and planned.engine is not None:
        return f", {planned.subject.name} on {_engine(planned.engine)}"
    if planned.server is not None:
        return f", {planned.judge.model} at {planned.server.url}"
    return ""


def _engine(choice: EngineChoice) -> str:
    """Its name, why it is the one, and how it splits the model."""
    named = f"{choice.name} ({choice.reason})"
    return f"{named}; {choice.split.describe()}" if choice.split else named


def _context(plan: Plan, subject: Subject) -> list[str]:
    """Where `max_model_len` lowers the suite's context, and not this model's."""
    asked, own = plan.settings.context, stated_context(subject.config)
    if asked >= plan.suite.context or own is None or own > asked:
        return []
    return [
        f"  max_model_len={asked} cuts nothing of this model, whose own context is {own}; the run's id "
        f"and key are those of {asked} all the same: its row ranks with every model's under that limit"
    ]


def _training(subject: Subject) -> list[str]:
    """What the model says of its training, or why that is not used."""
    if subject.training_fault is not None:
        return [f"  ignored: {subject.training_fault}"]
    if subject.training is None:
        return []
    base = f", from {subject.training.base_name}" if subject.training.base_name else ""
    return [f"  training: {subject.training.describe()}{base}"]


def _asked_with(plan: Plan, run: PlannedRun) -> list[str]:
    """The defence around the model or the levels it is asked for, and what is asked without."""
    documents = sum(e.documents for e in plan.estimates if e.task.kind == "generative")
    others = sum(e.task.kind == "discriminative" for e in plan.estimates)
    if run.levels is not None:
        without = f"; {others} discriminative tasks are asked without them" if others else ""
        doubt = [f"  NOTE: {unknown(run.subject)}"] if unknown(run.subject) else []
        return [f"  levels {run.levels}: {documents:,} generative documents{without}", *doubt]
    if run.defence is None:
        return []
    checks = f", {documents:,} checks besides the answers" if run.defence.checks else ""
    without = f"; {others} discriminative tasks are asked without it" if others else ""
    return [f"  defence {run.defence.name}: {documents:,} generative documents{checks}{without}"]


def _exceptions(plan: Plan) -> list[str]:
    """What single tasks ask for, and what of the suite is assumed."""
    found = []
    for task, own in plan.settings.task_decoding.items():
        told = ", ".join(f"{key} {value}" for key, value in own.items())
        found.append(f"  {task}: {told}")
    if plan.settings.few_shot:
        told = ", ".join(f"{n} for {task}" for task, n in plan.settings.few_shot.items())
        found.append(f"examples in each prompt: {told}")
    if plan.request.num_fewshot:
        none = [
            t.name
            for t in plan.tasks
            if t.kind == "discriminative" and t.name not in plan.settings.few_shot
        ]
        found.append(
            f"  none for {', '.join(none)}: no split to draw from, or 0 by the task's own rule"
        )
    found += [f"assumed: {sentence}" for sentence in plan.suite.assumed]
    return found


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "suite": plan.settings.suite,
        "suite_version": plan.settings.suite_version,
        "shard": str(plan.request.shard) if plan.request.shard is not None else None,
        "partial": bool(plan.partial_reasons),
        "partial_reasons": plan.partial_reasons,
        "failed": plan.failed,
        "assumed": plan.suite.assumed,
        "settings": plan.settings.model_dump(),
        "tasks": [
            {
                "task": e.task.name,
                "cell": e.task.cell,
                "family": e.task.family,
                "documents": e.documents,
                "requests": e.requests,
                "prompt_tokens": e.prompt_tokens,
                "new_tokens": e.new_tokens,
                "data": plan.data[e.task.name].model_dump() if e.task.name in plan.data else None,
                "judges": [p.judge.key for p in plan.judges if e.task.name in p.tasks],
            }
            for e in plan.estimates
        ],
        "judges": {p.judge.key: {**p.identity(), "fault": p.fault} for p in plan.judges},
        "models": [
            {
                "model": r.subject.name,
                "defence": r.defence.identity if r.defence else None,
                "levels": asdict(r.levels) if r.levels else None,
                "training": r.subject.training.describe() if r.subject.training else None,
                "training_fault": r.subject.training_fault,
                "engine": r.engine.name,
                "reason": r.engine.reason,
                "split": asdict(r.engine.split) if r.engine.split else None,
                "run": str(r.folder),
            }
            for r in plan.runs
        ],
        "leaderboard": str(plan.leaderboard),
    }
