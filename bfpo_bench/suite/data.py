"""Where tasks' documents come from: hub revisions resolved once, then loaded at exactly those."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bfpo_bench.errors import UserError
from bfpo_bench.hub import HubRevision, fetch_snapshot, resolve
from bfpo_bench.suite.lock import DataLock
from bfpo_bench.suite.tasks import TaskSpec

_HF_URL = re.compile(r"hf://datasets/(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?/(?P<file>.+)")

_BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}


class DataRevision(BaseModel):
    """The data set of one task as resolved. `sha` is None for data inside the package, `online`
    False where only the local cache could be asked."""

    model_config = ConfigDict(frozen=True)

    hub_id: str | None
    requested: str | None
    sha: str | None
    online: bool = True


def requested_revision(
    task: TaskSpec, lock: DataLock | None = None
) -> tuple[str, str | None] | None:
    """(hub id, revision asked for: the lock's, or else the YAML's, or None for main); None for
    packaged data."""
    if task.hub_id is None:
        return None
    entry = lock.entries.get(task.name) if lock is not None else None
    if entry is not None and entry.revision is not None and entry.hub_id == task.hub_id:
        return task.hub_id, entry.revision
    revision = task.dataset_kwargs.get("revision")
    for url in _urls(task.dataset_kwargs):
        revision = revision or url["revision"]
    return task.hub_id, revision


def resolve_data(
    tasks: Sequence[TaskSpec], lock: DataLock | None = None
) -> tuple[dict[str, DataRevision], dict[str, str]]:
    """Each task's data revision, and task -> reason for those whose data set is unknown, gated, or
    out of reach and not cached. Every repository is asked once and several at a time."""
    asked = {task.name: requested_revision(task, lock) for task in tasks}
    repos = sorted({r for r in asked.values() if r is not None}, key=str)
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = dict(zip(repos, pool.map(_resolved, repos), strict=True))
    revisions, failed = {}, {}
    for name, repo in asked.items():
        if repo is None:
            revisions[name] = DataRevision(hub_id=None, requested=None, sha=None)
            continue
        at = found[repo]
        if isinstance(at, UserError):
            failed[name] = str(at)
        else:
            revisions[name] = DataRevision(
                hub_id=repo[0], requested=at.requested, sha=at.sha, online=at.online
            )
    return revisions, failed


def _resolved(repo: tuple[str, str | None]) -> HubRevision | UserError:
    try:
        return resolve(repo[0], "dataset", repo[1])
    except UserError as error:
        return error


def pinned(task: TaskSpec, data: DataRevision) -> dict[str, Any]:
    """The task's YAML keys that load its data at the resolved commit and no other.

    The repository is fetched into the hub's cache at that commit and read from there: asked for by
    name, `datasets` would take another commit from its own cache where there is no network. Where
    the YAML names files, just those are fetched.
    """
    if data.sha is None or data.hub_id is None:
        return {}
    at = HubRevision(data.hub_id, "dataset", data.requested or "main", data.sha, (), data.online)
    kwargs = {k: v for k, v in task.dataset_kwargs.items() if k != "revision"}
    names = named_files(task)
    if names is None:
        return {"dataset_path": str(fetch_snapshot(at)), "dataset_kwargs": kwargs}
    folder = fetch_snapshot(at, list(names.values()))
    local = {split: str(folder / name) for split, name in names.items()}
    builder = task.dataset_path
    if builder == task.hub_id:
        builder = _builder(task, names)
    return {"dataset_path": builder, "dataset_kwargs": kwargs | {"data_files": local}}


def named_files(task: TaskSpec) -> dict[str, str] | None:
    """The files that the YAML names, by split, as their repository knows them; None where the whole
    repository is read."""
    files = task.dataset_kwargs.get("data_files")
    if files is None:
        return None
    by_split = dict(files) if isinstance(files, Mapping) else {task.split: files}
    return {split: _name(str(file)) for split, file in by_split.items()}


def local_files(task: TaskSpec) -> list[Path] | None:
    """The files on this disk that hold the data of a task without a hub id; None where the YAML does
    not name every one of them."""
    names = named_files(task)
    if names is None:
        return None
    files = [Path(name) for name in names.values()]
    return files if all(file.is_absolute() and file.is_file() for file in files) else None


def _name(file: str) -> str:
    """A file's name in its repository; `hf://` addresses hold it too."""
    url = _HF_URL.fullmatch(file)
    return url["file"] if url else file


def _builder(task: TaskSpec, names: Mapping[str, str]) -> str:
    suffix = Path(names.get(task.split, "")).suffix
    if suffix not in _BUILDERS:
        raise UserError(
            f"Task {task.name}: its data_files give no {', '.join(_BUILDERS)} file for the split "
            f"{task.split}: mend {task.path}."
        )
    return _BUILDERS[suffix]


def _urls(kwargs: Mapping[str, Any]) -> list[re.Match[str]]:
    files = kwargs.get("data_files")
    values = files.values() if isinstance(files, Mapping) else [files]
    return [m for v in values if isinstance(v, str) and (m := _HF_URL.fullmatch(v))]
