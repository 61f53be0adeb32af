"""Tables that lose no column where the terminal is too narrow for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.containers import Lines
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text


class Name(Text):
    """A name that is broken after '/', '@' or '-' where it can be, and in a word only where it must."""

    def wrap(self, console: Console, width: int, *given: Any, **named: Any) -> Lines:
        return Text(broken(self.plain, width)).wrap(console, width, *given, **named)


def broken(name: str, width: int) -> str:
    """The name in lines of at most `width` cells, as far as its parts are no longer."""
    lines = [""]
    for part in re.split(r"(?<=[/@\- ])", name):
        if lines[-1] and cell_len(lines[-1]) + cell_len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


class FittingTable(Table):
    """A table where it fits; else its rows one below the other, a line for each of a row's columns.

    A row's first line holds its columns up to the first that is aligned to the left: its name.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = _widths(self, console, options)
        if widths is None:
            yield from _stacked(self)
            return
        asked = [column.width for column in self.columns]
        try:
            # Rich would take what a least width is short of from columns that must not wrap as well
            for column, width in zip(self.columns, widths, strict=True):
                column.width = width
            yield from super().__rich_console__(console, options)
        finally:
            for column, before in zip(self.columns, asked, strict=True):
                column.width = before


def _widths(table: Table, console: Console, options: ConsoleOptions) -> list[int] | None:
    """Of the columns, so that every cell is shown; None where the terminal is too narrow for that.

    Those of `no_wrap` stand on one line; the others have the longest word or the least width that was
    asked for, and of what is left the narrowest gets first.
    """
    free = options.update(width=10_000)

    def width(column: Column) -> tuple[int, int]:
        cells = [column.header, *column.cells]
        sizes = [Measurement.get(console, free, cell) for cell in cells]
        whole = max(size.maximum for size in sizes)
        if column.no_wrap:
            return whole, whole
        folds = column.overflow == "fold"
        least = column.min_width or (1 if folds else max(size.minimum for size in sizes))
        return least, max(least, min(whole, column.max_width or whole))

    _, right, _, left = Padding.unpack(table.padding)
    between = 1 if table.box is not None else 0
    found, whole = (list(sizes) for sizes in zip(*map(width, table.columns), strict=True))
    left_over = options.max_width - sum(found) - (left + right + between) * len(found)
    if left_over < 0:
        return None
    for _ in range(left_over):
        growing = [n for n, size in enumerate(found) if size < whole[n]]
        if not growing:
            break
        found[min(growing, key=found.__getitem__)] += 1
    return found


def _stacked(table: Table) -> Iterator[RenderableType]:
    name = next((n for n, c in enumerate(table.columns) if c.justify == "left"), 0)
    headings = [_one_line(c.header) for c in table.columns]
    wide = max((h.cell_len for h in headings[name + 1 :]), default=0)
    for row in zip(*(c.cells for c in table.columns), strict=True):
        cells = [_one_line(cell) for cell in row]
        yield Text(" ").join(cell for cell in cells[: name + 1] if cell)
        for heading, cell in zip(headings[name + 1 :], cells[name + 1 :], strict=True):
            if cell:
                heading.truncate(wide, pad=True)
                yield Text.assemble("    ", heading, "  ", cell)
    if table.caption:
        yield ""
        yield _text(table.caption)
    yield ""


def _one_line(cell: RenderableType) -> Text:
    """A cell's lines beside each other; a heading's word that was broken at a hyphen is one again."""
    lines = _text(cell).split("\n")
    joined = Text()
    for line in lines:
        if joined.plain and not (joined.plain.endswith("-") and line.plain[:1].islower()):
            joined.append(" ")
        elif joined.plain.endswith("-"):
            joined.right_crop(1)
        joined.append_text(line)
    return joined


def _text(cell: RenderableType) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(str(cell))
