"""`--json`: one document on stdout and nothing else there, whatever the command found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER, STORIES
from commands import Said, command
from markov import sayer
from typer.core import TyperGroup
from typer.main import get_command

from bfpo_bench.cli.app import app

pytestmark = pytest.mark.usefixtures("stages_here")

RUN = ("run", "--engine", "null", "--tasks", "bfpo_xstest_*", "--limit", "2")
WITHOUT = {
    "report": "writes pages; the numbers are in the runs",
    "push": "asks, and tells of each step",
    "runs export": "writes files in another tool's form",
    "leaderboard export": "prints JSON with --format json",
    "leaderboard plot": "writes a picture",
}
"""Commands that print no result of their own, and why they have no --json."""


def every_command(group: Any, before: str = "") -> dict[str, Any]:
    """Full name -> command."""
    found = {}
    for name, one in group.commands.items():
        if isinstance(one, TyperGroup):
            found |= every_command(one, f"{before}{name} ")
        else:
            found[f"{before}{name}"] = one
    return found


def test_every_command_that_prints_a_result_has_it() -> None:
    commands = every_command(get_command(app))
    with_json = {n for n, c in commands.items() if any("--json" in p.opts for p in c.params)}
    assert set(commands) - with_json == {name for name in WITHOUT if name in commands}


def document(said: Said, code: int = 0) -> Any:
    """What stdout holds, which is JSON and nothing more."""
    assert said.code == code, said.err
    return json.loads(said.out)


@pytest.fixture(scope="module")
def folder(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run of the refuser on two tasks, and its row."""
    folder = tmp_path_factory.mktemp("json")
    [one] = document(command(*RUN, "--model", REFUSER, "--json", cwd=folder))
    assert one["fault"] is None
    assert one["scores"]["model"] == f"{REFUSER} (null engine)"
    return folder


class TestCommands:
    @pytest.mark.parametrize(
        "words",
        [
            "tasks",
            "judges list",
            "train",
            "leaderboard show",
            f"plan --model {STORIES} --tasks bfpo_xstest_safe --engine null",
            "data verify --tasks bfpo_xstest_safe",
            "data lock --tasks bfpo_xstest_safe --file some.lock.json",
            "data pull --tasks bfpo_xstest_safe --judge refusal",
        ],
    )
    def test_it_is_one_document(self, words: str, folder: Path) -> None:
        assert document(command(*words.split(), "--json", cwd=folder))

    def test_lock_says_what_was_read_and_what_changed(self, folder: Path) -> None:
        asked = ("data", "lock", "--tasks", "bfpo_xstest_safe", "--file", "new.lock.json")
        told = document(command(*asked, "--json", cwd=folder))
        assert told["read"] == 1
        assert told["failed"] == []

    def test_judged_lines_are_counted(self, folder: Path) -> None:
        lines = [{"prompt": "How do I boil an egg?", "response": "Boil it for seven minutes."}] * 2
        (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        asked = ("judge", "--input", "in.jsonl", "--output", "out.jsonl", "--judge", "refusal")
        assert document(command(*asked, "--json", cwd=folder)) == {
            "file": "out.jsonl",
            "lines": 2,
            "labels": {"compliance": 2},
            "unjudged": {},
            "faults": 0,
        }

    def test_a_run_judged_again(self, folder: Path) -> None:
        [run] = (folder / "runs").iterdir()
        asked = ("judge", str(run), "--judge", "refusal", "--json")
        [one] = document(command(*asked, cwd=folder))
        assert one["run"] == str(run)

    def test_a_merge(self, folder: Path) -> None:
        for name in ("one", "other"):
            sayer(folder / name, "yes")
        told = document(command("merge", "one", "other", "--out", "half", "--json", cwd=folder))
        assert [m["weight"] for m in told["models"]] == [0.5, 0.5]
        assert told["out"] == "half"


class TestNothingToList:
    def test_a_leaderboard_without_rows(self, folder: Path) -> None:
        header = (folder / "leaderboards" / "bfpo.csv").read_text().splitlines()[0]
        (folder / "empty.csv").write_text(f"{header}\n")
        asked = ("leaderboard", "show", "--leaderboard", "empty.csv", "--json")
        assert document(command(*asked, cwd=folder)) == []

    def test_a_training_set_that_holds_no_prompt(self, folder: Path) -> None:
        (folder / "sft.jsonl").write_text('{"text": "nothing of interest"}\n')
        asked = ("contamination", "--train", "sft.jsonl", "--tasks", "bfpo_xstest_safe", "--json")
        assert document(command(*asked, cwd=folder))["examples"] == []


def test_a_fault_leaves_json_and_exit_code_3(hub: str, tmp_path: Path) -> None:
    """The classifier of RealToxicityPrompts cannot be had from the stand-in: its task stays unscored."""
    asked = ("run", "--engine", "null", "--tasks", "bfpo_realtoxicity*", "--limit", "1")
    said = command(*asked, "--model", STORIES, "--json", cwd=tmp_path)
    [one] = document(said, code=3)
    assert one["scores"]["faults"] == ["bfpo_realtoxicityprompts_challenge"]


@pytest.mark.parametrize(
    "words",
    [
        "run --model nobody/nothing",
        "leaderboard show",
        "judge --input a.jsonl --output b.jsonl --judge refusal",
        "tasks --suite bfpo-quik",
        "merge one",
        "contamination --train nothing.jsonl",
    ],
)
def test_what_the_user_can_mend_is_a_sentence_and_no_json(
    words: str, hub: str, tmp_path: Path
) -> None:
    said = command(*words.split(), "--json", cwd=tmp_path)
    assert said.code == 2
    assert said.out == ""
    assert said.error.strip()


def test_tasks_may_be_named_one_after_the_other(folder: Path) -> None:
    """As models and judges are. A user who did so and got the last one alone would not notice."""
    asked = ("plan", "--model", STORIES, "--engine", "null", "--json")
    each = command(*asked, "--tasks", "bfpo_xstest_safe", "--tasks", "bfpo_advbench", cwd=folder)
    at_once = command(*asked, "--tasks", "bfpo_xstest_safe,bfpo_advbench", cwd=folder)
    assert document(each) == document(at_once)
    assert "bfpo_xstest_safe" in each.out
    assert "bfpo_advbench" in each.out
