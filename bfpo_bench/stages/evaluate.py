"""lm-eval's scores of the discriminative tasks, from the log-likelihoods that a run has stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.suite.discriminative import evaluate
from bfpo_bench.suite.documents import LoadedTask, unusable


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
