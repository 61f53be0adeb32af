"""`bfpo-bench data`: what its users see and which exit code they get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER, STORIES, bench
from commands import command
from shelf import TEXTS, Shelf, lines, on_shelf
from typer.testing import CliRunner, Result

from bfpo_bench.cli.app import app
from bfpo_bench.errors import UserError
from bfpo_bench.suite.lock import DataLock, load_lock

OWN_LOCK = Path(__file__).with_name("data.lock.json")
ROWS = [{"prompt": text} for text in TEXTS]


@pytest.fixture
def shelf(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("COLUMNS", "200")
    with on_shelf(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def lock(shelf: Shelf) -> Path:
    """A lock of the shelf's data as they are at first, in which org/whole is verified."""
    path = shelf.suite.parent / "lock.json"
    assert data("lock", shelf, path).exit_code == 0
    entries = load_lock(path).entries
    entries["bfpo_whole"] = entries["bfpo_whole"].model_copy(update={"verified": True})
    path.write_text(DataLock(entries=entries).dump())
    return path


def data(command: str, shelf: Shelf, path: Path, *more: str) -> Result:
    """`bfpo-bench data COMMAND` in this process, whose hub is the shelf."""
    arguments = ["data", command, "--suite", str(shelf.suite), "--file", str(path), *more]
    return CliRunner().invoke(app, arguments)


def states(shelf: Shelf, path: Path) -> dict[str, Any]:
    told = json.loads(data("verify", shelf, path, "--json").stdout)
    return {row["task"]: row["state"] for row in told}


class TestVerify:
    def test_data_that_are_as_they_were(self, shelf: Shelf, lock: Path) -> None:
        result = data("verify", shelf, lock)
        assert result.exit_code == 0
        assert "1 unverified, 1 verified" in result.stdout
        assert states(shelf, lock) == {"bfpo_whole": "verified", "bfpo_files": "unverified"}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (lines(ROWS[0], ROWS[1], {"prompt": "Mend a skirt."}), "3 rows as before, with other"),
            (lines(*reversed(ROWS)), "the same rows in another order"),
            (lines(*ROWS[:2]), "2 rows in place of 3"),
        ],
        ids=["changed", "reordered", "shortened"],
    )
    def test_verified_data_that_changed(
        self, shelf: Shelf, lock: Path, content: bytes, said: str
    ) -> None:
        shelf.put("whole", content)
        result = data("verify", shelf, lock)
        assert result.exit_code == 2
        assert f"* The data of bfpo_whole are not those that were verified ({said}" in result.stdout
        assert states(shelf, lock) == {"bfpo_whole": "drifted", "bfpo_files": "unverified"}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (lines({"text": "Bake bread."}), "no column"),
            (lines(ROWS[0], {"prompt": ""}), "have an empty prompt in row 2 of 2"),
            ('{"prompt": "Visit a café."}\n'.encode("latin-1"), "UTF-8"),
            (b"{", "could not be loaded"),
        ],
        ids=["without its column", "an empty text", "not UTF-8", "not JSON"],
    )
    def test_data_that_cannot_be_used(
        self, shelf: Shelf, lock: Path, content: bytes, said: str
    ) -> None:
        """Whether verified or not; the other task is read all the same."""
        shelf.put("files", content)
        result = data("verify", shelf, lock)
        assert result.exit_code == 2
        assert said in result.stdout
        assert states(shelf, lock) == {"bfpo_whole": "verified", "bfpo_files": "failed"}

    def test_a_gated_data_set(self, shelf: Shelf, lock: Path) -> None:
        shelf.gate("files")
        result = data("verify", shelf, lock)
        assert result.exit_code == 2
        assert "The data set org/files is gated: ask for access" in result.stdout

    def test_unverified_data_that_changed_are_shown_and_no_error(
        self, shelf: Shelf, lock: Path
    ) -> None:
        shelf.put("files", lines(*ROWS[:2]))
        result = data("verify", shelf, lock)
        assert result.exit_code == 0
        assert "bfpo_files differ from what the data lock expects (2 rows" in result.stdout

    def test_a_task_without_an_entry(self, shelf: Shelf, tmp_path: Path) -> None:
        (tmp_path / "empty.json").write_text('{"entries": {}}')
        assert set(states(shelf, tmp_path / "empty.json").values()) == {"unlocked"}

    def test_a_suite_may_bring_its_own_lock(self, shelf: Shelf, lock: Path) -> None:
        shelf.suite.write_text(shelf.suite.read_text() + "data_lock: lock.json\n")
        result = CliRunner().invoke(app, ["data", "verify", "--suite", str(shelf.suite)])
        assert "1 unverified, 1 verified" in result.stdout

    def test_a_lock_that_is_not_there(self, shelf: Shelf, tmp_path: Path) -> None:
        result = data("verify", shelf, tmp_path / "none.json")
        assert isinstance(result.exception, UserError)


