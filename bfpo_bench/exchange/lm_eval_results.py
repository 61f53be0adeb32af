"""A run's scores in the form of lm-eval's results file, so that tools made for that read them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.lm_eval_about import about, decoding, moment
from bfpo_bench.exchange.private import without_places_in
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.runs.records import DataRecord
from bfpo_bench.scoring.documents import read_documents
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.scores import Score, TaskScore
from bfpo_bench.suite.tasks import TaskSpec, parse_task, read_yaml

if TYPE_CHECKING:
    import pandas as pd

_NONE = "N/A"
"""lm-eval's word for a standard error that was not computed."""
_RATES = ("attack success rate", "compliance rate", "followed rate", "truthful rate")
_SLOPES = {"accuracy": 100.0, "100 - p": 100.0, "100 - 2 |p - 50|": 200.0}
_GROUP_VERSION = 1.0


def lm_eval_results(run: FinishedRun, specs: Mapping[str, TaskSpec]) -> dict[str, Any]:
    """What lm-eval 0.4.13's EvaluationTracker writes to results_<time>.json, of all tasks of the run.

    Discriminative tasks have lm-eval's own metrics, generative ones the rates of scores.json by the
    names there with underscores (`safe_rate`, `attack_success_rate`), as shares of 1. Every task and
    group has `bfpo_score` beside them, in percent, exactly scores.json's `value`. Groups are the
    grid's: `bfpo_harmlessness_generative`, `bfpo_harmlessness` and so on, and `bfpo`.

    Standard errors are of the mean over the scored documents, with n - 1, as lm-eval's `mean_stderr`
    is; the score's is the metric's times the slope of the score in it (2 for 100 - 2 |p - 50|, which
    has none at its top). N/A stands for groups, whose intervals scores.json has, for metrics that
    are not the score's own, and for a single document. A number that does not exist is null, where lm-eval writes NaN.

    `specs`: the tasks as their YAMLs state them, as far as they are at hand.
    """
    merged = _discriminative(run)
    values = scored_values(read_documents(run.folder))
    scores = run.scores
    found = {task: task_metrics(score, values.get(task)) for task, score in scores.tasks.items()}
    old = merged.get("results", {})
    rows = {
        task: {"alias": task, "sample_len": score.n} | old.get(task, {}) | found[task]
        for task, score in scores.tasks.items()
    }
    groups, subtasks = _groups(run)
    told = {
        "results": rows | groups,
        "groups": groups,
        "group_subtasks": subtasks,
        "configs": {t: merged.get("configs", {}).get(t) or _config(run, t, specs) for t in rows},
        "versions": {t: _version(run, t) for t in rows} | dict.fromkeys(groups, _GROUP_VERSION),
        "n-shot": {t: run.manifest.settings.few_shot.get(t, 0) for t in rows},
        "higher_is_better": {
            t: merged.get("higher_is_better", {}).get(t, {}) | _directions(score)
            for t, score in scores.tasks.items()
        }
        | {g: {"bfpo_score": True} for g in groups},
        "n-samples": _samples(run),
        **about(run),
    }
    whole: dict[str, Any] = without_places_in(finite(told))
    return whole


def write_results(run: FinishedRun, specs: Mapping[str, TaskSpec]) -> Path:
    """Write the run's `lm_eval/results_<time>.json` anew, its time being that of the run's beginning."""
    path = run.folder.path / "lm_eval" / f"results_{moment(run)}.json"
    write_atomically(path, dumped(lm_eval_results(run, specs)))
    return path


def dumped(results: Mapping[str, Any]) -> str:
    """As lm-eval dumps them: what a YAML holds and JSON does not, as a date, becomes its text."""
    return json.dumps(results, indent=2, ensure_ascii=False, default=str) + "\n"


def _discriminative(run: FinishedRun) -> dict[str, Any]:
    path = run.folder.results_file
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged: delete it and give the run's command again, which scores it anew."
        ) from error
    return dict(found)


def scored_values(documents: pd.DataFrame) -> dict[str, pd.Series]:
    """Task -> what its scored documents add, in the unit of documents.parquet."""
    scored = documents.dropna(subset=["value"])
    return {str(t): rows["value"] for t, rows in scored.groupby("task", observed=True)}


