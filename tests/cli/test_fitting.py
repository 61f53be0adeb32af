"""Tables on terminals of every width: no column and no cell is lost."""

from __future__ import annotations

import io

import pytest
from rich import box

from bfpo_bench.cli.fitting import FittingTable, Name, broken
from bfpo_bench.cli.ui import Terminal


def table() -> FittingTable:
    found = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    found.add_column("#", justify="right", no_wrap=True)
    found.add_column("model", overflow="fold", min_width=14)
    for heading in ("helpful", "harm.\ndiscr.", "com-\nplied"):
        found.add_column(heading, justify="right", no_wrap=True)
    found.add_row("1", "org/some-model", "29.5\n24–38", "53.1\n45–61", "7")
    found.add_row("2", "other", "15.7\n11–25", "", "0")
    found.caption = "Percent."
    return found


def printed(width: int) -> str:
    out = io.StringIO()
    Terminal(file=out, width=width).print(table())
    return out.getvalue()


def test_a_table_where_it_fits() -> None:
    lines = printed(80).splitlines()
    assert any("model" in line and "helpful" in line for line in lines)


def test_a_list_where_it_does_not() -> None:
    """The first line of a row names it; a cell that is empty has none."""
    assert [line.rstrip() for line in printed(30).splitlines()] == [
        "1 org/some-model",
        "    helpful       29.5 24–38",
        "    harm. discr.  53.1 45–61",
        "    complied      7",
        "2 other",
        "    helpful       15.7 11–25",
        "    complied      0",
        "",
        "Percent.",
        "",
    ]


@pytest.mark.parametrize("width", range(20, 90))
def test_every_cell_is_there_at_every_width(width: int) -> None:
    """Words are broken only where a line is narrower than they are."""
    text = "".join(printed(width).split())
    for cell in ("29.5", "24–38", "53.1", "45–61", "15.7", "11–25", "Percent."):
        assert cell in text


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("karpathy/stories260K", ["karpathy/", "stories260K"]),
        ("bfpo@1a2b3c4d-x", ["bfpo@1a2b3c4d-", "x"]),
        ("org/a", ["org/a"]),
        ("", [""]),
    ],
)
def test_names_break_after_their_signs(name: str, lines: list[str]) -> None:
    assert broken(name, 14).split("\n") == lines


def test_a_part_that_is_too_long_is_broken_in_itself() -> None:
    found = Name("org/abcdefghijklmnop").wrap(Terminal(width=80), 8, overflow="fold")
    assert [line.plain for line in found] == ["org/", "abcdefgh", "ijklmnop"]


def test_the_table_s_names_are_broken_so() -> None:
    found = FittingTable(box=box.SIMPLE_HEAD)
    found.add_column("model", overflow="fold", max_width=14)
    found.add_row(Name("karpathy/stories260K (null engine)"))
    out = io.StringIO()
    Terminal(file=out, width=80).print(found)
    told = [line.strip() for line in out.getvalue().splitlines()]
    assert told[-4:-1] == ["karpathy/", "stories260K", "(null engine)"]
