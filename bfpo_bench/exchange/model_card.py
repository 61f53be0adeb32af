"""A run's scores as a model card's evaluation results: `.eval_results/` and `model-index`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.exchange.lm_eval_results import slug
from bfpo_bench.exchange.measured import check_measured, check_own
from bfpo_bench.exchange.private import without_places
from bfpo_bench.leaderboard.notes import embedded_note, partial_part
from bfpo_bench.names import code
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.scores import Score
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

EVAL_RESULTS = ".eval_results/bfpo-bench.yaml"
_BEGIN, _END = "<!-- bfpo-bench: results -->", "<!-- bfpo-bench: end -->"
_NEW = "---\npipeline_tag: text-generation\n---\n"
_PARTS = ("helpfulness", "harmlessness", "over_refusal")


def export_model_card(run: FinishedRun, specs: Mapping[str, TaskSpec], out: Path) -> list[Path]:
    """Write the results into the model's folder `out`: `.eval_results/bfpo-bench.yaml`, which is what
    the hub reads now, and README.md with the same as `model-index` and a table.

    A README.md that is there keeps everything else: only its results of this suite and the part
    between our two comments are replaced, as `huggingface_hub.metadata_update` would with overwrite.
    There is no `.eval_results` where no scored task has a data set on the hub.
    Raises UserError for one whose metadata cannot be read, for a run of the null engine, and
    for one behind a defence.
    """
    check_measured(run)
    check_own(run)
    readme = out / "README.md"
    card = _card(readme)
    results, entries = out / EVAL_RESULTS, eval_results_yaml(run, specs)
    if entries is None:
        # One of an earlier export would pass for this run's
        results.unlink(missing_ok=True)
    else:
        write_atomically(results, entries)
    _put_results(card, run, specs)
    card.text = _with_section(card.text, _section(run))
    write_atomically(readme, str(card))
    return [readme] if entries is None else [readme, results]


def eval_results_yaml(run: FinishedRun, specs: Mapping[str, TaskSpec]) -> str | None:
    """`.eval_results/*.yaml` as huggingface_hub 2.4 writes it: an entry a scored task whose data are on
    the hub, in percent; None where there is none."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    data = run.folder.data()
    entries = []
    for task, score in run.scores.tasks.items():
        known = data.get(task)
        if score.value is None or known is None or not known.hub_id:
            continue
        entries.append(
            EvalResultEntry(
                dataset_id=known.hub_id,
                task_id=task,
                value=round(score.value, 4),
                dataset_revision=known.revision,
                date=_date(run),
                notes=_notes(run, score.metric, score),
            )
        )
    if not entries:
        return None
    told = eval_result_entries_to_yaml(entries)
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True))


def _card(readme: Path) -> Any:
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    try:
        text = readme.read_text(encoding="utf-8") if readme.exists() else _NEW
        return ModelCard(text, ignore_metadata_errors=False)
    except (OSError, ValueError, YAMLError) as error:
        raise UserError(
            f"The metadata of {readme} cannot be read ({first_line(error)}): mend it, or export into "
            "another folder."
        ) from error


def _put_results(card: Any, run: FinishedRun, specs: Mapping[str, TaskSpec]) -> None:
    """Ours in place of those of the same suite, whatever they said; others stay as they are."""
    mine = _eval_results(run, specs)
    prefix = f"bfpo-bench {run.scores.suite}@"
    others = [r for r in card.data.eval_results or [] if not (r.task_name or "").startswith(prefix)]
    card.data.eval_results = [*others, *mine]
    if card.data.model_name is None:
        card.data.model_name = _plain(run.scores.model)


