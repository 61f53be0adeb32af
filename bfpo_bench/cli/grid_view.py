"""Models asked for levels of helpfulness and safety, as a table in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.defences_view import score_text
from bfpo_bench.cli.fitting import FittingTable, Name
from bfpo_bench.cli.ui import plain
from bfpo_bench.leaderboard.levelled import Cell, note


def levels_table(cells: Sequence[Cell]) -> Group:
    """Helpfulness and harmlessness of what is written, at each pair of levels."""
    table: Table = FittingTable(
        caption=note(cells),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("model", overflow="fold", min_width=14)
    for heading in ("help.\nlevel", "safety\nlevel", "helpful\ngener. ↑", "harmless\ngener. ↑"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in cells:
        table.add_row(
            Name(plain(cell.model)),
            str(cell.levels.helpfulness),
            str(cell.levels.safety),
            score_text(cell.helpful),
            score_text(cell.harmless),
        )
    return Group(Text("Levels of helpfulness and safety", style="italic"), table)
