"""How a run's numbers came about: its manifest in words, a heading at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bfpo_bench.leaderboard.report.model import Facts
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.scoring.finished import FinishedRun

_LISTED = ("tasks", "samples", "task_decoding")
"""Settings that are about single tasks: they stand with the tasks' data."""


def provenance(run: FinishedRun) -> list[Facts]:
    """What was measured, on what, by whom and when; headings of which nothing is known are left out."""
    manifest = run.manifest
    found = [
        Facts("Model", list(_model(manifest))),
        Facts("Training", list(_training(manifest))),
        Facts("Suite and decoding", list(_settings(manifest))),
        Facts("Bias that decoding subtracts", list(_pairs(manifest.bias or {}))),
        Facts("Data", list(_data(manifest))),
        Facts("Judges", [(name, _flat(parts)) for name, parts in manifest.judges.items()]),
        *(_session(n, s) for n, s in enumerate(manifest.sessions, 1)),
    ]
    return [facts for facts in found if facts.pairs]


def _model(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "run", manifest.run_id
    yield "comparability key", manifest.comparability_key or "none yet"
    yield from _pairs(manifest.model.model_dump())
    for part, source in manifest.model_source.items():
        yield f"source, {part}", _flat(source)


def _training(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if manifest.training is None:
        return
    told = manifest.training.model_dump(mode="json", exclude_none=True)
    yield "in short", manifest.training.describe()
    yield from _pairs(told)


def _settings(manifest: Manifest) -> Iterator[tuple[str, str]]:
    settings = manifest.settings.model_dump(mode="json")
    yield (
        "suite",
        f"{manifest.suite_title} ({settings['suite']}, version {settings['suite_version']})",
    )
    yield "tasks", str(len(settings["tasks"]))
    shown = {k: v for k, v in settings.items() if k not in ("suite", "suite_version", *_LISTED)}
    for name, value in shown.items():
        yield name.replace("_", " "), "none" if value in (None, {}) else _flat(value)


def _data(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """A task's data: repository at revision, what was asked of it, the hash of the documents."""
    settings = manifest.settings
    for task, data in manifest.data.items():
        parts = [
            f"{data.get('hub_id') or 'packaged'} at {str(data.get('revision') or 'none')[:12]}"
        ]
        if task in settings.samples:
            parts.append(f"sample {_flat(settings.samples[task])}")
        if task in settings.task_decoding:
            parts.append(f"decoding {_flat(settings.task_decoding[task])}")
        documents = manifest.counts.get(task, {}).get("documents")
        if documents is not None:
            parts.append(f"{documents} documents")
        parts.append(f"fingerprint {str(data.get('fingerprint'))[:16]}")
        if data.get("drift"):
            parts.append(f"differs from the data lock: {data['drift']}")
        yield task, ", ".join(parts)


def _session(number: int, session: Mapping[str, Any]) -> Facts:
    """One session of the command: when, with what, how long, and what went wrong."""
    told = dict(session)
    command = told.pop("command", None)
    pairs = [("command", " ".join(map(str, command)))] if command else []
    return Facts(f"Session {number}", [*pairs, *_pairs(told)])


def _pairs(parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in parts.items():
        if value not in (None, "", [], {}):
            yield name.replace("_", " "), _flat(value)


def _flat(value: Any) -> str:
    """A mapping as 'a 1, b (c 2)', of which what is empty is left out; anything else as JSON or text."""
    if isinstance(value, Mapping):
        told = ((k, v) for k, v in value.items() if v not in (None, "", [], {}))
        return ", ".join(f"{k} {_inner(v)}" for k, v in told) or "none"
    return _inner(value)


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_flat(value)})"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "; ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
