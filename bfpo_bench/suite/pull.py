"""Everything a run needs, fetched beforehand; and what of it is missing where there is no network."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bfpo_bench.engines.source import ROUTED, ROUTED_FILES, TOKENIZER, WEIGHTS
from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.hub import cached
from bfpo_bench.judges.judge import Judge
from bfpo_bench.names import existing
from bfpo_bench.suite.checks import fetch_sentence_model, has_sentence_model
from bfpo_bench.suite.data import DataRevision, named_files, requested_revision, resolve_data
from bfpo_bench.suite.documents import load_task, raw_rows
from bfpo_bench.suite.lock import DataLock, Observed, observe
from bfpo_bench.suite.tasks import TaskSpec

Report = Callable[[str, int, int], None]
"""Told what is at hand, how many things are done, and of how many."""

_DATA = (".parquet", ".arrow", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".gz", ".zip", ".zst")


@dataclass(frozen=True)
class Read:
    """A task's data as they were read, or the sentence that says why they cannot be."""

    spec: TaskSpec
    data: DataRevision | None = None
    observed: Observed | None = None
    error: str | None = None


@dataclass
class Pulled:
    """What was fetched, by name, and one sentence each for what was not and for what can be done
    without."""

    fetched: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def use_home(folder: Path) -> None:
    """Make `folder` the HF_HOME of this process, with nothing but data sets and models in it.

    The user's token and the transfer cache stay where they are: the folder is made to be handed on.
    The libraries read the variables when they are imported, so this comes before.
    """
    assert "huggingface_hub" not in sys.modules
    base = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("HF_HOME", f"{base}/huggingface")).expanduser()
    os.environ.setdefault("HF_TOKEN_PATH", str(home / "token"))
    os.environ.setdefault("HF_XET_CACHE", str(home / "xet"))
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE"):
        os.environ.pop(variable, None)
    os.environ["HF_HOME"] = str(folder.resolve())


def read_tasks(tasks: Sequence[TaskSpec], lock: DataLock | None, report: Report) -> Iterator[Read]:
    """Each task's data, resolved (at the lock's commits, if it is given), fetched, built and
    fingerprinted, exactly as the respond stage reads them. A task that fails takes none with it."""
    report("asking the hub for revisions", 0, len(tasks))
    data, failed = resolve_data(tasks, lock)
    for number, spec in enumerate(tasks):
        report(spec.name, number, len(tasks))
        if spec.name in failed:
            yield Read(spec, error=failed[spec.name])
            continue
        at = data[spec.name]
        try:
            yield Read(spec, at, observe(spec, raw_rows(spec, load_task(spec, at))))
        except UserError as error:
            yield Read(spec, at, error=str(error))
    report("done", len(tasks), len(tasks))


def pull(
    tasks: Sequence[TaskSpec],
    lock: DataLock | None,
    models: Sequence[str],
    nltk_folder: Path | None,
    report: Report,
) -> Pulled:
    """Fetch the tasks' data, the models (of judges and subjects, as `ID[@REVISION]_OR_PATH`) and
    what IFEval's checks need. What is there already is not fetched again."""
    pulled = Pulled()
    for read in read_tasks(tasks, lock, report):
        if read.error is None:
            pulled.fetched.append(read.spec.name)
        else:
            pulled.failed.append(read.error)
    for number, model in enumerate(models):
        report(model, number, len(models))
        try:
            _fetch_model(model)
            pulled.fetched.append(model)
        except UserError as error:
            pulled.failed.append(str(error))
    if any("instructions" in spec.judged_by for spec in tasks):
        report("NLTK's punkt_tab", 0, 1)
        there = has_sentence_model() if nltk_folder is None else fetch_sentence_model(nltk_folder)
        if not there:
            pulled.notes.append(
                "NLTK's punkt_tab could not be fetched: IFEval's instructions on sentences and "
                "capital words stay unjudged without it."
            )
    return pulled


