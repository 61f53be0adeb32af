"""What the hub says, and what is said in its place when it cannot be asked."""

from __future__ import annotations

import http.server
import json
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import STORIES, environment
from huggingface_hub import constants

from bfpo_bench.errors import UserError
from bfpo_bench.hub import (
    HubRevision,
    cached,
    fetch_file,
    fetch_snapshot,
    go_offline,
    guarded,
    is_offline,
    resolve,
)

pytestmark = pytest.mark.usefixtures("stages_here")

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"
DATA = "walledai/AdvBench"
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def second(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The root of a second stand-in with one public, one gated model, and a cache of its own."""
    root = tmp_path / "root"
    for name in ("org/public", "org/closed"):
        (root / "models" / name).mkdir(parents=True)
        (root / "models" / name / "config.json").write_text("{}")
    (root / "models" / "org" / "public" / ".revs").write_text("v1\n")
    (root / "models" / "org" / "closed" / ".gated").write_text("word\n")
    server, url = runpy.run_path(str(SHARED / "hub" / "serve.py"))["start"](root)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield root
    server.shutdown()


def test_a_name_becomes_a_commit_and_files(hub: str) -> None:
    found = resolve(STORIES, "model")
    assert (found.requested, found.online) == ("main", True)
    assert len(found.sha) == 40
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(found.files)
    assert resolve(STORIES, "model", found.sha).sha == found.sha


def test_data_sets_are_asked_as_such(hub: str) -> None:
    assert resolve(DATA, "dataset").repo_type == "dataset"
    with pytest.raises(UserError, match=f"There is no model {DATA} on the hub"):
        resolve(DATA, "model")


def test_a_file_is_fetched_at_the_commit(hub: str) -> None:
    found = resolve(STORIES, "model")
    assert fetch_file(found, "config.json").parent.name == found.sha


def test_an_unknown_name_may_be_an_old_or_a_private_one(hub: str) -> None:
    said = "There is no data set walledai/Nothing on the hub"
    with pytest.raises(UserError, match=said) as error:
        resolve("walledai/Nothing", "dataset")
    assert "it may have been renamed, or be private, which needs HF_TOKEN" in str(error.value)
    assert str(error.value).endswith("mend the name, or leave it out (tasks with --tasks).")


def test_an_unknown_revision(second: Path) -> None:
    with pytest.raises(UserError, match="The model org/public has no revision 'v2': name a branch"):
        resolve("org/public", "model", "v2")
    assert resolve("org/public", "model", "v1").requested == "v1"


def test_a_gated_one(second: Path) -> None:
    with pytest.raises(
        UserError, match="The model org/closed is gated: ask for access on its hub page"
    ):
        resolve("org/closed", "model")


def test_one_that_is_gated_only_when_it_is_downloaded(second: Path) -> None:
    """The real hub shows a gated repository's metadata to anyone."""
    found = resolve("org/public", "model")
    (second / "models" / "org" / "public" / ".gated").write_text("word\n")
    with pytest.raises(UserError, match="The model org/public is gated"):
        guarded(lambda: fetch_file(found, "config.json"), "org/public", "model")


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[int, str, Any]]]:
    """A hub that answers each path in the dictionary with (status, error code, JSON), others with 404."""
    answers: dict[str, tuple[int, str, Any]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code, content = answers.get(self.path, (404, "EntryNotFound", {}))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield answers
        server.shutdown()


def test_metadata_that_anyone_may_read_does_not_open_the_files(
    answering: dict[str, tuple[int, str, Any]], hub: str
) -> None:
    """The real hub describes a gated repository to everybody: it is asked for access as well."""
    info = {"id": "org/name", "sha": SHA, "gated": "auto", "siblings": [{"rfilename": "a.json"}]}
    answering["/api/models/org/name"] = (200, "", info)
    answering["/api/models/org/name/auth-check"] = (401, "GatedRepo", {})
    with pytest.raises(UserError, match="The model org/name is gated: ask for access"):
        resolve("org/name", "model")
    answering["/api/models/org/name/auth-check"] = (200, "", {})
    assert resolve("org/name", "model").files == ("a.json",)


class TestUnreachable:
    @pytest.fixture
    def alone(self, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """No hub, and a cache of its own; -> the cache."""
        cache = tmp_path / "cache"
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        return cache

    def cached(self, cache: Path) -> None:
        folder = cache / "models--org--name"
        (folder / "snapshots" / SHA).mkdir(parents=True)
        (folder / "snapshots" / SHA / "config.json").write_text("{}")
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(SHA)

    def test_the_cache_answers(self, alone: Path) -> None:
        self.cached(alone)
        found = resolve("org/name", "model")
        assert (found.sha, found.files, found.online) == (SHA, ("config.json",), False)
        assert resolve("org/name", "model", SHA).sha == SHA

    @pytest.mark.parametrize("revision", [None, "v1", "f" * 40])
    def test_what_it_lacks_is_said_with_the_command(
        self, alone: Path, revision: str | None
    ) -> None:
        if revision is not None:
            self.cached(alone)
        with pytest.raises(UserError) as error:
            resolve("org/name", "model", revision)
        said = str(error.value)
        assert said.startswith(
            "The model org/name is not in the local cache and the hub cannot be reached"
        )
        assert "`hf download org/name`" in said

    def test_a_fault_of_the_servers_is_no_verdict_on_the_name(
        self, alone: Path, answering: dict[str, tuple[int, str, Any]]
    ) -> None:
        answering["/api/models/org/name"] = (503, "", {})
        self.cached(alone)
        assert not resolve("org/name", "model").online
        shutil.rmtree(alone)
        with pytest.raises(UserError, match="the hub cannot be reached"):
            resolve("org/name", "model")


class TestCached:
    """What the local cache holds, without asking anybody."""

    @pytest.fixture
    def at(self, second: Path) -> HubRevision:
        """A public data set of two files and a folder, and its commit."""
        folder = second / "datasets" / "org" / "data"
        (folder / "data").mkdir(parents=True)
        for name in ("README.md", "data/a.json", "data/b.json"):
            (folder / name).write_text("{}")
        return resolve("org/data", "dataset")

    def test_nothing_before_it_is_fetched(self, at: HubRevision) -> None:
        assert cached("org/data", "dataset", None) is None
        assert cached("org/data", "dataset", at.sha) is None

    def test_everything_afterwards_by_name_and_by_commit(self, at: HubRevision) -> None:
        folder = fetch_snapshot(at)
        assert cached("org/data", "dataset", None) == folder
        assert cached("org/data", "dataset", at.sha) == folder
        assert cached("org/data", "dataset", "v2") is None

    def test_single_files(self, at: HubRevision) -> None:
        folder = fetch_snapshot(at, ["data/a.json"])
        assert cached("org/data", "dataset", None, ["data/a.json"]) == folder
        assert cached("org/data", "dataset", None, ["data/*.json"]) == folder
        assert cached("org/data", "dataset", None, ["data/a.json", "data/b.json"]) is None
        assert cached("org/data", "dataset", None) is None

    def test_a_file_that_went_missing(self, at: HubRevision) -> None:
        """A folder of links proves nothing: what they point at must be there."""
        blob = fetch_file(at, "data/a.json").resolve()
        assert cached("org/data", "dataset", at.sha) is not None
        blob.unlink()
        assert cached("org/data", "dataset", at.sha) is None
        assert cached("org/data", "dataset", at.sha, ["data/a.json"]) is None

    def test_a_file_that_the_data_set_does_not_have(self, at: HubRevision) -> None:
        with pytest.raises(UserError, match=f"org/data has no file c.csv on the hub at {at.sha}"):
            fetch_snapshot(at, ["data/a.json", "c.csv"])


def test_offline_holds_for_libraries_that_are_imported_already(
    hub: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import datasets.config

    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(variable, "0")
        monkeypatch.setattr(datasets.config, variable, False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert not is_offline()
    go_offline()
    assert is_offline()
    assert datasets.config.HF_HUB_OFFLINE
    with pytest.raises(UserError, match="not in the local cache and the hub cannot be reached"):
        resolve(DATA, "dataset")


@pytest.mark.parametrize("how", ["go_offline()", "os.environ['HF_HUB_OFFLINE'] = '1'"])
def test_offline_before_the_libraries_are_imported(how: str, hub: str, tmp_path: Path) -> None:
    """Ours and the user's own way come to the same, also in processes that are started later."""
    child = "from bfpo_bench.hub import is_offline; assert is_offline()"
    code = f"""
import os, subprocess, sys
from bfpo_bench.errors import UserError
from bfpo_bench.hub import go_offline, is_offline, resolve
assert 'huggingface_hub' not in sys.modules
{how}
assert is_offline()
import datasets
assert datasets.config.HF_HUB_OFFLINE
try:
    resolve({DATA!r}, "dataset")
except UserError as error:
    print(error)
subprocess.run([sys.executable, "-c", {child!r}], check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(HF_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"The data set {DATA} is not in the local cache" in done.stdout
