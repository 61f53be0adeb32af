"""How a run is named on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_runs import FACTS, finished

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.compare.sides import named_run


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for run_id, model in (
        ("tuned-1", "someone/tuned"),
        ("base-1", "base@12345678"),
        ("twice-1", "someone/twice"),
        ("twice-2", "someone/twice"),
    ):
        finished(tmp_path / "runs" / run_id, {FACTS: [1, 0]}, model=model)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("given", "run_id"),
    [
        ("tuned-1", "tuned-1"),
        ("someone/tuned", "tuned-1"),
        ("base@12345678", "base-1"),
        ("base", "base-1"),
        ("twice-2", "twice-2"),
    ],
)
def test_a_run_is_named_by_its_id_or_its_model(out: Path, given: str, run_id: str) -> None:
    assert named_run(given, out).run_id == run_id


def test_a_folder_of_a_run_is_that_run(out: Path) -> None:
    assert named_run(str(out / "twice-1"), out).run_id == "twice-1"


def test_the_folder_of_a_model_means_its_run(out: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    assert named_run(str(tmp_path / "models" / "base"), out).run_id == "base-1"


def test_several_runs_of_a_model_are_not_guessed_between(out: Path) -> None:
    with pytest.raises(
        UserError, match="several runs of someone/twice: name one of twice-1, twice"
    ):
        named_run("someone/twice", out)


def test_what_is_no_run_is_said(out: Path) -> None:
    with pytest.raises(UserError, match=r"no finished run 'tuned-2' in .*did you mean tuned-1"):
        named_run("tuned-2", out)
    with pytest.raises(UserError, match="no finished run 'x'"):
        named_run("x", out / "nowhere")
