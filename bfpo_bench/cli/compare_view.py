"""What `bfpo-bench compare` prints: tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.panel_view import shortened
from bfpo_bench.cli.render import short
from bfpo_bench.cli.ui import plain
from bfpo_bench.leaderboard.compare.flips import SideBySide
from bfpo_bench.leaderboard.compare.gate import GateResult, bounds_text
from bfpo_bench.leaderboard.compare.result import Comparison, Difference
from bfpo_bench.leaderboard.compare.words import (
    KEY_WORDS,
    RULE_WORDS,
    TEST_MARKS,
    TEST_WORDS,
    by_reason,
    following,
    interval,
    p_text,
    signed,
    unseen_note,
    verdict,
)

_STYLES = {"better": "green", "worse": "red"}
_REASON = 160


def print_comparison(
    console: Console,
    comparison: Comparison,
    examples: Sequence[SideBySide],
    gate: GateResult | None,
) -> None:
    """What differs besides the model, the scores, the tasks, some flips, and the gate last."""
    for line in _head(comparison):
        console.print(line)
    if comparison.kind("aggregate") or comparison.kind("cell"):
        console.print(score_table(comparison))
    if comparison.kind("task"):
        console.print(task_table(comparison))
    else:
        console.print(Text("No task could be compared.", style="yellow"))
    if note := unseen_note(comparison, short):
        console.print(Text(plain(note), style="yellow"))
    for reason, names in by_reason(comparison).items():
        told = f"Not compared: {', '.join(map(short, names))} ({shortened(reason, _REASON)})."
        console.print(Text(plain(told), style="dim"))
    if means := following(comparison):
        console.print(Text(f"Not compared: {means}.", style="dim"))
    for direction in ("worse", "better"):
        shown = [one for one in examples if one.flip.direction == direction]
        if shown:
            count = sum(flip.direction == direction for flip in comparison.flips)
            console.print(flip_table(shown, f"Changed for the {direction}", count))
    for line in _gate(gate) if gate else ():
        console.print(line)


def _head(comparison: Comparison) -> Iterator[RenderableType]:
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        partial = ", partial" if side.partial else ""
        yield Text(plain(f"{name}: {side.model} (run {side.run_id}, {side.suite}{partial})"))
    if comparison.key_differences:
        told = f"{KEY_WORDS} {'; '.join(comparison.key_differences)}."
        yield Text(plain(told), style="yellow")
    for warning in comparison.warnings:
        yield Text(plain(warning), style="yellow")
    yield Text("")


def _table(*headings: str) -> Table:
    table = Table(caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def score_table(comparison: Comparison) -> RenderableType:
    """Helpfulness, harmlessness and over-refusal, with the cells that they are the means of."""
    table = _table("score", "A", "B", "B − A", "95 % interval", "p", "")
    table.columns[0].no_wrap = False
    cells = comparison.kind("cell")
    for score in comparison.kind("aggregate"):
        arrow = " ↓" if score.lower_is_better else ""
        _add(table, score.name.replace("_", "-") + arrow, score, "bold")
        for cell in [c for c in cells if c.name.startswith(f"{score.name}/")]:
            _add(table, f"  {cell.name.removeprefix(f'{score.name}/')}", cell)
            cells.remove(cell)
    for cell in cells:
        _add(table, cell.name.replace("/", ", "), cell)
    table.caption = f"Percent; differences in points. {RULE_WORDS}"
    return table


def _add(table: Table, name: str, score: Difference, style: str = "") -> None:
    said = verdict(score)
    table.add_row(
        Text(plain(name), style=style),
        f"{score.a:.1f}",
        f"{score.b:.1f}",
        Text(signed(score.difference), style=style),
        interval(score),
        p_text(score),
        Text(said, style=_STYLES.get(said, "dim")),
    )


def task_table(comparison: Comparison) -> RenderableType:
    """One row a task; flips count documents that changed for the better and for the worse."""
    table = _table("task", "A", "B", "B − A", "95 % interval", "p", "flips", "")
    for task in comparison.kind("task"):
        said = verdict(task)
        table.add_row(
            Text(plain(short(task.name))),
            f"{task.a:.0f}",
            f"{task.b:.0f}",
            signed(task.difference),
            interval(task),
            p_text(task) + (TEST_MARKS[task.test] or " "),
            f"+{task.flips_better:,} −{task.flips_worse:,}",
            Text(said if task.better is not None else "", style=_STYLES.get(said, "")),
        )
    table.caption = f"Percent; differences in points. {TEST_WORDS} {RULE_WORDS}"
    return table


def flip_table(shown: Sequence[SideBySide], title: str, count: int) -> RenderableType:
    """Both answers side by side."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("document", "A", "B"):
        table.add_column(heading, ratio=1, overflow="fold")
    table.expand = True
    for one in shown:
        flip = one.flip
        table.add_row(
            Text(f"{plain(short(flip.task))} {flip.doc_id}: {shortened(one.prompt, 90)}"),
            _answer(flip.a_outcome, one.a),
            _answer(flip.b_outcome, one.b),
        )
    return Group(Text(f"{title} ({len(shown)} of {count:,})", style="italic"), table)


def _answer(outcome: str, text: str) -> Text:
    told = Text(plain(outcome.replace("_", "-")), style="bold")
    return told.append(f"\n{shortened(text, 120)}", style="not bold")


def _gate(gate: GateResult) -> Iterator[RenderableType]:
    broken = [one for one in gate.rules if not one.holds]
    for one in gate.rules:
        word, style = ("holds", "green") if one.holds else ("BROKEN", "red")
        yield Text.assemble(
            "gate: ",
            (word, style),
            plain(f": {one.rule.score}: {bounds_text(one.rule)}; it is {one.said}"),
        )
    told = f"{len(broken)} of {len(gate.rules)} rules broken" if broken else "passed"
    yield Text(f"gate: {told}", style="red" if broken else "green")
