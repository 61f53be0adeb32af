"""A terminal that takes every text literally, and progress in lines and bars."""

from __future__ import annotations

import io

import pytest
from hostile import CORPUS, raw_controls
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli import ui
from bfpo_bench.cli.complain import complain
from bfpo_bench.cli.ui import RichUi, Terminal, duration, plain, rate
from bfpo_bench.progress import Progress

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


class TestRates:
    def test_a_unit_in_which_they_are_one_or_more(self) -> None:
        """0.5 a second is 30 a minute, 0.01 is 36 an hour less nothing: 0.6 a minute."""
        assert [rate(r) for r in (1234.5, 12.34, 1.26, 0.5, 0.05, 0.01)] == [
            "1,234/s",
            "12/s",
            "1.3/s",
            "30/min",
            "3.0/min",
            "36/h",
        ]

    def test_durations(self) -> None:
        assert [duration(s) for s in (0, 42, 725, 10_800)] == ["0:00", "0:42", "12:05", "3:00:00"]


class Clock:
    """Stands for `time`: a second passes with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


class TestLines:
    """Where there is no terminal."""

    def told(self, reports: list[Progress], monkeypatch: pytest.MonkeyPatch) -> list[str]:
        out = io.StringIO()
        monkeypatch.setattr("sys.stderr", out)
        monkeypatch.setattr(ui, "time", Clock())
        with RichUi().stage("work") as report:
            for progress in reports:
                report(progress)
        return out.getvalue().splitlines()

    def test_one_a_phase_and_one_a_tenth(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reports = [Progress("loading"), *(Progress("asking", n, 40) for n in range(41))]
        lines = self.told(reports, monkeypatch)
        assert lines[:3] == ["work: loading", "work: asking 0/40", "work: asking 4/40"]
        assert len(lines) == 1 + 11

    def test_a_long_phase_says_how_fast_it_goes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two units a line, and a second: 8 of 20 after five seconds are 1.6 a second, and the 12
        that are left take 7.5; all 20 after eleven are 1.8."""
        lines = self.told([Progress("asking", n, 20) for n in range(21)], monkeypatch)
        assert lines[3] == "work: asking 6/20"
        assert lines[4] == "work: asking 8/20, 1.6/s, 0:08 left"
        assert lines[-1] == "work: asking 20/20, 1.8/s"

    def test_what_is_said_on_the_way_is_a_line_of_its_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = Progress("asking", 1, 20, "somebody\x1b[2J is away")
        lines = self.told([Progress("asking", 1, 20), said], monkeypatch)
        assert lines == ["work: asking 1/20", "somebody[2J is away"]

    def test_what_was_done_before_makes_it_no_faster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A run that is taken up at 10 of 20: ten units in six seconds, not twenty."""
        lines = self.told([Progress("asking", n, 20) for n in range(10, 21)], monkeypatch)
        assert lines[-1] == "work: asking 20/20, 1.7/s"


class TestDumbAndColourless:
    def test_a_dumb_terminal_is_told_in_lines(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setenv("FORCE_COLOR", "1")
        with RichUi().stage("work") as report:
            report(Progress("asking", 1, 2))
        assert capfd.readouterr().err == "work: asking 1/2\n"

    @pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_no_colour_where_none_is_wanted(
        self,
        name: str,
        value: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        said: list[object] = []
        monkeypatch.setattr("typer.secho", lambda text, fg, err: said.append(fg))
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        complain("broken", "red")
        monkeypatch.setenv(name, value)
        complain("broken", "red")
        assert said == ["red", None]
