"""The list of runs: how far each has come, and which folders cannot be read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from exchange_runs import TASKS, finished_run

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.listing import ShardedRun, list_runs, together


@pytest.fixture
def out(tmp_path: Path) -> Path:
    finished_run(tmp_path / "one")
    return tmp_path


def later(folder: Path, finished: str) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("2026-01-02T03:05:05", finished))


def test_a_finished_run(out: Path) -> None:
    [run], unreadable = list_runs(out)
    assert not unreadable
    assert (run.run_id, run.model) == ("model-1a2b3c4d", "org/<b>model</b>")
    assert (run.suite, run.partial, run.reached, run.tasks) == (
        "bfpo@2",
        True,
        "scored",
        len(TASKS),
    )
    assert run.helpfulness is not None
    assert run.harmlessness == 56.25
    assert (run.started[:10], run.worked_on[:19]) == ("2026-01-02", "2026-01-02T03:05:05")
    assert run.bytes == sum(p.stat().st_size for p in (out / "one").rglob("*") if p.is_file())


def test_the_last_worked_on_comes_first(out: Path) -> None:
    for name, finished in (("two", "2026-03-01T00:00:00"), ("three", "2026-02-01T00:00:00")):
        shutil.copytree(out / "one", out / name)
        later(out / name, finished)
    runs, _ = list_runs(out)
    assert [Path(r.path).name for r in runs] == ["two", "three", "one"]


def test_how_far_a_run_has_come(out: Path) -> None:
    run = out / "one"
    for gone, reached in (
        ("scores.json", "verdicts"),
        ("verdicts/harm.jsonl", "verdicts"),
        ("verdicts/refusal.jsonl", "responses"),
        ("responses.jsonl", "planned"),
    ):
        (run / gone).unlink()
        [found], _ = list_runs(out)
        assert (found.reached, found.harmlessness) == (reached, None)


def shard(out: Path, number: int, finished: str) -> None:
    folder = out / f"one.shard-{number}-of-3"
    shutil.copytree(out / "one", folder)
    later(folder, finished)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"shard": null', f'"shard": "{number}/3"'))


def test_shards_of_a_run_are_together_where_the_last_of_them_was(out: Path) -> None:
    """Two of three, worked on in February and April; another run in March."""
    shutil.copytree(out / "one", out / "two")
    later(out / "two", "2026-03-01T00:00:00")
    for number, finished in ((3, "2026-04-01T00:00:00"), (1, "2026-02-01T00:00:00")):
        shard(out, number, finished)
    runs, _ = list_runs(out)
    assert [r.shard for r in runs] == ["3/3", None, "1/3", None]
    shards, two, one = together(runs)
    assert isinstance(shards, ShardedRun)
    assert (two, one) == (runs[1], runs[3])
    assert (shards.newest, shards.count, shards.unfinished) == (runs[0], 3, ["2/3"])
    assert (shards.merged, shards.whole) == (True, out / "model-1a2b3c4d")
    assert shards.bytes == runs[0].bytes + runs[2].bytes
    [alone] = together([runs[0], runs[2]])
    assert isinstance(alone, ShardedRun)
    assert not alone.merged


def test_a_shard_that_is_none_cannot_be_read(out: Path) -> None:
    shard(out, 4, "2026-04-01T00:00:00")
    assert [Path(u.path).name for u in list_runs(out)[1]] == ["one.shard-4-of-3"]


def test_folders_that_cannot_be_read_are_named(out: Path) -> None:
    """A manifest that is cut, one that is lost, scores that are cut; what is no run is passed over."""
    for name in ("cut", "lost", "bad"):
        shutil.copytree(out / "one", out / name)
    (out / "cut" / "manifest.json").write_text('{"run_id": ')
    (out / "lost" / "manifest.json").unlink()
    (out / "bad" / "scores.json").write_text("[]")
    (out / "figures").mkdir()
    runs, unreadable = list_runs(out)
    assert [Path(r.path).name for r in runs] == ["one"]
    assert {Path(u.path).name: u.reason for u in unreadable}.keys() == {"cut", "lost", "bad"}
    assert all(u.reason for u in unreadable)


def test_a_run_s_own_folder_is_a_list_of_one(out: Path) -> None:
    [run], _ = list_runs(out / "one")
    assert run.run_id == "model-1a2b3c4d"


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == ([], [])
    with pytest.raises(UserError, match=r"There is no folder .*: run a model first"):
        list_runs(tmp_path / "none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look anywhere")
def test_a_folder_that_may_not_be_looked_into(out: Path) -> None:
    (out / "one").chmod(0)
    assert list_runs(out)[1]
    (out / "one").chmod(0o700)


def test_a_file_that_goes_while_it_is_counted(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the drafts of a run that is being worked on."""
    draft = out / "one" / ".scores.json.7.tmp"
    draft.write_text("half")
    is_file = Path.is_file

    def gone_after(path: Path, **how: bool) -> bool:
        found = is_file(path, **how)
        if path == draft:
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", gone_after)
    runs, unreadable = list_runs(out)
    assert (len(runs), unreadable) == (1, [])