def _standard_error(values: pd.Series | None) -> float | None:
    if values is None or len(values) < 2:
        return None
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def task_metrics(score: TaskScore, values: pd.Series | None) -> dict[str, Any]:
    """lm-eval's `<metric>,<filter>` keys for one task; none for one without a score."""
    if score.value is None:
        return {}
    error = _standard_error(values)
    if score.metric in _SLOPES:
        slope = _SLOPES[score.metric]
        return {
            **_metric(score.raw_metric, score.raw_value, error),
            **_metric("bfpo_score", score.value, None if error is None else slope * error),
        }
    points = score.value / 100
    raw = {}
    if slug(score.raw_metric) != slug(score.metric):
        raw = _metric(slug(score.raw_metric), score.raw_value, _raw_error(score))
    return {
        **_metric(slug(score.metric), points, None if error is None else error / 100),
        **raw,
        **_metric("bfpo_score", score.value, error),
    }


def _metric(name: str, value: float | None, error: float | None) -> dict[str, Any]:
    return {f"{name},none": value, f"{name}_stderr,none": _NONE if error is None else error}


def _raw_error(score: TaskScore) -> float | None:
    """Of a rate of the scored responses, and of nothing else."""
    p, n = score.raw_value, score.n_scored
    if p is None or n < 2 or score.raw_metric not in _RATES:
        return None
    return math.sqrt(p * (1 - p) / (n - 1))


def _directions(score: TaskScore) -> dict[str, bool]:
    if score.value is None:
        return {}
    raw = score.raw_metric if score.metric in _SLOPES else slug(score.raw_metric)
    own = {} if score.metric in _SLOPES else {slug(score.metric): True}
    return {raw: score.raw_higher_is_better, **own, "bfpo_score": True}


def slug(metric: str) -> str:
    """`safe rate` as `safe_rate`, `(grade - 1) / 9` as `grade_share`."""
    return "grade_share" if metric.startswith("(grade") else metric.replace(" ", "_")


def _groups(run: FinishedRun) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """The grid as groups: its cells, the two dimensions, and all of it."""
    scores, found = run.scores, {}
    subtasks: dict[str, list[str]] = {"bfpo": []}
    for side, score in (
        ("harmlessness", scores.harmlessness),
        ("helpfulness", scores.helpfulness),
    ):
        cells = [cell for cell in scores.cells if cell.startswith(f"{side}/")]
        for cell in cells:
            members = [t for t, s in scores.tasks.items() if s.cell == cell]
            if members:
                found[_group(cell)] = _row(cell.replace("/", ", "), scores.cells[cell])
                subtasks[_group(cell)] = members
        inside = [_group(cell) for cell in cells if _group(cell) in subtasks]
        if inside:
            found[_group(side)] = _row(side, score)
            subtasks[_group(side)] = inside
            subtasks["bfpo"].append(_group(side))
    return {"bfpo": {"alias": "bfpo"}} | found, subtasks


def _group(name: str) -> str:
    return "bfpo_" + name.replace("/", "_")


def _row(alias: str, score: Score) -> dict[str, Any]:
    metric = {} if score.value is None else _metric("bfpo_score", score.value, None)
    return {"alias": alias, **metric}


def _config(run: FinishedRun, task: str, specs: Mapping[str, TaskSpec]) -> dict[str, Any]:
    """The task's YAML as this machine has it, if it is still the one that the run was made with."""
    spec, settings = specs.get(task), run.manifest.settings
    config = None if spec is None else _yaml(spec, settings.tasks.get(task))
    if spec is None or config is None:
        return {"task": task, "metadata": {"version": _version(run, task)}}
    kwargs = config.get("generation_kwargs") or {}
    return (
        {**config, "generation_kwargs": {**kwargs, **decoding(settings, task)}}
        if spec.prompts
        else config
    )


def _yaml(spec: TaskSpec, identity: str | None) -> dict[str, Any] | None:
    """None where the file is another one by now, or none: a run takes hours, and its scores are not
    to be lost for that."""
    if spec.identity != identity:
        return None
    try:
        config = read_yaml(spec.path)
        return config if parse_task(spec.path, config).identity == identity else None
    except (UserError, OSError, KeyError):
        return None


def _version(run: FinishedRun, task: str) -> float:
    return float(run.manifest.settings.tasks.get(task, "1").split(" ")[0])


def _samples(run: FinishedRun) -> dict[str, dict[str, int]]:
    data: Mapping[str, DataRecord] = run.folder.data()
    return {
        task: {
            "original": data[task].available if task in data else score.n,
            "effective": score.n,
        }
        for task, score in run.scores.tasks.items()
    }


def finite(value: Any) -> Any:
    """A JSON-like value with null for the numbers that do not exist."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value