def _fetch_model(given: str) -> None:
    # Fetched, and not loaded: whether it may be is for the command that does
    subject = resolve_subject(given, trust=Trust(code=True, pickle=True))
    try:
        subject.fetch()
    except OSError as error:
        raise UserError(
            f"The download of {given} broke off ({first_line(error)}): give the same command "
            "again, it goes on from there."
        ) from error


def judge_models(judges: Sequence[Judge]) -> list[str]:
    """The judges' models that are loaded here, each at the revision that its judge.yaml pins."""
    return [
        f"{j.model}@{j.spec.revision}" if j.spec.revision and not j.model_given else j.model
        for j in judges
        if j.model is not None and j.spec.local
    ]


def missing(
    tasks: Sequence[TaskSpec], lock: DataLock | None, judges: Sequence[str], models: Sequence[str]
) -> list[str]:
    """What a run would need and this machine's caches lack, in words; the network is not asked.

    `judges` are the judges' models, `models` the subjects, as `ID[@REVISION]_OR_PATH`.
    """
    found = [_missing_data(spec, lock) for spec in tasks]
    found += [_missing_model(given, "the judge's model") for given in judges]
    found += [_missing_model(given, "the model") for given in models]
    return list(dict.fromkeys(text for text in found if text is not None))


def _missing_data(spec: TaskSpec, lock: DataLock | None) -> str | None:
    asked = requested_revision(spec, lock)
    if asked is None:
        return None
    hub_id, revision = asked
    at = f" at {revision}" if revision not in (None, "main") else ""
    files = named_files(spec)
    names = sorted(set(files.values())) if files is not None else None
    folder = cached(hub_id, "dataset", revision, names)
    if folder is not None and (names or _has_data(folder)):
        return None
    if names and cached(hub_id, "dataset", revision, []) is not None:
        return f"{', '.join(names)} of the data set {hub_id}{at}"
    return f"the data set {hub_id}{at}"


def _has_data(folder: Path) -> bool:
    return any(p.suffix in _DATA for p in folder.rglob("*"))


def _missing_model(given: str, what: str) -> str | None:
    path = existing(given)
    if path is not None and path.is_dir():
        return _missing_base(path)
    repo, _, revision = given.partition("@")
    if repo.count("/") > 1 or repo.startswith((".", "~", "/")):
        return None
    folder = cached(repo, "model", revision or None, [])
    if folder is None:
        return f"{what} {given}"
    parts = {"adapter_config.json": ["adapter_model.*"], ROUTED: list(ROUTED_FILES)}
    if found := next((parts[name] for name in parts if (folder / name).is_file()), None):
        if cached(repo, "model", revision or None, found) is None:
            return f"the weights of {what} {given}"
        return _missing_base(folder)
    return _missing_part(folder, f"{what} {given}")


def _missing_part(folder: Path, named: str) -> str | None:
    if not (folder / "config.json").is_file():
        return f"config.json of {named}"
    if not any((folder / name).is_file() for name in TOKENIZER):
        return f"the tokenizer of {named}"
    if not _weights_whole(folder):
        return f"the weights of {named}"
    return None


def _weights_whole(folder: Path) -> bool:
    for index in folder.glob("*.index.json"):
        shards = _json(index).get("weight_map", {}).values()
        if all((folder / shard).is_file() for shard in set(shards)):
            return True
    single = [p for s in WEIGHTS for p in folder.glob(f"*{s}") if p.is_file()]
    return not list(folder.glob("*.index.json")) and bool(single)


def _missing_base(folder: Path) -> str | None:
    """What an adapter, or a router over two, stands on; any other folder stands on itself."""
    named = [folder / name for name in ("adapter_config.json", ROUTED)]
    config = next((path for path in named if path.is_file()), None)
    if config is None:
        return None
    told = _json(config)
    base, revision = told.get("base_model_name_or_path"), told.get("revision")
    if not base:
        return None
    pinned = revision and existing(str(base)) is None
    return _missing_model(f"{base}@{revision}" if pinned else base, "the base model")


def _json(path: Path) -> dict[str, Any]:
    """Empty for a broken file: whoever loads the model says so."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
