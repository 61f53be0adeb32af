"""Runs that have been scored, found on disk, with what each document added to their scores."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from bench import STORIES
from commands import command

from bfpo_bench.errors import UserError
from bfpo_bench.scoring.documents import read_documents
from bfpo_bench.scoring.finished import FinishedRun, find_runs, read_finished


@pytest.fixture(scope="module")
def run(hub: str, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    cwd = tmp_path_factory.mktemp("finished")
    tasks = (
        "bfpo_advbench,bfpo_xstest_safe,bfpo_crows_pairs_english,bfpo_truthfulqa_mc2,bfpo_mt_bench"
    )
    said = command("run", "--engine", "null", "--model", STORIES, "--tasks", tasks, cwd=cwd)
    assert said.code == 0, said.err
    [found] = find_runs([cwd / "runs"])
    return found


def test_what_a_run_is_called(run: FinishedRun) -> None:
    assert run.name == run.manifest.model.name == f"{STORIES} (null engine)"
    assert run.run_id == run.folder.path.name


def test_the_documents_add_up_to_the_scores(run: FinishedRun) -> None:
    """The mean of a discriminative task's values is its raw value, of a generative one's its value."""
    documents = read_documents(run.folder)
    assert list(documents["task"].unique()) == list(run.scores.tasks)
    for name, task in run.scores.tasks.items():
        mine = documents[documents["task"] == name]
        assert len(mine) == task.n > 0
        assert mine["value"].notna().sum() == task.n_scored
        expected = task.raw_value if task.outcomes is None else task.value
        if task.value is None:
            assert name == "bfpo_mt_bench"
            assert mine["outcome"].isna().all()
        else:
            assert expected is not None
            assert math.isclose(mine["value"].mean(), expected, rel_tol=1e-12)
        if task.outcomes is not None:
            counts = mine["outcome"].value_counts()
            assert {o: n for o, n in counts.items() if n} == {
                o: n for o, n in task.outcomes.model_dump().items() if n and "safe_" not in o
            }


def test_each_run_once(run: FinishedRun) -> None:
    """Named twice, by its folder and by the folder of runs that holds it."""
    path = run.folder.path
    found = find_runs([path, path.parent, path.parent / "." / path.name])
    assert [r.run_id for r in found] == [run.run_id]


def test_a_run_that_has_no_scores_yet(run: FinishedRun, tmp_path: Path) -> None:
    """Among others it is left out; asked for by name it is refused, and so is a folder of such."""
    begun = tmp_path / "runs" / "begun"
    shutil.copytree(run.folder.path, begun)
    (begun / "scores.json").unlink()
    with pytest.raises(UserError, match="begun has no scores yet: give its command again"):
        find_runs([begun])
    with pytest.raises(UserError, match="runs holds no finished run"):
        find_runs([begun.parent])
    shutil.copytree(run.folder.path, begun.with_name("done"))
    assert [r.folder.path.name for r in find_runs([begun.parent])] == ["done"]


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing does not exist: give a run's folder"):
        read_finished(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no run: give a run's folder"):
        read_finished(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[" * 10_000])
def test_damaged_scores(run: FinishedRun, tmp_path: Path, content: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(run.folder.path, broken)
    (broken / "scores.json").write_text(content)
    with pytest.raises(UserError, match=r"scores\.json is damaged \(.*\): give the run's command"):
        read_finished(broken)
