"""A terminal that takes every text literally."""

from __future__ import annotations

import io

import pytest
from hostile import CORPUS, raw_controls
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.ui import Terminal, plain

SHORT = [text for text in CORPUS if len(text) < 200]


def printed(*things: object) -> str:
    out = io.StringIO()
    Terminal(file=out, width=400).print(*things)
    return out.getvalue()


@pytest.mark.parametrize("text", SHORT, ids=ascii)
def test_nothing_that_is_printed_acts(text: str) -> None:
    """As a text, a styled text, a cell, a heading or a title: it arrives, and without its controls."""
    table = Table(text, title=text, caption=text)
    table.add_row(text)
    for thing in (text, Text(text), table):
        assert raw_controls(printed(thing)) == []
    assert raw_controls(plain(text)) == []
    assert plain(text).isprintable()


def test_markup_and_names_of_emoji_are_text() -> None:
    assert printed("[red]a[/red] :boom: [link=x]b[/]") == "[red]a[/red] :boom: [link=x]b[/]\n"


def test_its_own_colours_stay() -> None:
    out = io.StringIO()
    Terminal(file=out, force_terminal=True, color_system="standard").print(
        Text("\x1b]0;t\x07a", "red")
    )
    assert out.getvalue() == "\x1b[31m]0;ta\x1b[0m\n"


def test_kinds_of_white_space_are_one_space_each() -> None:
    assert plain("a\nb\tc\u2028d\u200be") == "a b c de"
