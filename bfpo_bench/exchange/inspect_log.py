"""A run as logs of Inspect, one a task, written through inspect_ai's own API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bfpo_bench import __version__
from bfpo_bench.errors import UserError
from bfpo_bench.exchange.answers import Answers
from bfpo_bench.exchange.inspect_samples import OUTCOME, answer_samples, choice_samples
from bfpo_bench.exchange.lm_eval_about import file_part, moment
from bfpo_bench.exchange.lm_eval_results import scored_values, slug, task_metrics
from bfpo_bench.exchange.private import without_places, without_places_in
from bfpo_bench.runs.identity import digest
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    import pandas as pd
    from inspect_ai.log import EvalLog, EvalResults, EvalSample, EvalSpec


def export_inspect(run: FinishedRun, specs: Mapping[str, TaskSpec], out: Path) -> list[Path]:
    """Write `<time>_<task>_<id>.eval` into `out` for every task of which something is stored.

    Underscores of the task's name are dashes there, as Inspect has it. Of a generative task, a sample's
    `outcome` is its points as a share of 1, with the outcome's name as the answer, unscored where
    nobody could judge; each judge has its label as a score. Of a discriminative one, the score is the
    task's metric. Logs of one run get the same names again.

    Holds one task at a time, which is what inspect_ai's API takes. Raises UserError where inspect_ai
    is missing.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise UserError(
            "Inspect's logs are written by inspect_ai, which is not installed: "
            "pip install inspect_ai."
        ) from error
    stored = Answers(run)
    written = []
    for task, score in run.scores.tasks.items():
        if not score.n:
            continue
        log = _log(stored, task, specs.get(task))
        path = (
            out / f"{moment(run)}-00-00_{file_part(task).replace('_', '-')}_{_id(run, task)}.eval"
        )
        out.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, path)
        written.append(path)
    return written


def _log(stored: Answers, task: str, spec: TaskSpec | None) -> EvalLog:
    from inspect_ai.log import EvalLog, EvalStats

    run = stored.run
    if run.scores.tasks[task].cell.endswith("generative"):
        samples = list(answer_samples(stored, task))
    else:
        samples = list(choice_samples(run, task))
    started = f"{moment(run)[:13]}:{moment(run)[14:16]}:{moment(run)[17:]}+00:00"
    finished = next(
        (s["finished"] for s in reversed(run.manifest.sessions) if "finished" in s), started
    )
    return EvalLog(
        status="success",
        eval=_spec(run, task, spec, started, len(samples)),
        results=_results(run, task, samples, stored.documents),
        stats=EvalStats(started_at=started, completed_at=finished),
        samples=samples,
    )


def _id(run: FinishedRun, task: str) -> str:
    return digest([run.run_id, run.scores.comparability_key, task])[:22]


def _spec(
    run: FinishedRun, task: str, spec: TaskSpec | None, created: str, samples: int
) -> EvalSpec:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec
    from inspect_ai.model import GenerateConfig
    from inspect_ai.viewer import ViewerConfig

    settings, score = run.manifest.settings, run.scores.tasks[task]
    data = run.folder.data().get(task)
    version, _, content = settings.tasks.get(task, "").partition(" ")
    decoding = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_new_tokens": settings.max_new_tokens,
    } | settings.task_decoding.get(task, {})
    about = {
        "suite": f"{run.scores.suite}@{run.scores.suite_version}",
        "cell": score.cell,
        "family": score.family,
        "weighted": score.weighted,
        "partial": run.scores.partial,
        "comparability_key": run.scores.comparability_key,
        "run": run.run_id,
        "data_revision": data.revision if data else None,
        "judges": {j: run.manifest.judges.get(j, {}) for j in run.scores.judges},
        "value": score.value,
        "ci_low": score.ci_low,
        "ci_high": score.ci_high,
        "unscored": score.unscored,
    }
    generative = score.cell.endswith("generative")
    return EvalSpec(
        eval_id=_id(run, task),
        run_id=digest(run.run_id)[:22],
        created=created,
        task=task,
        task_id=_id(run, task),
        task_version=version or 0,
        task_description=spec.title if spec else None,
        task_attribs={"content": content},
        dataset=EvalDataset(
            name=data.hub_id if data else None, samples=samples, sample_ids=None, shuffled=False
        ),
        model=run.scores.model,
        model_generate_config=GenerateConfig(
            temperature=decoding["temperature"],
            top_p=decoding["top_p"],
            max_tokens=decoding["max_new_tokens"],
            system_message=settings.system_prompt,
        )
        if generative
        else GenerateConfig(),
        config=EvalConfig(limit=settings.limit, epochs=1),
        packages={"bfpo-bench": __version__},
        # What a model wrote is shown as plain text, whatever it wrote
        viewer=ViewerConfig(trust_content=False),
        metadata=without_places_in(about),
    )


def _results(
    run: FinishedRun, task: str, samples: Sequence[EvalSample], documents: pd.DataFrame
) -> EvalResults:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    score = run.scores.tasks[task]
    told = task_metrics(score, scored_values(documents[documents["task"] == task]).get(task))
    metrics = {
        key.removesuffix(",none"): value for key, value in told.items() if isinstance(value, float)
    }
    main = OUTCOME if score.cell.endswith("generative") else slug(score.raw_metric)
    found = [
        EvalScore(
            name=main,
            scorer=main,
            scored_samples=score.n_scored,
            unscored_samples=score.n - score.n_scored,
            metrics={name: EvalMetric(name=name, value=v) for name, v in metrics.items()},
        )
    ]
    for judge in map(without_places, run.scores.judges):
        labels = Counter(
            str(s.scores[judge].value) for s in samples if s.scores and judge in s.scores
        )
        if labels:
            shares = {label: n / labels.total() for label, n in sorted(labels.items())}
            found.append(
                EvalScore(
                    name=judge,
                    scorer=judge,
                    scored_samples=labels.total() - labels["unjudged"],
                    unscored_samples=labels["unjudged"],
                    metrics={k: EvalMetric(name=k, value=v) for k, v in shares.items()},
                )
            )
    return EvalResults(total_samples=score.n, completed_samples=len(samples), scores=found)
