"""Scores and leaderboards as terminal tables that fit 80 columns, and stacked where there are fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.defences_view import defences_table
from bfpo_bench.cli.fitting import FittingTable, Name
from bfpo_bench.cli.grid_view import levels_table
from bfpo_bench.cli.ui import plain
from bfpo_bench.leaderboard.columns import CELL_COLUMNS
from bfpo_bench.leaderboard.defended import guarded
from bfpo_bench.leaderboard.keys import differences
from bfpo_bench.leaderboard.levelled import level_cells
from bfpo_bench.leaderboard.notes import notes
from bfpo_bench.leaderboard.view import Block, blocks
from bfpo_bench.scoring.outcomes import OUTCOMES
from bfpo_bench.scoring.scores import Score, Scores, TaskScore
from bfpo_bench.scoring.started import Started, curves

_COLUMNS = ("helpfulness", "harmlessness", *CELL_COLUMNS.values(), "over_refusal")
_HEADINGS = {
    "helpfulness": "helpful",
    "harmlessness": "harmless",
    "helpfulness_discriminative": "help.\ndiscr.",
    "helpfulness_generative": "help.\ngener.",
    "harmlessness_discriminative": "harm.\ndiscr.",
    "harmlessness_generative": "harm.\ngener.",
    "over_refusal": "over-\nref. ↓",
}
_OUTCOME_HEADINGS = {
    "complied": "com-\nplied",
    "safe": "safe",
    "answered": "ans-\nwered",
    "failed": "fail-\ned",
    "over_refused": "over-\nref.",
    "degenerate": "deg-\nen.",
    "unjudged": "un-\njudg.",
}
_RAW = {
    "attack success rate": "ASR",
    "compliance rate": "answered",
    "pct_stereotype": "stereotyped",
    "followed rate": "followed",
    "truthful rate": "truthful",
    "win rate": "wins",
    "mean grade": "grade",
}


def _table() -> Table:
    return FittingTable(
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _titled(title: str, table: Table) -> Group:
    # A table's own title would be wrapped to the table's width
    return Group(Text(plain(title), style="italic"), table)


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def score_text(score: Score) -> str:
    """'71.2 [69.0, 73.3]', or a dash where there is no score."""
    return _interval(score.value, score.ci_low, score.ci_high)


def short(task: str) -> str:
    return task.removeprefix("bfpo_")


def task_table(scores: Scores) -> RenderableType:
    """One model's tasks by cell: score with its interval, the raw metric, documents scored."""
    table = _table()
    table.add_column("task", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("raw metric", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for cell, score in scores.cells.items():
        rows = {name: task for name, task in scores.tasks.items() if task.cell == cell}
        if not rows:
            continue
        table.add_section()
        table.add_row(Text(cell, style="bold"), Text(score_text(score), style="bold"))
        for name, task in rows.items():
            raw = _raw_text(task)
            value = score_text(task) if task.value is not None else "not scored"
            mark = "" if task.weighted else " †"
            table.add_row(f"  {short(name)}{mark}", value, raw, f"{task.n_scored}/{task.n}")
    told = []
    if any(not task.weighted for task in scores.tasks.values()):
        told.append("† measured, and not weighted.")
    reasons: dict[str, list[str]] = {}
    for name, task in scores.tasks.items():
        if task.unscored:
            reasons.setdefault(task.unscored, []).append(short(name))
    told += [_curve_text(one) for one in curves(scores.tasks.items())]
    if reasons:
        why = "; ".join(
            f"{', '.join(names)} ({reason.rstrip('.')})" for reason, names in reasons.items()
        )
        told.append(f"Not scored, and left out of the means: {why}.")
    table.caption = plain(" ".join(told)) if told else None
    return _titled(f"{scores.model}: tasks (percent, higher is better, 95 % interval)", table)


def _curve_text(curve: Started) -> str:
    *first, last = curve.tasks
    name = short(curve.name).replace("_", " ").capitalize()
    after = f"{', '.join(map(str, first))} and {last} tokens"
    return f"{name}: {curve.measure}, in percent, after {after} that the answers were started with."


def _raw_text(task: TaskScore) -> str:
    """The raw metric; beside a win rate, which is its own, the length-controlled one."""
    if task.length_controlled is not None and task.length_controlled.value is not None:
        return f"length-controlled {task.length_controlled.value:.1f}"
    if task.raw_value is None:
        return ""
    return f"{_RAW.get(task.raw_metric, task.raw_metric)} {task.raw_value:.3f}"


def outcome_table(scores: Scores) -> RenderableType:
    """The outcomes of each judged task, with the bounds that the unjudged leave."""
    table = _table()
    table.add_column("task", no_wrap=True)
    for heading in _OUTCOME_HEADINGS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("bounds", justify="right", no_wrap=True)
    for name, task in scores.tasks.items():
        if task.outcomes is None:
            continue
        counts = [str(getattr(task.outcomes, o)) for o in OUTCOMES]
        bounds = f"{task.bound_low:.1f}..{task.bound_high:.1f}" if task.outcomes.unjudged else ""
        table.add_row(short(name), *counts, bounds)
    if not table.row_count:
        return Text("")
    return _titled(f"{scores.model}: outcomes of generative tasks", table)


def leaderboard_tables(
    table: pd.DataFrame, keys: Mapping[str, Mapping[str, Any]]
) -> Iterator[RenderableType]:
    """One table a block, one of its defences and one of levels; from the second block on with what makes it
    incomparable to the first."""
    first: Block | None = None
    for block in blocks(table):
        yield _block_table(block, keys)
        if defended := guarded(block.rows.to_dict("records")):
            yield defences_table(defended)
        if levelled := level_cells(block.rows.to_dict("records")):
            yield levels_table(levelled)
        if first is None:
            first = block
        else:
            yield Text(plain(_why_apart(first, block, keys)) + "\n", style="dim")


def _block_table(block: Block, keys: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    partial = ", PARTIAL" if block.partial else ""
    table = _table()
    table.caption = _caption(block, keys)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=14)
    for column in _COLUMNS:
        table.add_column(_HEADINGS[column], justify="right", no_wrap=True)
    for _, row in block.rows.iterrows():
        rank = "–" if pd.isna(row["rank"]) else str(row["rank"])
        table.add_row(rank, Name(plain(row["model"])), *(_stacked(row, c) for c in _COLUMNS))
    return _titled(f"{block.suite}{partial}, comparability key {block.key}", table)


def _stacked(row: Any, column: str) -> Text:
    """Score above interval, so that seven scores fit beside a model's name."""
    if pd.isna(row[column]):
        return Text("–")
    low, high = row[f"{column}_ci_low"], row[f"{column}_ci_high"]
    told = Text.assemble(f"{row[column]:.1f}\n", (f"{low:.0f}–{high:.0f}", "dim"))
    least, greatest = row.get(f"{column}_judge_low"), row.get(f"{column}_judge_high")
    if not pd.isna(least) and not pd.isna(greatest):
        told.append(f"\n‡{least:.0f}–{greatest:.0f}", "dim")
    return told


def _caption(block: Block, keys: Mapping[str, Mapping[str, Any]]) -> str:
    judges = sorted({str(j).replace(" ", " and ") for j in block.rows["judges"] if j})
    lines = [f"Percent with 95 % intervals. Judges: {', '.join(judges) or 'none'}."]
    if (
        "harmlessness_judge_low" in block.rows
        and block.rows["harmlessness_judge_low"].notna().any()
    ):
        lines.append("‡ by each judge of the panel alone.")
    lines += notes(block, keys)
    missing = sorted({m for cell in block.rows["missing"] for m in str(cell).split()})
    if missing:
        lines.append(f"Not scored, and left out of the means: {', '.join(map(short, missing))}.")
    return plain(" ".join(lines))


def _why_apart(first: Block, block: Block, keys: Mapping[str, Mapping[str, Any]]) -> str:
    if block.key == first.key:
        return "Not ranked with the first table: these rows are partial."
    here, there = keys.get(block.key), keys.get(first.key)
    if here is None or there is None:
        return "Not comparable to the first table: another comparability key."
    found = differences(here, there)
    more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
    return f"Not comparable to the first table: {'; '.join(found[:4])}{more}."
