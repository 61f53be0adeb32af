"""`bfpo-bench winrate`: win rates from anyone's pairwise annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from bfpo_bench.scoring.annotations import Annotation
    from bfpo_bench.scoring.glm_inputs import GlmInputs
    from bfpo_bench.scoring.model_records import ModelRecord


def winrate(
    file: Path = typer.Argument(
        ..., metavar="FILE", help="Annotations: a JSON array, JSON lines or parquet."
    ),
    glm_files: Path | None = typer.Option(
        None,
        metavar="DIR",
        help="Folder with df_gamed.csv, which the published length control needs.",
        show_default="asked of the hub: tatsu-lab/alpaca_eval",
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON: a list, one record a model."),
) -> None:
    """Compute win rates, raw and length-controlled, from annotations in AlpacaEval's format.

    A record compares two answers to one instruction: instruction, output_1 of the baseline
    generator_1, output_2 of the model generator_2, annotator, preference. output_1_chars and
    output_2_chars may stand for the texts. Models, baselines and annotators may be mixed in a file;
    each combination is one row.

    preference: 1 the baseline is better, 2 the model is, 0 or 1.5 a draw, and anything from 1 to 2
    from a weighted annotator. Anything else is dropped, and counted.

    The win rate is the mean of preference - 1. The length-controlled one is what a regression says
    it would be if both answers were equally long. `method` says which:
    length_controlled_v1, the leaderboard's, for AlpacaEval's 805 instructions in their order where
    df_gamed.csv is at hand; else length_controlled_minimal, which can differ from it by more than
    ten points: compare like with like.

        bfpo-bench winrate results/my-model/annotations.json
    """
    from bfpo_bench.scoring.annotations import read_annotations
    from bfpo_bench.scoring.model_records import model_records

    annotations = read_annotations(file)
    inputs, about = _inputs(glm_files, annotations)
    records = model_records(annotations, inputs, about)
    if json_:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(r) for r in records], indent=2))
        return
    from bfpo_bench.cli.ui import Terminal

    console = Terminal()
    for part in _tables(records):
        console.print(part)


def _inputs(folder: Path | None, annotations: Sequence[Annotation]) -> tuple[GlmInputs | None, str]:
    """What the published length control needs and where it is from, or why it is not there.

    Raises UserError where a folder that was given cannot serve.
    """
    from bfpo_bench import hub
    from bfpo_bench.errors import UserError
    from bfpo_bench.scoring.annotations import by_pairing
    from bfpo_bench.scoring.glm_inputs import GLM_FILE, GLM_REPO, are_alpaca_eval, read_glm_inputs

    if folder is not None:
        return read_glm_inputs(folder / GLM_FILE), f"{GLM_FILE} of {folder}"
    groups = by_pairing(annotations).values()
    if not any(are_alpaca_eval(a.instruction for a in group) for group in groups):
        return None, ""
    lacking = f"{GLM_FILE} is not at hand (--glm-files DIR names a folder that has it)"
    try:
        at = hub.resolve(GLM_REPO, "dataset")
        name = f"{GLM_REPO}@{at.sha[:12]}"
        if GLM_FILE not in at.files:
            return None, f"{lacking}, nor is it in {name if at.online else 'the local cache'}"
        inputs = read_glm_inputs(hub.fetch_snapshot(at, [GLM_FILE]) / GLM_FILE)
    except UserError as error:
        return None, f"{lacking}: {error}"
    return inputs, f"{GLM_FILE} of {name}"


def _tables(records: Sequence[ModelRecord]) -> Iterator[RenderableType]:
    """A table for each baseline and annotator, best model first, and below it what there is to say."""
    from rich.text import Text

    from bfpo_bench.cli.ui import plain

    for baseline, annotator in dict.fromkeys((r.baseline, r.annotator) for r in records):
        block = [r for r in records if (r.baseline, r.annotator) == (baseline, annotator)]
        block.sort(key=lambda r: -1.0 if r.win_rate is None else r.win_rate, reverse=True)
        judged = f", judged by {annotator}" if annotator else ""
        yield Text(plain(f"against {baseline}{judged}"), style="italic")
        yield _table(block)
        for line, models in _said(block).items():
            of = "" if len(models) == len(block) else f"{', '.join(models)}: "
            yield Text(plain(of + line))
        yield ""


def _table(records: Sequence[ModelRecord]) -> RenderableType:
    from rich import box

    from bfpo_bench.cli.fitting import FittingTable
    from bfpo_bench.cli.ui import plain

    table = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for name in ("win rate %", "s.e.", "95 %", "length-\ncontr. %", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for r in records:
        table.add_row(
            plain(r.generator),
            f"{r.n:,}",
            _number(r.win_rate),
            _number(r.standard_error),
            _interval(r.ci_low, r.ci_high),
            _number(r.length_controlled_win_rate),
            _interval(r.lc_ci_low, r.lc_ci_high),
        )
    return table


def _said(records: Sequence[ModelRecord]) -> dict[str, list[str]]:
    """Line -> the models it holds for: how length was controlled, and the notes."""
    said: dict[str, list[str]] = {}
    for r in records:
        for line in (f"length-controlled: {r.method}", *r.notes):
            said.setdefault(line, []).append(r.generator)
    return said


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.1f}-{high:.1f}"
