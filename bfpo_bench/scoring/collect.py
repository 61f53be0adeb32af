"""Score a run from what is stored: no model, no lm-eval, seconds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bfpo_bench.errors import UserError
from bfpo_bench.judges.judge import Judge
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.scoring.aggregate import (
    CELLS,
    cell_score,
    families,
    mean_score,
    over_refusal,
)
from bfpo_bench.scoring.deciding import CHECKS, Verdicts, deciding
from bfpo_bench.scoring.graded import SCALES, graded_score
from bfpo_bench.scoring.outcomes import Judged
from bfpo_bench.scoring.panels import panels
from bfpo_bench.scoring.scores import Score, Scores, TaskScore
from bfpo_bench.scoring.stored import Stored
from bfpo_bench.scoring.tasks import discriminative_score, generative_score, unscored
from bfpo_bench.suite.suites import DIMENSIONS, Dimension, Suite
from bfpo_bench.suite.tasks import TaskSpec


def score_run(
    run: RunFolder,
    stored: Stored,
    manifest: Manifest,
    suite: Suite,
    tasks: Sequence[TaskSpec],
    judges: Sequence[Judge],
    faults: Mapping[str, str],
    failed: Mapping[str, str],
) -> Scores:
    """All scores of a run, from what `read_stored` found of it.

    `faults`: judge key -> why it failed, so that its tasks are named as such. `failed`: task -> why
    its data could not be used; such a task was not asked.
    """
    results = _lm_eval_results(run)
    scored: dict[str, TaskScore] = {}
    benign: Counter[Judged] = Counter()
    faulty = []
    for spec in tasks:
        if spec.name in failed:
            scored[spec.name] = unscored(spec, 0, failed[spec.name])
            faulty.append(spec.name)
            continue
        if spec.kind == "discriminative":
            reported = _reported(results, spec, run)
            scored[spec.name] = discriminative_score(spec, _values(run, spec), reported)
            continue
        asked = [j.key for j in judges if j.scores(spec)]
        broken = [key for key in asked if key in faults]
        unanswered = manifest.counts.get(spec.name, {}).get("faults", 0)
        if broken or unanswered or any(stored.of(key, spec.name).fault for key in asked):
            faulty.append(spec.name)
        found = deciding(spec, judges, stored, faults)
        score, outcomes = _generative(spec, found, stored)
        if score is None:
            reason = f"judge {broken[0]} failed: {faults[broken[0]]}" if broken else _no_judge(spec)
            scored[spec.name] = unscored(spec, len(stored.responses(spec.name)), reason)
            continue
        scored[spec.name] = score
        if score.value is None and spec.name not in faulty:
            # A judge that failed on every response has failed
            faulty.append(spec.name)
        if spec.prompts == "benign" and not {*CHECKS, *SCALES} & set(spec.judged_by):
            benign.update(outcomes)
    spoke = [j for j in judges if j.key not in faults]
    scores = _assemble(manifest, suite, tasks, spoke, scored, benign, faulty)
    return scores.model_copy(
        update={"panels": panels(suite, tasks, judges, stored, scored, faults)}
    )


def _generative(
    spec: TaskSpec, found: Verdicts, stored: Stored
) -> tuple[TaskScore | None, Counter[Judged]]:
    """The task's score and its responses' outcomes; None where no judge that counts spoke of it."""
    if found.grades is not None:
        kind, said = found.grades
        keys, lengths = stored.responses(spec.name), stored.lengths.get(spec.name)
        return graded_score(spec, kind, said, keys, lengths), Counter()
    outcomes = found.judged(spec)
    if outcomes is None:
        return None, Counter()
    return generative_score(spec, outcomes), outcomes


def _values(run: RunFolder, spec: TaskSpec) -> list[float]:
    """What each of lm-eval's samples has of the task's metric, the rest of it unread."""
    assert spec.metric is not None
    sample: Any = msgspec.defstruct(
        "_Sample", [("value", float | bool)], rename={"value": spec.metric}
    )
    return [float(one.value) for one in jsonl.read_as(run.samples_file(spec.name), sample)]


def _lm_eval_results(run: RunFolder) -> dict[str, Any]:
    if not run.results_file.exists():
        return {}
    found: dict[str, Any] = json.loads(run.results_file.read_text())["results"]
    return found


def _reported(results: Mapping[str, Any], spec: TaskSpec, run: RunFolder) -> float:
    try:
        return float(results[spec.name][f"{spec.metric},none"])
    except KeyError as error:
        raise UserError(
            f"{run.results_file} has no {spec.metric} of {spec.name}: delete it and give the command again."
        ) from error


def _no_judge(spec: TaskSpec) -> str:
    return f"needs a judge of {' or '.join(spec.judged_by)}, which this run does not have"


def _assemble(
    manifest: Manifest,
    suite: Suite,
    specs: Sequence[TaskSpec],
    judges: Sequence[Judge],
    tasks: dict[str, TaskScore],
    benign: Counter[Judged],
    faulty: Sequence[str],
) -> Scores:
    by_cell = families(tasks, {s.name: s.data_source for s in specs})
    cells = {cell: cell_score(by_cell.get(cell, {}), suite.weights) for cell in CELLS}

    def dimension(name: Dimension) -> Score:
        return mean_score([cells[cell] for cell in suite.dimensions.get(name, DIMENSIONS[name])])

    return Scores(
        model=manifest.model.name,
        suite=manifest.settings.suite,
        suite_version=manifest.settings.suite_version,
        partial=manifest.partial or bool(faulty),
        comparability_key=manifest.comparability_key or "",
        judges=[j.key for j in judges],
        helpfulness=dimension("helpfulness"),
        harmlessness=dimension("harmlessness"),
        over_refusal=over_refusal(benign),
        cells=cells,
        families={f"{cell}/{name}": s for cell, of in by_cell.items() for name, s in of.items()},
        tasks=tasks,
        missing=[n for n, t in tasks.items() if t.weighted and t.value is None],
        faults=list(faulty),
    )
