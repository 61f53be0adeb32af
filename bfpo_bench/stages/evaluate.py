"""lm-eval's scores of the discriminative tasks, from the log-likelihoods that a run has stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.stages.seen_data import record_data
from bfpo_bench.suite.data import DataRevision
from bfpo_bench.suite.discriminative import evaluate
from bfpo_bench.suite.documents import LoadedTask, Selection, load_documents, unusable
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class EvaluateJob:
    """A run whose log-likelihoods are stored: its discriminative tasks, how their documents were
    chosen, and of which data."""

    run: Path
    tasks: tuple[TaskSpec, ...]
    data: dict[str, DataRevision]
    selection: Selection


def evaluate_stored(job: EvaluateJob, report: Report) -> dict[str, str]:
    """Score what is stored by lm-eval; task -> reason for those that it cannot score.

    Raises UserError for data that cannot be read, or that are not those that were asked.
    """
    run = RunFolder(job.run)
    loaded, failed = load_documents(
        job.tasks, job.data, job.selection, lambda name: report(Progress(f"loading {name}"))
    )
    if failed:
        raise UserError(next(iter(failed.values())))
    record_data(run, loaded, job.data)
    report(Progress("scoring discriminative tasks with lm-eval"))
    evaluate_tasks(run, loaded, failed)
    return failed


def evaluate_tasks(run: RunFolder, tasks: Sequence[LoadedTask], failed: dict[str, str]) -> None:
    """lm-eval's results and samples, task by task, so that one that breaks does not take the others'."""
    from lm_eval.utils import handle_non_serializable

    stored = {s.key: (s.logprob, s.greedy) for s in run.likelihoods()}
    merged: dict[str, Any] = {"results": {}}
    for task in tasks:
        try:
            results = evaluate([task], stored)
        except Exception as error:
            failed[task.spec.name] = unusable(task.spec, "one of its documents", error)
            continue
        for name, rows in results.pop("samples").items():
            lines = (
                json.dumps(r, default=handle_non_serializable, ensure_ascii=False) + "\n"
                for r in rows
            )
            write_atomically(run.samples_file(name), lines)
        for part, value in results.items():
            if isinstance(value, dict):
                merged.setdefault(part, {}).update(value)
            else:
                merged[part] = value
    write_atomically(
        run.results_file,
        json.dumps(merged, default=handle_non_serializable, indent=2, ensure_ascii=False) + "\n",
    )