class TestLock:
    def test_what_changed_is_said_and_is_no_longer_verified(self, shelf: Shelf, lock: Path) -> None:
        shelf.put("whole", lines(*ROWS[:2]))
        result = data("lock", shelf, lock)
        assert result.exit_code == 0
        assert "bfpo_whole: 2 rows in place of 3; no longer verified" in result.stdout
        assert "bfpo_files:" not in result.stdout
        assert "2 entries read, 1 changed" in result.stdout
        assert not load_lock(lock).entries["bfpo_whole"].verified
        assert data("verify", shelf, lock).exit_code == 0

    def test_nothing_changes_where_nothing_has(self, shelf: Shelf, lock: Path) -> None:
        before = lock.read_text()
        assert "2 entries read, 0 changed" in data("lock", shelf, lock).stdout
        assert lock.read_text() == before

    def test_what_cannot_be_read_keeps_its_entry(self, shelf: Shelf, lock: Path) -> None:
        before = load_lock(lock).entries["bfpo_files"]
        shelf.gate("files")
        result = data("lock", shelf, lock)
        assert result.exit_code == 2
        assert "org/files is gated" in result.stderr
        assert load_lock(lock).entries["bfpo_files"] == before

    def test_entries_of_other_tasks_stay(self, shelf: Shelf, lock: Path) -> None:
        data("lock", shelf, lock, "--tasks", "bfpo_files")
        assert set(load_lock(lock).entries) == {"bfpo_whole", "bfpo_files"}

    def test_commits_are_recorded_of_the_hub_itself_only(
        self, shelf: Shelf, lock: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert {e.revision for e in load_lock(lock).entries.values()} == {None}
        monkeypatch.delenv("HF_ENDPOINT")
        data("lock", shelf, lock)
        pinned = load_lock(lock).entries["bfpo_whole"]
        assert len(pinned.revision or "") == 40
        assert pinned.verified

    def test_a_pinned_commit_is_what_is_read_later(self, shelf: Shelf, lock: Path) -> None:
        entries = load_lock(lock).entries
        entries["bfpo_whole"] = entries["bfpo_whole"].model_copy(update={"revision": "f" * 40})
        lock.write_text(DataLock(entries=entries).dump())
        told = json.loads(data("verify", shelf, lock, "--json").stdout)
        by_task = {row["task"]: row["revision"] for row in told}
        assert by_task["bfpo_whole"] == "f" * 40
        assert by_task["bfpo_files"] != "f" * 40


class TestOffline:
    """The real command, and no network at all after the first step."""

    GONE = "http://127.0.0.1:9"
    TASKS = ("--tasks", "bfpo_simple_safety_tests,bfpo_ethics_justice")

    def test_a_folder_that_is_carried_elsewhere_is_enough(self, hub: str, tmp_path: Path) -> None:
        wants = ("--judge", f"yesno={STORIES}", "--model", REFUSER)
        pulled = bench("data", "pull", *self.TASKS, *wants, "--to", "bundle", cwd=tmp_path)
        assert pulled.returncode == 0, pulled.stderr
        assert "4 of 4 are here" in pulled.stdout
        assert "HF_HOME=bundle bfpo-bench run --offline --suite bfpo" in pulled.stdout
        (tmp_path / "bundle").rename(tmp_path / "carried")
        assert not list((tmp_path / "carried").rglob("token"))
        away = {"HF_HOME": str(tmp_path / "carried"), "HF_ENDPOINT": self.GONE}
        run = ("run", "--offline", *self.TASKS, *wants, "--limit", "2", "--engine", "transformers")
        done = bench(*run, cwd=tmp_path, **away)
        # A judge this small answers neither yes nor no, which is a fault of the judge (3)
        assert done.returncode == 3, done.stderr
        verdicts = {f.stem: f.read_text() for f in tmp_path.glob("runs/*/verdicts/*.jsonl")}
        assert {name: text.count("\n") for name, text in verdicts.items()} == {
            "refusal": 2,
            f"yesno@{STORIES.replace('/', '--')}": 2,
        }

    @pytest.mark.parametrize("how", ["--offline", "HF_HUB_OFFLINE"])
    def test_everything_that_is_missing_is_said_in_one_sentence(
        self, hub: str, tmp_path: Path, how: str
    ) -> None:
        flag, changes = ([how], {}) if how == "--offline" else ([], {how: "1"})
        away = {"HF_HOME": str(tmp_path / "empty"), "HF_ENDPOINT": self.GONE, **changes}
        done = bench("plan", *flag, *self.TASKS, "--model", REFUSER, cwd=tmp_path, **away)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        for thing in ("hendrycks_ethics", "SimpleSafetyTests", REFUSER, "bfpo-bench data pull"):
            assert thing in done.stderr


def test_every_task_against_the_stand_in(hub: str, tmp_path: Path) -> None:
    """What the tests' own lock knows of the stand-in's data still holds."""
    every = "name: all\nversion: 1\ntitle: Every task\ntasks: [bfpo_*]\n"
    (tmp_path / "all.yaml").write_text(every)
    which = ("--suite", "all.yaml", "--file", str(OWN_LOCK))
    done = command("data", "verify", *which, "--json", cwd=tmp_path)
    told = json.loads(done.out)
    assert [row["task"] for row in told if row["state"] != "verified"] == []
    assert done.code == 0
    assert len(told) == len(load_lock(OWN_LOCK).entries)


def test_the_packaged_lock_holds_what_is_verified_against_the_stand_in(
    hub: str, tmp_path: Path
) -> None:
    """The whole true releases are served there; what is not whole is expected of nobody."""
    done = command("data", "verify", "--json", cwd=tmp_path)
    assert done.code == 0, done.out
    told = {row["task"]: row for row in json.loads(done.out)}
    for name, entry in load_lock().entries.items():
        if name in told:
            state = "verified" if entry.verified else "unverified"
            assert (told[name]["state"], told[name]["sentence"]) == (state, None)
