"""Rows of finished runs, put into a leaderboard again from what the runs keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import REFUSER
from commands import command

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.add import add_runs, run_row
from bfpo_bench.leaderboard.keys import keys_file
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.scoring.finished import FinishedRun, read_finished

pytestmark = pytest.mark.usefixtures("stages_here")


@pytest.fixture(scope="module")
def ran(hub: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two tasks and the leaderboard that it left."""
    folder = tmp_path_factory.mktemp("added")
    tasks = "bfpo_simple_safety_tests,bfpo_winogrande"
    done = command(
        *f"run --engine null --model {REFUSER} --limit 4 --tasks {tasks}".split(), cwd=folder
    )
    assert done.code == 0, done.err
    return folder


def the_run(folder: Path) -> FinishedRun:
    [path] = (folder / "runs").iterdir()
    return read_finished(path)


def test_the_row_and_its_key_are_those_that_the_run_left(ran: Path, tmp_path: Path) -> None:
    [added] = add_runs([the_run(ran)], tmp_path / "lb.csv")
    left = ran / "leaderboards" / "bfpo.csv"
    assert (tmp_path / "lb.csv").read_text() == left.read_text()
    assert keys_file(tmp_path / "lb.csv").read_text() == keys_file(left).read_text()
    assert (added.suite, added.partial, added.replaced) == ("bfpo@2", True, False)


def test_the_date_is_when_it_was_scored(ran: Path) -> None:
    run = the_run(ran)
    assert run_row(run)["date"] == run.manifest.sessions[-1]["finished"]
    assert run_row(run)["engine"] == "null"


def test_adding_again_replaces(ran: Path, tmp_path: Path) -> None:
    path = tmp_path / "lb.csv"
    add_runs([the_run(ran)], path)
    before = path.read_text()
    [again] = add_runs([the_run(ran)], path)
    assert again.replaced
    assert path.read_text() == before


def test_two_runs_of_one_row_are_refused_before_anything_is_written(
    ran: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"are both runs of .* which have one row: give one"):
        add_runs([the_run(ran), the_run(ran)], tmp_path / "lb.csv")
    assert not (tmp_path / "lb.csv").exists()


def test_a_run_that_was_never_scored_to_its_end_is_refused(ran: Path, tmp_path: Path) -> None:
    run = the_run(ran)
    for session in run.manifest.sessions:
        session.pop("finished", None)
    assert run_row(run)["date"] == run.manifest.sessions[-1]["started"]
    with pytest.raises(UserError, match="was stopped while it was scored"):
        add_runs([run], tmp_path / "lb.csv")
    assert not (tmp_path / "lb.csv").exists()


def test_the_command_adds_a_folder_of_runs(ran: Path, tmp_path: Path) -> None:
    done = command("leaderboard", "add", str(ran / "runs"), cwd=tmp_path)
    assert done.code == 0
    assert "added to leaderboards/bfpo.csv" in done.out
    assert len(read_leaderboard(tmp_path / "leaderboards" / "bfpo.csv")) == 1
    again = command("leaderboard", "add", str(ran / "runs"), cwd=tmp_path)
    assert "replaced in leaderboards/bfpo.csv" in again.out


def test_the_command_refuses_what_is_no_run(tmp_path: Path) -> None:
    done = command("leaderboard", "add", "nowhere", cwd=tmp_path)
    assert done.code == 2
    assert "The folder nowhere does not exist" in done.error
