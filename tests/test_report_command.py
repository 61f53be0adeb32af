"""`bfpo-bench report`: what it says, and what it does with runs that do not belong together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import Said, command
from finished_runs import finished

from bfpo_bench.leaderboard.add import run_row
from bfpo_bench.leaderboard.report import vendor
from bfpo_bench.leaderboard.rows import add_row

FOUND = {
    "mischief": ["complied"] * 4 + ["safe"] * 6,
    "errands": ["answered"] * 8 + ["over_refused"] * 2,
    "manners": [1.0] * 6 + [0.0] * 4,
    "facts": [1.0] * 5 + [0.0] * 5,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bundling, which other tests do."""
    monkeypatch.setattr(vendor, "vega", lambda: "")


def text(folder: Path) -> str:
    """The page's words."""
    page = (folder / "report" / "index.html").read_text()
    page = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def report(folder: Path, *arguments: str) -> Said:
    return command("report", *arguments, cwd=folder)


def test_two_runs_are_ranked_compared_and_browsed(tmp_path: Path) -> None:
    finished(tmp_path / "runs" / "a-1", FOUND, model="org/a")
    better = FOUND | {"errands": ["answered"] * 10}
    finished(tmp_path / "runs" / "b-2", better, model="org/b")
    said = report(tmp_path)
    assert (said.code, said.error) == (
        0,
        "report/index.html is the report: open it in a browser.",
    )
    told = text(tmp_path)
    assert "How helpful and how harmless 2 models are" in told
    assert "org/b against org/a" in told
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == [
        "LICENCES.txt",
        "assets",
        "data",
        "index.html",
    ]


def test_other_keys_stand_apart_and_are_not_compared(tmp_path: Path) -> None:
    finished(tmp_path / "runs" / "a-1", FOUND, model="org/a")
    finished(tmp_path / "runs" / "b-2", FOUND, model="org/b", limit=10)
    assert report(tmp_path, "--baseline", "runs/a-1").code == 0
    told = text(tmp_path)
    assert "Not comparable to the first table: limit: none there, 10 here" in told
    assert "Not compared, since they were not measured alike: limit: none there, 10 here." in told


def test_two_runs_of_one_model_are_told_apart(tmp_path: Path) -> None:
    for seed in (0, 1):
        finished(tmp_path / "runs" / f"m-{seed}", FOUND, model="org/m", seed=seed)
    assert report(tmp_path).code == 0
    assert "org/m (m-0)" in text(tmp_path)
    assert "org/m (m-1)" in text(tmp_path)


def test_a_task_without_a_score_says_why(tmp_path: Path) -> None:
    half = FOUND | {"mischief": "its judge broke off"}
    finished(tmp_path / "runs" / "a-1", half, model="org/a")
    assert report(tmp_path).code == 0
    assert "its judge broke off" in text(tmp_path)
    assert "nothing is ranked" in text(tmp_path)


def test_a_leaderboard_alone_has_rows_and_no_responses(tmp_path: Path) -> None:
    run = finished(tmp_path / "elsewhere" / "a-1", FOUND, model="org/a")
    add_row(tmp_path / "lb.csv", run_row(run) | {"date": "2026-01-02"})
    assert report(tmp_path, "--leaderboard", "lb.csv").code == 0
    assert "org/a" in text(tmp_path)
    assert not (tmp_path / "report" / "data").exists()


def test_nothing_and_a_folder_of_other_things_are_refused(tmp_path: Path) -> None:
    assert report(tmp_path).code == 2
    assert "There is nothing to report" in report(tmp_path).error
    finished(tmp_path / "runs" / "a-1", FOUND, model="org/a")
    said = report(tmp_path, "--out", "runs")
    assert said.code == 2
    assert "runs holds other things than a report" in said.error


def test_a_damaged_run_leaves_no_report(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs" / "a-1", FOUND, model="org/a").folder
    lines = run.responses_file.read_text().replace("complied", "altered", 1)
    run.responses_file.write_text(lines)
    said = report(tmp_path)
    assert said.code == 2
    assert "responses.jsonl" in said.error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"]
