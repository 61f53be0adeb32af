"""What a run need not do again: the stages that have finished all that the command asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bfpo_bench import __version__
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.seal import file_states
from bfpo_bench.stages.respond import RespondJob, RespondResult
from bfpo_bench.suite.data import local_files
from bfpo_bench.suite.tasks import TaskSpec

RESPOND = "respond"


def respond_sealed(run: RunFolder, job: RespondJob) -> bool:
    """Whether everything is answered and scored by lm-eval already, on the very same data."""
    told = _respond_job(job)
    return told is not None and run.seals.holds(RESPOND, told, _respond_files(run, job.tasks))


def once_answered(run: RunFolder) -> bool:
    """Whether everything was answered. As long as the data are the same, no model is needed again."""
    return run.seals.has(RESPOND)


def seal_respond(run: RunFolder, job: RespondJob, result: RespondResult) -> None:
    """Only where nothing failed: what did is asked again."""
    told = _respond_job(job)
    faults = any(count.get("faults") for count in result.counts.values())
    if told is not None and not result.failed and not faults:
        run.seals.set(RESPOND, told, _respond_files(run, job.tasks))


def stored_result(manifest: Manifest) -> RespondResult:
    """What the stage would say that has nothing to do: as it ended, and everything done before."""
    counts = {
        task: {**count, "done_before": count.get("requests", 0)}
        for task, count in manifest.counts.items()
    }
    warnings = [s["warnings"] for s in manifest.sessions if "warnings" in s]
    return RespondResult(counts, {}, {}, {}, tuple(warnings[-1]) if warnings else ())


def _respond_job(job: RespondJob) -> dict[str, Any] | None:
    """What decides about the stage's files besides the run id; None where the data cannot be known
    without reading them."""
    data: dict[str, Any] = {}
    for task in job.tasks:
        at = job.data[task.name]
        files = local_files(task) if at.sha is None else []
        if files is None:
            return None
        data[task.name] = [at.hub_id, at.sha, file_states(files)]
    entries = {t.name: job.lock.entries.get(t.name) for t in job.tasks}
    return {
        "version": __version__,
        "data": data,
        "lock": {name: e.model_dump(mode="json") if e else None for name, e in entries.items()},
        "allow_drift": job.allow_drift,
    } | ({} if job.shard is None else {"shard": str(job.shard)})


def _respond_files(run: RunFolder, tasks: Sequence[TaskSpec]) -> list[Path]:
    samples = [run.samples_file(t.name) for t in tasks if t.kind == "discriminative"]
    return [
        run.responses_file,
        run.likelihoods_file,
        run.data_file,
        run.results_file,
        *samples,
    ]


def judge_sealed(run: RunFolder, planned: PlannedJudge) -> bool:
    """Whether this judge has said all that it can say of the run's responses."""
    return run.seals.holds(_stage(planned), _judge_job(planned), _judge_files(run, planned))


def seal_judge(run: RunFolder, planned: PlannedJudge) -> None:
    """Only where the same command would ask for no verdict again."""
    run.seals.set(_stage(planned), _judge_job(planned), _judge_files(run, planned))


def _stage(planned: PlannedJudge) -> str:
    return f"judge {planned.judge.key}"


def _judge_job(planned: PlannedJudge) -> dict[str, Any]:
    return {"version": __version__, "identity": planned.identity(), "tasks": sorted(planned.tasks)}


def _judge_files(run: RunFolder, planned: PlannedJudge) -> list[Path]:
    return [run.responses_file, run.verdicts_file(planned.judge.key)]
