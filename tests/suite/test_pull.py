"""Fetching beforehand, and saying what is missing: against a second stand-in and a cache of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import STORIES, environment
from huggingface_hub import constants
from shelf import Shelf, on_shelf

from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.hub import fetch_file, fetch_snapshot, resolve
from bfpo_bench.judges.load import load_judge
from bfpo_bench.suite import checks
from bfpo_bench.suite.lock import DataLock, LockEntry
from bfpo_bench.suite.pull import judge_models, missing, pull, read_tasks
from bfpo_bench.suite.tasks import TaskSpec


@pytest.fixture
def shelf(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    with on_shelf(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def cache(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for the session's stand-in."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def quiet(*_: Any) -> None: ...


class TestData:
    def pinned(self, revision: str) -> DataLock:
        whole = LockEntry(
            hub_id="org/whole", config=None, split="test", revision=revision, columns=(), seen=""
        )
        return DataLock(entries={"bfpo_whole": whole})

    def test_nothing_is_there_before(self, shelf: Shelf) -> None:
        assert missing(shelf.tasks, None, [], []) == [
            "the data set org/files",
            "the data set org/whole",
        ]
        assert shelf.asked() == []

    def test_nothing_is_missing_after(self, shelf: Shelf) -> None:
        pulled = pull(shelf.tasks, None, [], None, quiet)
        assert pulled.fetched == ["bfpo_files", "bfpo_whole"]
        assert (pulled.failed, pulled.notes) == ([], [])
        assert missing(shelf.tasks, None, [], []) == []

    def test_what_is_there_is_not_fetched_again(self, shelf: Shelf) -> None:
        pull(shelf.tasks, None, [], None, quiet)
        before = shelf.downloads()
        assert before > 0
        pull(shelf.tasks, None, [], None, quiet)
        assert shelf.downloads() == before

    def test_one_that_fails_takes_no_other_with_it(self, shelf: Shelf) -> None:
        shelf.gate("files")
        shelf.add("bfpo_gone", "org/gone", "{}", "org/gone")
        pulled = pull(shelf.tasks, None, [], None, quiet)
        assert pulled.fetched == ["bfpo_whole"]
        gated, gone = pulled.failed
        assert "org/files is gated" in gated
        assert "There is no data set org/gone on the hub" in gone

    def test_a_file_that_the_yaml_names_is_looked_for_itself(self, shelf: Shelf) -> None:
        """The repository's folder alone, here with another file in it, is not enough."""
        (shelf.root / "datasets" / "org" / "files" / "other.json").write_text("{}")
        fetch_snapshot(resolve("org/files", "dataset"), ["other.json"])
        pull([t for t in shelf.tasks if t.name == "bfpo_whole"], None, [], None, quiet)
        assert missing(shelf.tasks, None, [], []) == ["data/test.jsonl of the data set org/files"]

    def test_a_readme_is_no_data(self, shelf: Shelf) -> None:
        (shelf.root / "datasets" / "org" / "whole" / "README.md").write_text("hello")
        at = resolve("org/whole", "dataset")
        fetch_file(at, "README.md")
        lock = self.pinned(at.sha)
        assert f"the data set org/whole at {at.sha}" in missing(shelf.tasks, lock, [], [])
        fetch_file(at, "data/test.jsonl")
        assert missing(shelf.tasks, lock, [], []) == ["the data set org/files"]

    def test_the_commit_that_the_lock_pins_is_what_must_be_there(self, shelf: Shelf) -> None:
        pull(shelf.tasks, None, [], None, quiet)
        lock = self.pinned("f" * 40)
        assert missing(shelf.tasks, lock, [], []) == [f"the data set org/whole at {'f' * 40}"]
        pull(shelf.tasks, lock, [], None, quiet)
        assert missing(shelf.tasks, lock, [], []) == []

    def test_data_are_read_as_the_run_reads_them(self, shelf: Shelf) -> None:
        told: list[tuple[str, int, int]] = []
        reads = list(read_tasks(shelf.tasks, None, lambda *t: told.append(t)))
        assert [r.observed.rows for r in reads if r.observed] == [3, 3]
        assert {r.observed.sha256 for r in reads if r.observed} == {reads[0].observed.sha256}  # type: ignore[union-attr]
        assert [t for t in told if t[0] in ("bfpo_files", "bfpo_whole", "done")] == [
            ("bfpo_files", 0, 2),
            ("bfpo_whole", 1, 2),
            ("done", 2, 2),
        ]


