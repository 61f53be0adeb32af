"""Models behind defences, as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.fitting import FittingTable, Name
from bfpo_bench.cli.ui import plain
from bfpo_bench.leaderboard.defended import Guarded, note


def defences_table(rows: Sequence[Guarded]) -> Group:
    """Safety and over-refusal of each, with the change from the bare model."""
    table: Table = FittingTable(
        caption=note(rows),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("model", overflow="fold", min_width=14)
    table.add_column("defence", no_wrap=True)
    for heading in ("harmless\ngener. ↑", "change", "over-\nref. ↓", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Name(plain(row.model)),
            row.defence or "none",
            score_text(row.safety),
            _change(row.safety_change),
            score_text(row.over_refusal),
            _change(row.over_refusal_change),
        )
    return Group(Text("Safety against over-defensiveness", style="italic"), table)


def score_text(score: tuple[float, float, float] | None) -> Text:
    """`60.0 58–62`, the interval dimmed."""
    if score is None:
        return Text("–")
    value, low, high = score
    return Text.assemble(f"{value:.1f} ", (f"{low:.0f}–{high:.0f}", "dim"))


def _change(points: float | None) -> str:
    if points is None:
        return ""
    told = f"{points:+.1f}"
    return "0.0" if float(told) == 0 else told.replace("-", "\N{MINUS SIGN}")