def _eval_results(run: FinishedRun, specs: Mapping[str, TaskSpec]) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    scores, data = run.scores, run.folder.data()
    suite = f"bfpo-bench {scores.suite}@{scores.suite_version}"
    found = [
        EvalResult(
            task_type="text-generation",
            task_name=suite,
            dataset_type="bfpo-bench",
            dataset_name=suite,
            metric_type=name,
            metric_name=f"{name.replace('_', ' ')} in percent{' (lower is better)' if name == 'over_refusal' else ''}",
            metric_value=round(score.value, 4),
        )
        for name, score in _aggregates(run)
        if score.value is not None
    ]
    for task, score in scores.tasks.items():
        if score.value is None:
            continue
        known, spec = data.get(task), specs.get(task)
        found.append(
            EvalResult(
                task_type="text-generation",
                task_name=suite,
                dataset_type=(known.hub_id if known and known.hub_id else "bfpo-bench"),
                dataset_name=spec.title if spec else task,
                dataset_config=task,
                dataset_revision=known.revision if known else None,
                metric_type=slug(score.metric)
                if slug(score.metric).isidentifier()
                else "bfpo_score",
                metric_name=f"{score.metric} in percent",
                metric_value=round(score.value, 4),
            )
        )
    return found


def _aggregates(run: FinishedRun) -> list[tuple[str, Score]]:
    return [(name, getattr(run.scores, name)) for name in _PARTS]


def _section(run: FinishedRun) -> str:
    scores = run.scores
    embedded = embedded_note(scores.judges)
    lines = [
        "## Helpfulness and harmlessness",
        "",
        f"Measured by bfpo-bench, suite {code(f'{scores.suite}@{scores.suite_version}')}"
        f"{f', a part of it{_part(run)}' if scores.partial else ''}; percent with 95 % intervals; judges: "
        f"{', '.join(code(without_places(j)) for j in scores.judges) or 'none'}; comparability key "
        f"{code(scores.comparability_key)}.{f' {embedded}' if embedded else ''}",
        "",
        "| | score | 95 % interval |",
        "|---|--:|---|",
    ]
    for name, score in _aggregates(run):
        title = "over-refusal (lower is better)" if name == "over_refusal" else name
        lines.append(f"| {title} | {_number(score.value)} | {_interval(score)} |")
    lines += ["", "| task | metric | score | 95 % interval | scored |", "|---|---|--:|---|--:|"]
    for task, score in scores.tasks.items():
        if score.value is not None:
            cells = code(task), score.metric.replace("|", "\\|"), _number(score.value)
            asked = f"{score.n_scored} of {score.n}"
            lines.append(f"| {' | '.join((*cells, _interval(score), asked))} |")
    return "\n".join(lines)


def _with_section(text: str, section: str) -> str:
    """The card's text with our part in its old place, or at its end."""
    part = f"{_BEGIN}\n{section}\n{_END}"
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if begin and end:
        return f"{before}{part}{after}"
    return f"{text.rstrip()}\n\n{part}\n" if text.strip() else f"\n{part}\n"


def _part(run: FinishedRun) -> str:
    told = partial_part(run.manifest.settings.model_dump())
    return f" ({told})" if told else ""


def _notes(run: FinishedRun, metric: str, score: Score) -> str:
    scores = run.scores
    partial = f", partial{_part(run)}" if scores.partial else ""
    embedded = embedded_note(scores.judges)
    return without_places(
        f"{metric} in percent {_interval(score)}, bfpo-bench {scores.suite}@{scores.suite_version}"
        f"{partial}, judges {' '.join(scores.judges)}, key {scores.comparability_key}"
        f"{f'. {embedded}' if embedded else ''}"
    )


def _date(run: FinishedRun) -> str | None:
    finished = [s["finished"] for s in run.manifest.sessions if "finished" in s]
    return str(finished[-1]) if finished else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _interval(score: Score) -> str:
    if score.ci_low is None or score.ci_high is None:
        return ""
    return f"[{score.ci_low:.1f}, {score.ci_high:.1f}]"


def _plain(name: str) -> str:
    return re.sub(r"[^\w./@ ()+-]+", "_", name)