class TestModels:
    def test_fetched_and_then_there(self, cache: Path) -> None:
        assert missing([], None, [STORIES], [STORIES]) == [
            f"the judge's model {STORIES}",
            f"the model {STORIES}",
        ]
        assert pull([], None, [STORIES], None, quiet).fetched == [STORIES]
        assert missing([], None, [STORIES], [STORIES]) == []
        assert missing([], None, [], [f"{STORIES}@v2"]) == [f"the model {STORIES}@v2"]

    def test_small_files_alone_are_not_a_model(self, cache: Path) -> None:
        """Planning a run fetches the configuration: the weights may still be missing."""
        at = resolve(STORIES, "model")
        fetch_file(at, "config.json")
        fetch_snapshot(at, ["tokenizer*"])
        assert missing([], None, [], [STORIES]) == [f"the weights of the model {STORIES}"]

    def test_every_shard_is_looked_for(self, cache: Path) -> None:
        pull([], None, [STORIES], None, quiet)
        folder = resolve_subject(STORIES).base.materialise()
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "model-1.safetensors").write_text("")
        assert missing([], None, [], [STORIES]) == [f"the weights of the model {STORIES}"]
        (folder / "model-2.safetensors").write_text("")
        assert missing([], None, [], [STORIES]) == []

    @pytest.mark.parametrize("file", ["adapter_config.json", "midpo.json"])
    def test_an_adapter_needs_its_base(self, cache: Path, tmp_path: Path, file: str) -> None:
        (tmp_path / "adapter").mkdir()
        told = {"base_model_name_or_path": STORIES, "revision": None}
        (tmp_path / "adapter" / file).write_text(json.dumps(told))
        assert missing([], None, [], [str(tmp_path / "adapter")]) == [f"the base model {STORIES}"]

    def test_a_folder_lacks_nothing(self, tmp_path: Path) -> None:
        assert missing([], None, [], [str(tmp_path)]) == []

    def test_a_model_that_is_not_there_is_told_and_the_others_come(self, cache: Path) -> None:
        pulled = pull([], None, ["karpathy/none", STORIES], None, quiet)
        assert pulled.fetched == [STORIES]
        assert "There is no model karpathy/none" in pulled.failed[0]

    def test_judges_are_asked_for_at_the_revision_that_they_pin(self) -> None:
        pinned = load_judge("harmbench")
        spec = pinned.spec.model_copy(update={"revision": "v1"})
        given = load_judge(f"yesno={STORIES}")
        assert judge_models([pinned.model_copy(update={"spec": spec}), given]) == [
            f"{pinned.model}@v1",
            STORIES,
        ]
        assert judge_models([load_judge("refusal")]) == []


class TestNltk:
    """What IFEval's checks want besides; a run can do without."""

    def tasks(self, shelf: Shelf) -> list[TaskSpec]:
        return [t.model_copy(update={"judged_by": ("instructions",)}) for t in shelf.tasks]

    @pytest.fixture
    def fetched(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Where NLTK's own downloader was told to put the model; it leaves one there."""
        folders: list[str] = []

        def run(command: list[str], **options: Any) -> None:
            folders.append(command[-1])
            (Path(command[-1]) / "tokenizers" / "punkt_tab").mkdir(parents=True)

        monkeypatch.setattr(checks.subprocess, "run", run)
        return folders

    def test_fetched_where_it_is_needed(
        self, shelf: Shelf, fetched: list[str], tmp_path: Path
    ) -> None:
        assert pull(self.tasks(shelf), None, [], tmp_path / "nltk", quiet).notes == []
        assert fetched == [str(tmp_path / "nltk")]

    def test_not_asked_for_by_other_tasks(
        self, shelf: Shelf, fetched: list[str], tmp_path: Path
    ) -> None:
        pull(shelf.tasks, None, [], tmp_path / "nltk", quiet)
        assert fetched == []

    def test_a_failure_is_a_note(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(checks.subprocess, "run", lambda command, **options: None)
        pulled = pull(self.tasks(shelf), None, [], tmp_path / "nltk", quiet)
        assert pulled.failed == []
        assert "NLTK's punkt_tab could not be fetched" in pulled.notes[0]
        assert "stay unjudged" in pulled.notes[0]


def test_a_folder_to_hand_on_holds_no_token(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from bfpo_bench.suite.pull import use_home
use_home(Path("bundle"))
from huggingface_hub import constants
import datasets.config
print(constants.HF_HUB_CACHE, datasets.config.HF_DATASETS_CACHE, constants.HF_TOKEN_PATH, sep="\\n")
"""
    changes = {"HF_HOME": str(tmp_path / "mine"), "HF_HUB_CACHE": str(tmp_path / "elsewhere")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=True,
    )
    bundle = os.path.realpath(tmp_path / "bundle")
    assert done.stdout.split() == [
        f"{bundle}/hub",
        f"{bundle}/datasets",
        str(tmp_path / "mine" / "token"),
    ]
