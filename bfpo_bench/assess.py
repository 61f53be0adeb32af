"""Stages 3 to 5, judge, score and publish, for runs whose responses are stored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.lm_eval_results import write_results
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judging import PlannedJudge, told
from bfpo_bench.leaderboard.keys import add_key
from bfpo_bench.leaderboard.rows import add_row, row
from bfpo_bench.progress import Ui
from bfpo_bench.resume import judge_sealed, seal_judge
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import Settings, comparability, comparability_key, digest
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.scoring.collect import score_run
from bfpo_bench.scoring.documents import document_table, write_documents
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.panel import Split
from bfpo_bench.scoring.panels import panelled, split_items
from bfpo_bench.scoring.scores import Scores
from bfpo_bench.scoring.stored import Stored, read_stored
from bfpo_bench.stages.judge import JudgeJob, JudgeResult, judge
from bfpo_bench.stages.process import StageCrash, run_stage
from bfpo_bench.suite.suites import Suite
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class Assessment:
    """What judges and scores need to know besides the runs themselves.

    `arguments` are the user's for an engine that serves a judge, by that engine's name; `environment`
    is that of the judges' processes, which may make no progress for `stall_seconds` (None: for ever);
    `baseline` is the run that answers are compared with.
    """

    suite: Suite
    tasks: tuple[TaskSpec, ...]
    settings: Settings
    judges: tuple[PlannedJudge, ...]
    leaderboard: Path
    baseline: Path | None = None
    arguments: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    stall_seconds: float | None = None


@dataclass
class OpenRun:
    """A run that is being worked on. `failed`: task -> why its data could not be used."""

    folder: RunFolder
    manifest: Manifest
    session: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def assess(wanted: Assessment, runs: Sequence[OpenRun], ui: Ui) -> list[Scores]:
    """Judge every run, then score and publish each; what is judged already is kept."""
    faults = judge_runs(wanted, runs, ui)
    found = []
    for run in runs:
        scores, engines = _score(wanted, run, faults)
        _publish(wanted, run, scores, engines)
        found.append(scores)
    return found


def judge_runs(wanted: Assessment, runs: Sequence[OpenRun], ui: Ui) -> dict[str, str]:
    """Every judge in turn over all runs; judge key -> reason for those that broke off."""
    faults: dict[str, str] = {}
    if not runs:
        return faults
    for planned in wanted.judges:
        key = planned.judge.key
        if not planned.tasks:
            continue
        if planned.fault is not None:
            faults[key] = planned.fault
            continue
        for run in runs:
            _set_aside_stale(run, planned)
        todo = [run for run in runs if not judge_sealed(run.folder, planned)]
        if not todo:
            continue
        started = time.monotonic()
        try:
            result = _judge(wanted, planned, todo, ui)
        except StageCrash as crash:
            faults[key] = crash.reason
            ui.note(f"judge {key} broke off: {crash}")
            continue
        except UserError as error:
            if not planned.judge.joined:
                raise
            # Nobody named it: its files, say, cannot be fetched
            faults[key] = str(error)
            ui.note(f"judge {key} is left out: {error}")
            continue
        for note in judge_notes(key, result):
            ui.note(note)
        for run in todo:
            if not result.again:
                seal_judge(run.folder, planned)
            run.session["seconds"][f"judge {key}"] = round(time.monotonic() - started, 3)
            made = {"made": result.made, "found": result.found, "engine": result.engine}
            run.session.setdefault("judges", {})[key] = made
    return faults


def judge_notes(key: str, result: JudgeResult) -> list[str]:
    """What served the judge, and why responses are unjudged."""
    reasons = result.unjudged.items()
    return [
        *told(key, result.engine),
        *(f"judge {key}: {count} unjudged: {reason}" for reason, count in reasons),
    ]


def _judge(
    wanted: Assessment, planned: PlannedJudge, runs: Sequence[OpenRun], ui: Ui
) -> JudgeResult:
    key, engine = planned.judge.key, planned.engine
    if engine is not None:
        ui.note(f"judge {key}: engine {engine.name}, {engine.told}")
        planned.fetch()
    job = JudgeJob(
        work=planned.work(wanted.arguments.get(engine.name, {}) if engine else {}),
        runs=tuple(run.folder.path for run in runs),
        tasks=frozenset(planned.tasks),
        memory=planned.memory,
        baseline=wanted.baseline,
        references={t.name: t.baseline for t in wanted.tasks if t.baseline is not None},
    )
    stage = f"judge-{key}"
    with ui.stage(f"judge {key}") as report:
        log = runs[0].folder.log_file(stage)
        return run_stage(
            stage,
            judge,
            job,
            log=log,
            report=report,
            environment=wanted.environment,
            stall_seconds=wanted.stall_seconds,
        )


def _set_aside_stale(run: OpenRun, planned: PlannedJudge) -> None:
    """Verdicts of the same judge with another model, prompt or version are kept, but not counted."""
    key, identity = planned.judge.key, planned.identity()
    before = run.manifest.judges.get(key)
    file = run.folder.verdicts_file(key)
    if before is not None and before != identity and file.exists():
        file.rename(file.with_name(f"{file.stem}.{digest(before)[:8]}.jsonl"))
    run.manifest.judges[key] = identity
    run.folder.write_manifest(run.manifest)


def _score(
    wanted: Assessment, run: OpenRun, faults: dict[str, str]
) -> tuple[Scores, Sequence[str]]:
    """The run's scores, written down, and the engines that answered."""
    started = time.monotonic()
    data = {
        task: {k: entry[k] for k in ("hub_id", "revision", "fingerprint", "drift")}
        for task, entry in run.manifest.data.items()
        if task not in run.failed
    }
    used = [p for p in wanted.judges if p.tasks]
    judges = {p.judge.key: p.identity() for p in used if p.fault is None}
    parts = comparability(wanted.settings, data, judges)
    run.manifest.comparability = parts
    run.manifest.comparability_key = comparability_key(parts)
    named = [p.judge for p in used]
    stored = read_stored(run.folder, wanted.tasks, named, wanted.baseline)
    scores = score_run(
        run.folder,
        stored,
        run.manifest,
        wanted.suite,
        wanted.tasks,
        named,
        faults,
        run.failed,
    )
    _write_splits(wanted, run, stored, named, faults)
    documents = document_table(run.folder, stored, wanted.tasks, named, faults, run.failed)
    write_documents(run.folder, documents)
    write_atomically(run.folder.scores_file, scores.model_dump_json(indent=2) + "\n")
    run.session["seconds"]["score"] = round(time.monotonic() - started, 3)
    run.session["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    run.folder.write_manifest(run.manifest)
    write_results(FinishedRun(run.folder, run.manifest, scores), {t.name: t for t in wanted.tasks})
    return scores, stored.engines


def _write_splits(
    wanted: Assessment,
    run: OpenRun,
    stored: Stored,
    judges: Sequence[Judge],
    faults: Mapping[str, str],
) -> None:
    """What the judges of a panel tell apart, a line each; no file where no kind has several."""
    if not any(panelled(wanted.tasks, judges, faults)):
        run.folder.splits_file.unlink(missing_ok=True)
        return
    found = split_items(wanted.tasks, judges, stored, faults)
    write_atomically(run.folder.splits_file, (_split_line(kind, split) for kind, split in found))


def _split_line(kind: str, split: Split) -> str:
    task, doc_id, sample = split.key
    told = {"kind": kind, "task": task, "doc_id": doc_id, "sample": sample}
    return json.dumps(told | {"labels": dict(split.labels)}) + "\n"


def _publish(wanted: Assessment, run: OpenRun, scores: Scores, engines: Sequence[str]) -> None:
    finished = run.session["finished"]
    add_row(wanted.leaderboard, row(scores, " ".join(engines), finished, run.manifest.training))
    add_key(wanted.leaderboard, scores.comparability_key, run.manifest.comparability)
