"""Judges held against a labelled file: read it, judge its texts, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.labelled import Labelled, Reading, read_labelled
from bfpo_bench.judges.spec import JudgeSpec
from bfpo_bench.judging import PlannedJudge, judge_texts
from bfpo_bench.nearest import nearest
from bfpo_bench.progress import Ui
from bfpo_bench.runs.records import ResponseKey
from bfpo_bench.scoring.evaluation import POSITIVE, Evaluation, evaluate
from bfpo_bench.scoring.panel import Panel, Sheet, Split, panel, splits
from bfpo_bench.scoring.said import Responses, codes
from bfpo_bench.stages.process import StageCrash


@dataclass(frozen=True)
class Evaluated:
    """What came of it: `findings` by judge key, one a row; `panel` where several judges spoke.

    `keys` name the rows in `splits`: their prompt's number, then their own. `faults` are sentences
    about judges that broke off, or whose server failed.
    """

    labelled: Labelled
    findings: Mapping[str, Sequence[Finding]]
    evaluations: tuple[Evaluation, ...]
    keys: tuple[ResponseKey, ...]
    panel: Panel | None
    splits: tuple[Split, ...]
    faults: tuple[str, ...]


def evaluate_judges(
    planned: Sequence[PlannedJudge],
    file: Path,
    reading: Reading,
    positive: Sequence[str],
    ui: Ui,
    arguments: Mapping[str, Any],
) -> Evaluated:
    """Judge the file's texts with every judge in turn and compare with its labels.

    `positive`: the labels that count as one against the rest; the kind's own where it is empty.
    `arguments` are for the engine of a model that is loaded here.
    Raises UserError for judges or labels that do not go together, and for what the file lacks.
    """
    specs = [one.judge.spec for one in planned]
    labels = shared_labels(specs)
    counted = checked_positive(positive, labels) or POSITIVE.get(specs[0].kind, labels[:1])
    labelled = read_labelled(file, labels, reading)
    texts = [Text(row.prompt, row.response) for row in labelled.rows]
    findings: dict[str, list[Finding]] = {}
    faults = []
    for one in planned:
        key = one.judge.key
        try:
            findings[key] = judge_texts(one, texts, ui, arguments)
        except StageCrash as crash:
            faults.append(f"judge {key} broke off: {crash}")
            continue
        if failed := sum(finding.fault for finding in findings[key]):
            faults.append(
                f"judge {key}: {failed} of {len(texts)} texts are unjudged for a fault: the same "
                "command asks again for these"
            )
    keys = _keys(labelled)
    said = {key: codes(found.label for found in some) for key, some in findings.items()}
    sheet = Sheet(said, [keys])
    return Evaluated(
        labelled=labelled,
        findings=findings,
        evaluations=tuple(
            evaluate(key, labelled.rows, some, labels, counted) for key, some in findings.items()
        ),
        keys=tuple(keys),
        panel=panel(specs[0].kind, sheet) if len(said) > 1 else None,
        splits=tuple(splits(sheet)) if said else (),
        faults=tuple(faults),
    )


def shared_labels(specs: Sequence[JudgeSpec]) -> tuple[str, ...]:
    """The labels that people's are read as: those of all the judges, in the first one's order.

    Raises UserError for judges that measure different things, or that give grades and no labels.
    """
    first = specs[0]
    for spec in specs:
        if len(spec.labels) < 2 or spec.kind == "preference":
            raise UserError(
                f"Judge {spec.name} gives no labels that one response can be held against "
                f"(kind {spec.kind}): evaluate a judge of refusals, harm, toxicity or truth."
            )
        if spec.kind != first.kind and set(spec.labels) != set(first.labels):
            raise UserError(
                f"Judges {first.name} (kind {first.kind}) and {spec.name} (kind {spec.kind}) have "
                "different labels, which cannot both be read from one column: evaluate each in a "
                "command of its own."
            )
    return tuple(dict.fromkeys(label for spec in specs for label in spec.labels))


def checked_positive(positive: Sequence[str], labels: Sequence[str]) -> Sequence[str]:
    """Raises UserError for a label that there is none of, or where all are named."""
    for label in positive:
        if label not in labels:
            raise UserError(
                f"--positive names {label!r}{nearest(label, labels)}: name some of "
                f"{', '.join(labels)}."
            )
    if set(positive) == set(labels):
        raise UserError("--positive names every label: leave out those to compare with.")
    return positive


def _keys(labelled: Labelled) -> Responses:
    """Rows of one prompt share their first two parts, as samples of a document do in a run."""
    prompts: dict[str | int, int] = {}
    numbers = [prompts.setdefault(row.group, len(prompts)) for row in labelled.rows]
    return Responses("row", numbers, [row.number for row in labelled.rows])
