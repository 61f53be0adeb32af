"""Exit codes: what --help and the documentation say of them, and a command that ends with each.

3 is in test_json_output.py, 130 in test_stopping.py, and 1 for a broken gate where `compare` is tested.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import command

from bfpo_bench.cli.stopping import EXIT_CODE

pytestmark = pytest.mark.usefixtures("stages_here")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
CODES = [0, 1, 2, 3, EXIT_CODE]


def test_they_are_documented(tmp_path: Path) -> None:
    table = re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(code) for code in table] == CODES
    _, _, said = " ".join(command("--help", cwd=tmp_path).out.split()).partition("Exit codes: ")
    assert [int(code) for code in re.findall(r"(?:^|; )(\d+) ", said)] == CODES


@pytest.mark.parametrize(("words", "code"), [("tasks", 0), ("tasks --suite nothing", 2)])
def test_a_command_ends_with(words: str, code: int, tmp_path: Path) -> None:
    assert command(*words.split(), cwd=tmp_path).code == code


def test_a_bug_is_no_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no UserError reaches Python, which prints a traceback and ends with 1."""

    def broken(name: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bfpo_bench.suite.suites.load_suite", broken)
    with pytest.raises(ZeroDivisionError):
        command("tasks", cwd=tmp_path)
