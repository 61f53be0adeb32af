"""Names that are paths, flags, formulas or nothing: one sentence, exit code 2, and no file is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Said, command
from hostile import FAMILIES, raw_controls, tree

from bfpo_bench.errors import UserError
from bfpo_bench.hub import resolve
from bfpo_bench.judges.load import load_judge
from bfpo_bench.leaderboard.columns import check_columns
from bfpo_bench.suite.suites import load_suite
from bfpo_bench.suite.tasks import load_tasks

pytestmark = pytest.mark.usefixtures("stages_here")

_NO_NAMES = ("paths", "shell", "formulas", "controls", "direction", "nothing", "markup", "rich")
NAMES = [name for family in _NO_NAMES for name in FAMILIES[family]]
ASKED = [name for name in (*FAMILIES["paths"], *FAMILIES["surrogates"]) if name != "."]


def refused(done: Said) -> str:
    """The one sentence of a command that refused, safe for a terminal."""
    assert done.code == 2, (done.code, done.err[-2000:])
    assert done.out == ""
    assert raw_controls(done.err) == []
    assert "Traceback" not in done.err
    [sentence] = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(sentence) < 1000
    return sentence


OPTIONS = {
    "model": ("plan", "--suite", "bfpo-demo", "--engine", "transformers", "--model={}"),
    "suite": ("plan", "--suite={}"),
    "judge": ("plan", "--suite", "bfpo-demo", "--judge={}"),
    "judge's model": ("plan", "--suite", "bfpo-demo", "--judge=yesno={}"),
    "recipe": ("train", "--", "{}"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_name_that_names_nothing_is_refused(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    here = tmp_path / "a" / "b" / "here"
    here.mkdir(parents=True)
    (here / "trailing.txt").touch()
    before = tree(tmp_path)
    for name in ASKED if option == "model" else ASKED[::5]:
        words = [word.replace("{}", name) for word in OPTIONS[option]]
        if option == "judge" and "=" in name:
            continue
        refused(command(*words, cwd=here, cache=tmp_path / "cache"))
    assert {p for p in tree(tmp_path) if not p.startswith("cache")} == before


def suite_file(folder: Path, **changes: object) -> Path:
    told = {"name": "mine", "version": 1, "title": "t", "tasks": ["*"], "include_path": "tasks"}
    file = folder / "suite.yaml"
    # JSON is YAML, and can spell what a name may not be
    file.write_text(json.dumps(told | changes))
    return file


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_suites_tasks_and_judges_have_names_that_files_can_have(tmp_path: Path, name: str) -> None:
    """Whatever is refused here is no part of a path, a column or a cell later."""
    tasks, judge = tmp_path / "tasks", tmp_path / "judge"
    tasks.mkdir()
    judge.mkdir()
    metadata = {"version": 1, "title": "t", "cell": "helpfulness/generative", "family": "f"}
    metadata |= {"documents": 1, "prompt_tokens": 1, "source": "s", "licence": "l", "split": "test"}
    task = {"task": name, "output_type": "generate_until", "metadata": metadata}
    (tasks / "task.yaml").write_text(json.dumps(task))
    rules = {"kind": "harm", "version": 1, "title": "t", "engine": "none", "licence": "none"}
    rules |= {"name": name, "labels": ["harmful"], "parser": "parser:parse"}
    (judge / "judge.yaml").write_text(json.dumps(rules))
    for read in (
        lambda: load_suite(str(suite_file(tmp_path, name=name))),
        lambda: load_tasks(tasks),
        lambda: load_judge(str(judge)),
    ):
        if name in USABLE:
            read()
        else:
            with pytest.raises(UserError, match="a name begins with a letter or digit"):
                read()


USABLE = {"1e999", "NaN", "TRUE", "0x1F", "CON", "NUL.txt", "aux.jsonl", "trailing."}
"""Words that only some reader takes for something else, and that files and columns may be called."""


@pytest.mark.parametrize("name", ["model", "helpfulness", "missing", "rank", "over_refusal_ci_low"])
def test_a_task_is_not_called_like_another_column(name: str) -> None:
    with pytest.raises(UserError, match=f"Task {name} cannot have a row"):
        check_columns([name])
    with pytest.raises(UserError, match="column b_ci_low is taken"):
        check_columns(["a", "b", "b_ci_low"])
    check_columns(["a", "b", "bfpo_c"])


@pytest.mark.parametrize("revision", ["../../pwned", "/tmp/pwned", "a/../b", "a\0b", "x" * 300])
def test_a_revision_is_no_path(revision: str) -> None:
    """It is looked up in the cache, and written there, as a file's name."""
    with pytest.raises(UserError, match="is no revision: name a branch, tag or commit of a/b"):
        resolve("a/b", "model", revision)
