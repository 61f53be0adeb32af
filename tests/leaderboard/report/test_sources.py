"""What a report is made of, found or named."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured import measured

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.add import run_row
from bfpo_bench.leaderboard.report.sources import read_sources
from bfpo_bench.leaderboard.rows import add_row
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.scoring.finished import FinishedRun

SIXTY = (60.0, 50.0, 70.0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(run: FinishedRun, scored: bool = True) -> Path:
    folder = RunFolder(Path("runs") / run.run_id)
    folder.write_manifest(run.manifest)
    if scored:
        write_atomically(folder.scores_file, run.scores.model_dump_json())
    return folder.path


def test_without_arguments_all_runs_and_the_leaderboard(here: Path) -> None:
    put(measured("a", SIXTY, SIXTY))
    add_row(Path("leaderboards/bfpo.csv"), run_row(measured("b", SIXTY, SIXTY)))
    found = read_sources([], None, None)
    assert [r.name for r in found.runs] == ["a"]
    assert list(found.table["model"]) == ["b"]
    assert found.notes == []


def test_runs_that_are_named_come_without_the_leaderboard(here: Path) -> None:
    a = put(measured("a", SIXTY, SIXTY))
    add_row(Path("leaderboards/bfpo.csv"), run_row(measured("b", SIXTY, SIXTY)))
    assert len(read_sources([a], None, None).table) == 0


def test_a_leaderboard_alone_has_no_runs(here: Path) -> None:
    put(measured("a", SIXTY, SIXTY))
    add_row(Path("other.csv"), run_row(measured("b", SIXTY, SIXTY)))
    found = read_sources([], Path("other.csv"), None)
    assert (found.runs, list(found.table["model"])) == ([], ["b"])


def test_the_baseline_is_one_of_the_runs_and_joins_them_where_it_is_not_named() -> None:
    a, b = (put(measured(name, SIXTY, SIXTY)) for name in "ab")
    found = read_sources([a], None, b)
    assert [r.name for r in found.runs] == ["b", "a"]
    assert found.baseline is found.runs[0]
    assert len(read_sources([a, b], None, b).runs) == 2


def test_a_run_that_is_not_scored_is_named_and_left_out() -> None:
    put(measured("a", SIXTY, SIXTY))
    put(measured("b", SIXTY, SIXTY), scored=False)
    [note] = read_sources([Path("runs")], None, None).notes
    assert note.startswith("Not here, since not scored yet: b-aaaa.")


def test_shards_that_are_not_merged_are_named_and_those_of_a_run_that_is_here_are_not() -> None:
    put(measured("a", SIXTY, SIXTY))
    for name in "ab":
        run = measured(name, SIXTY, SIXTY)
        shard = RunFolder(Path("runs") / f"{run.run_id}.shard-1-of-2")
        shard.write_manifest(run.manifest.model_copy(update={"shard": "1/2"}))
    [note] = read_sources([Path("runs")], None, None).notes
    assert note == (
        "Not here, since not merged yet: b-aaaa. Runs are made of their shards by "
        "`bfpo-bench runs merge runs/*.shard-*`."
    )


@pytest.mark.parametrize(
    ("runs", "leaderboard", "said"),
    [
        ([], None, "There is nothing to report"),
        ([], "none.csv", "There is no leaderboard none.csv"),
        (["nowhere"], None, "does not exist"),
    ],
)
def test_nothing_to_show_is_said_in_one_sentence(
    runs: list[str], leaderboard: str | None, said: str
) -> None:
    given = None if leaderboard is None else Path(leaderboard)
    with pytest.raises(UserError, match=said):
        read_sources([Path(r) for r in runs], given, None)


def test_a_damaged_leaderboard_is_refused(here: Path) -> None:
    Path("bad.csv").write_text("model,suite\nonly-one-cell\n")
    with pytest.raises(UserError, match=r"bad\.csv"):
        read_sources([], Path("bad.csv"), None)
