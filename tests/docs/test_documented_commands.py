"""Every command of README and docs/: run as a reader would, page by page, in the page's order.

What cannot be run here is marked in the page with its reason, and its options are held against the
program all the same.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, Example, File, nested, parse_file, spans
from reader import Reader, matches
from typer.core import TyperGroup
from typer.main import get_command

from bfpo_bench.cli.app import app
from bfpo_bench.judges.load import judge_names

pytestmark = pytest.mark.usefixtures("stages_here")

ALL = {page.relative_to(ROOT).as_posix(): parse_file(page) for page in PAGES}
EXAMPLES = [e for found in ALL.values() for e in found if isinstance(e, Example)]
OURS = [e for e in EXAMPLES if e.program == "bfpo-bench"]


def leaf(words: tuple[str, ...]) -> tuple[Any, list[str]]:
    """The command that `words` name, and the arguments that are left for it."""
    found, left = get_command(app), list(words)
    while isinstance(found, TyperGroup) and left and not left[0].startswith("-"):
        assert left[0] in found.commands, f"there is no command {left[0]}"
        found = found.commands[left.pop(0)]
    return found, left


@pytest.fixture(scope="module")
def reader(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("reader"))


@pytest.mark.parametrize("page", [name for name, found in ALL.items() if found])
def test_the_commands_of_a_page_do_what_it_says(page: str, reader: Reader, tmp_path: Path) -> None:
    """In a fresh folder with two runs in it: exit codes, and output where the page shows it."""
    folder = shutil.copytree(reader.folder, tmp_path / "here")
    for part in ALL[page]:
        if isinstance(part, File):
            (folder / part.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / part.name).write_text(part.text)
            continue
        if part.program != "bfpo-bench" or part.reason:
            continue
        said = reader.gives(part.words[1:], part.variables, folder)
        assert said.code == part.code, f"{part}\n{said.out[-1000:]}\n{said.err[-3000:]}"
        if part.shown is not None:
            printed = said.out if said.code in (0, 3) else said.err
            assert matches(part.shown, printed), f"{part} prints\n{printed}"


@pytest.mark.parametrize("example", OURS, ids=str)
def test_its_options_are_options(example: Example) -> None:
    """Parsed as the program parses them, also where the command is not run."""
    for words in (example.words[1:], *(inner[1:] for inner in nested(example))):
        found, left = leaf(words)
        if isinstance(found, TyperGroup):  # To parse --install-completion is to install it
            assert set(left) <= {opt for p in found.params for opt in p.opts}
        else:
            found.make_context(found.name, left)
    named = [b for a, b in zip(example.words, example.words[1:], strict=False) if a == "--judge"]
    assert {name.split("=")[0] for name in named} <= {*judge_names(), "JUDGE", "FOLDER"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_within_sentences_are_known(page: Path) -> None:
    for span in spans(page.read_text(encoding="utf-8")):
        found, left = leaf(tuple(span.split()[1:]))
        options = {o for p in found.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        assert {word for word in left if word.startswith("--")} - {"--debug"} <= options, span


class TestOtherPrograms:
    """They are not run; what they name is there."""

    def named(self, program: str) -> list[Example]:
        return [e for e in EXAMPLES if e.program == program]

    def test_make(self) -> None:
        targets = re.findall("^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {e.words[1] for e in self.named("make")} <= set(targets)

    def test_extras_that_pip_installs(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        asked = re.findall(r"\[([a-z]+)\]", " ".join(str(e) for e in self.named("pip")))
        assert set(asked) <= set(project["optional-dependencies"])

    def test_scripts(self) -> None:
        for example in self.named("python"):
            script = example.words[1]
            assert script == "-m" or (ROOT / script).is_file(), example

    def test_the_rest_is_marked(self) -> None:
        known = {"bfpo-bench", "make", "pip", "python"}
        assert [e for e in EXAMPLES if e.program not in known and not e.reason] == []

    def test_what_they_ask_of_ours(self) -> None:
        for example in EXAMPLES:
            for words in nested(example):
                found, left = leaf(words[1:])
                found.make_context(found.name, left)


def test_most_are_run() -> None:
    """The exception stays one: of three commands two are run, and better more."""
    left_out = Counter(e.reason for e in OURS if e.reason)
    assert left_out.total() <= len(OURS) / 3, left_out
