"""What `bfpo-bench judges evaluate` found, as tables, as JSON and as lines of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.panel_view import panel_table, shortened, splits_table
from bfpo_bench.cli.ui import plain
from bfpo_bench.judge_evaluation import Evaluated
from bfpo_bench.scoring.agreement import Agreement
from bfpo_bench.scoring.evaluation import Disagreement, Evaluation


def as_json(evaluated: Evaluated, file: Path, worst: int) -> dict[str, Any]:
    """All figures; of each judge's disagreements the first `worst`."""
    labelled = evaluated.labelled
    return {
        "file": str(file),
        "rows": len(labelled.rows),
        "left_out": labelled.left_out,
        "columns": labelled.columns,
        "labels": labelled.labels,
        "judges": [_judge_json(one, worst) for one in evaluated.evaluations],
        "panel": evaluated.panel.model_dump() if evaluated.panel else None,
        "faults": list(evaluated.faults),
    }


def _judge_json(one: Evaluation, worst: int) -> dict[str, Any]:
    return {
        "judge": one.judge,
        "coverage": one.full.coverage,
        "unjudged": one.unjudged,
        "full": asdict(one.full),
        "binary": asdict(one.binary),
        "detection": asdict(one.detection),
        "n_disagreements": len(one.disagreements),
        "disagreements": [asdict(d) for d in one.disagreements[:worst]],
    }


def records(evaluated: Evaluated) -> str:
    """A JSON line a row: its text, what people say and what each judge says."""
    lines = []
    for place, row in enumerate(evaluated.labelled.rows):
        judges = {
            key: {
                "label": some[place].label,
                "score": some[place].score,
                "error": some[place].error,
            }
            for key, some in evaluated.findings.items()
        }
        lines.append(json.dumps(asdict(row) | {"judges": judges}, ensure_ascii=False) + "\n")
    # A file of UTF-8 holds no lone surrogates, which JSON may carry
    return "".join(lines).encode("utf-8", "backslashreplace").decode()


def print_evaluated(console: Console, evaluated: Evaluated, file: Path, worst: int) -> None:
    """How the file was read, all judges in one table, each one's confusion, what they split on."""
    for line in _reading(evaluated, file):
        console.print(plain(line), highlight=False, soft_wrap=True)
    if evaluated.evaluations:
        console.print(summary(evaluated))
    for one in evaluated.evaluations:
        console.print(confusion_table(one))
        if one.disagreements and worst:
            console.print(disagreements_table(one, worst))
    if evaluated.panel is not None:
        console.print(panel_table(evaluated.panel))
        rows = evaluated.labelled.rows
        texts = {
            key: (f"row {row.number}", row.prompt, row.response or "")
            for key, row in zip(evaluated.keys, rows, strict=True)
        }
        if evaluated.splits and worst:
            console.print(splits_table(evaluated.splits, texts, worst))
    for fault in evaluated.faults:
        console.print(plain(fault), style="red", highlight=False, soft_wrap=True)


def _reading(evaluated: Evaluated, file: Path) -> Iterator[str]:
    labelled = evaluated.labelled
    named = ", ".join(f"{role} {column!r}" for role, column in labelled.columns.items())
    yield f"{file}: {len(labelled.rows):,} rows; columns: {named}"
    words = ", ".join(
        f"{value} = {label or 'left out'}" for value, label in labelled.labels.items()
    )
    yield f"labels: {words}" + (
        f"; {labelled.left_out:,} rows left out" if labelled.left_out else ""
    )


def summary(evaluated: Evaluated) -> RenderableType:
    """A row a judge."""
    first = evaluated.evaluations[0]
    two_way = len(first.full.labels) != len(first.binary.labels)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("judge", overflow="fold", min_width=12)
    headings = ["judged", "kappa", *(["two-way kappa"] if two_way else [])]
    for heading in (*headings, "precision", "recall", "F1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in evaluated.evaluations:
        judged = f"{one.full.n:,}/{one.full.n + one.full.unjudged:,}"
        kappas = [one.full, one.binary] if two_way else [one.full]
        rates = (one.detection.precision, one.detection.recall, one.detection.f1)
        shares = ["–" if rate is None else f"{rate:.3f}" for rate in rates]
        table.add_row(plain(one.judge), judged, *map(_kappa, kappas), *shares)
    told = [Text(plain(line)) for line in _notes(evaluated, two_way)]
    title = "Agreement with people (Cohen's kappa, 95 % interval)"
    return Group(Text(title, style="italic"), table, *told, Text(""))


def _kappa(found: Agreement) -> Text:
    """Kappa above its interval, so that two fit beside a judge's name."""
    if found.kappa is None:
        return Text("undefined")
    return Text.assemble(
        f"{found.kappa:.3f}\n", (f"{found.ci_low:.2f} to {found.ci_high:.2f}", "dim")
    )


def _notes(evaluated: Evaluated, two_way: bool) -> Iterator[str]:
    positive = evaluated.evaluations[0].detection.positive
    against = ", which the two-way kappa sets against the rest" if two_way else ""
    yield f"Precision, recall and F1 of {positive}{against}."
    for one in evaluated.evaluations:
        for found in {one.full.undefined, one.binary.undefined} - {None}:
            yield f"{one.judge}: kappa is undefined: {found}."
        for reason, count in one.unjudged.items():
            yield f"{one.judge}: {count:,} unjudged: {reason}"


def confusion_table(one: Evaluation) -> RenderableType:
    """Rows: what people say, where they ever say it; columns: what the judge says."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("people \\ judge", no_wrap=True)
    for label in one.full.labels:
        table.add_column(label, justify="right", no_wrap=True)
    for label, row in zip(one.full.labels, one.full.confusion, strict=True):
        if any(row):
            table.add_row(label, *(f"{count:,}" for count in row))
    return Group(Text(plain(f"{one.judge}: confusion"), style="italic"), table)


def disagreements_table(one: Evaluation, worst: int) -> RenderableType:
    """The first `worst`: prompt, response, and what either says."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("prompt, > response", overflow="fold")
    table.add_column("people", no_wrap=True)
    table.add_column("judge", no_wrap=True)
    for found in one.disagreements[:worst]:
        table.add_row(str(found.number), _texts(found), found.human, _said(found))
    count, scored = len(one.disagreements), any(d.score is not None for d in one.disagreements)
    order = "the most confident first" if scored else "in the file's order"
    title = f"{one.judge}: disagreements, {order} ({min(worst, count)} of {count:,})"
    return Group(Text(plain(title), style="italic"), table)


def _texts(found: Disagreement) -> Text:
    return Text(f"{shortened(found.prompt, 100)}\n> {shortened(found.response or '', 150)}")


def _said(found: Disagreement) -> str:
    return found.label if found.score is None else f"{found.label}\n{found.score:.3g}"
