"""`bfpo-bench leaderboard` with files as they lie on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from boards import board_row, write_board
from commands import command

LB = "leaderboards/bfpo.csv"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_board(tmp_path / LB, board_row("a", 40, 60), board_row("b", 60, 40))
    return tmp_path


@pytest.mark.parametrize(
    ("format_", "begins"),
    [
        ("csv", "model,suite,"),
        ("markdown", "## `s@1`"),
        ("html", "<!doctype html>"),
        ("latex", "% Needs"),
        ("json", "[\n  {"),
    ],
)
def test_text_is_printed_or_written(home: Path, format_: str, begins: str) -> None:
    printed = command("leaderboard", "export", "--format", format_, cwd=home)
    assert printed.out.startswith(begins)
    command("leaderboard", "export", "--format", format_, "--output", "out", cwd=home)
    assert (home / "out").read_text() == printed.out


def test_parquet_is_written_and_never_printed(home: Path) -> None:
    done = command("leaderboard", "export", "--format", "parquet", cwd=home)
    assert (done.code, done.out) == (2, "")
    assert "give --output FILE" in done.error
    command("leaderboard", "export", "--format", "parquet", "--output", "x.parquet", cwd=home)
    assert (home / "x.parquet").read_bytes()[:4] == b"PAR1"


def test_a_format_that_there_is_not_is_named(home: Path) -> None:
    done = command("leaderboard", "export", "--format", "latx", cwd=home)
    assert done.code == 2
    assert "did you mean latex?" in done.error


def test_a_corrupted_leaderboard_is_one_sentence(home: Path) -> None:
    text = (home / LB).read_text().replace("40.0000", "400.0000", 1)
    (home / LB).write_text(text)
    for words in ("show", "export", "plot --out a.svg"):
        done = command("leaderboard", *words.split(), cwd=home)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
        assert (
            f"{LB} has a row that cannot be (line 2, column helpfulness: '400.0000'" in done.error
        )


def test_conflicts_of_a_merge_are_listed(home: Path) -> None:
    other = write_board(home / "far.csv", board_row("a", 45, 60, date="2030-02-01"), board_row("b"))
    done = command("leaderboard", "merge", LB, str(other), "--output", LB, cwd=home)
    assert done.code == 0
    first, *_, last = done.out.splitlines()
    assert f"conflict: a (s@1, key k): kept the row of {other} over that of {LB}" in first
    assert "it is of 2030-02-01, the other of 2030-01-02; 3 columns differ, most help" in first
    assert last == f"{LB}: 2 rows of 4, 2 with other numbers"


def test_a_merge_as_json(home: Path) -> None:
    write_board(home / "far.csv", board_row("a", 40, 60), board_row("c"))
    words = f"leaderboard merge {LB} far.csv --output all.csv --json"
    found = json.loads(command(*words.split(), cwd=home).out)
    assert (found["rows"], found["read"], found["same"], found["conflicts"]) == (3, 4, 1, [])


def test_a_merge_of_nothing_is_refused(home: Path) -> None:
    done = command("leaderboard", "merge", "none.csv", "--output", "all.csv", cwd=home)
    assert done.code == 2
    assert "There is no leaderboard none.csv" in done.error


def test_a_figure_is_drawn_and_says_of_what(home: Path) -> None:
    done = command("leaderboard", "plot", "--out", "fig.svg", "--width", "300", cwd=home)
    assert (done.code, done.out) == (0, "fig.svg: 2 models of s@1, key k\n")
    assert (home / "fig.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--out fig.gif", "fig.gif does not say its format"),
        ("--out fig.svg --chart plan", "There is no chart 'plan' (did you mean plane?)"),
        ("--out fig.svg --key j", "No row has the comparability key j: give one of k."),
        ("--out fig.svg --leaderboard none.csv", "There is no leaderboard none.csv"),
    ],
)
def test_a_figure_that_cannot_be_is_refused(home: Path, words: str, told: str) -> None:
    done = command("leaderboard", "plot", *words.split(), cwd=home)
    assert done.code == 2
    assert told in done.error
    assert not (home / "fig.svg").exists()


def test_what_is_partial_is_said_of_the_keys_file(home: Path) -> None:
    """And nothing where it is not there: the row does not say."""
    write_board(home / LB, board_row("a", partial=True))
    commands = ("leaderboard show", "leaderboard export --format markdown")
    assert all("Partial:" not in command(*c.split(), cwd=home).out for c in commands)
    keys = {"k": {"settings": {"tasks": {"x": "1", "y": "1"}, "limit": 10}}}
    (home / LB).with_suffix(".keys.json").write_text(json.dumps(keys))
    for words in commands:
        told = " ".join(command(*words.split(), cwd=home).out.split())
        assert "Partial: 2 tasks, at most 10 documents of each." in told


def test_the_null_engine_is_shown_last_and_without_a_rank(home: Path) -> None:
    name = "m (null engine)"
    write_board(home / LB, board_row(name, 97, 97), board_row("b", 60, 40))
    shown = command("leaderboard", "show", cwd=home).out
    assert "its rows have no rank." in " ".join(shown.split())
    [block] = json.loads(command("leaderboard", "show", "--json", cwd=home).out)
    assert [(r["model"], r["rank"]) for r in block["rows"]] == [("b", 1), (name, None)]
    done = command("leaderboard", "plot", "--out", "fig.svg", "--width", "300", cwd=home)
    assert done.out == "fig.svg: 1 model of s@1, key k\n"
