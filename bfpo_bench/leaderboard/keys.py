"""What stands behind a comparability key: kept beside the CSV, so that blocks can say how they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from bfpo_bench.leaderboard.lock import locked
from bfpo_bench.runs.jsonl import remove_drafts, write_atomically

_PARTS = ("settings", "judges", "data")


def keys_file(leaderboard: Path) -> Path:
    return leaderboard.with_suffix(".keys.json")


def read_keys(leaderboard: Path) -> dict[str, dict[str, Any]]:
    """Key -> its parts; empty where the file is missing or broken: it explains, it decides nothing."""
    try:
        # Which, unlike json, nests no deeper than Python's own functions can follow
        found = from_json(keys_file(leaderboard).read_bytes())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if _explains(v)} if isinstance(found, dict) else {}


def _explains(parts: Any) -> bool:
    return isinstance(parts, dict) and all(isinstance(parts.get(k, {}), dict) for k in _PARTS)


def add_key(leaderboard: Path, key: str, parts: Mapping[str, Any]) -> None:
    """Remember the parts of `key`, under the same lock as the CSV's."""
    with locked(leaderboard):
        write_keys(leaderboard, read_keys(leaderboard) | {key: dict(parts)})


def write_keys(leaderboard: Path, keys: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the file of keys. Only who holds the leaderboard's lock may call this."""
    remove_drafts(keys_file(leaderboard))
    write_atomically(keys_file(leaderboard), json.dumps(keys, indent=1, sort_keys=True) + "\n")


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """One clause for each setting and judge that differs, such as 'limit: none there, 50 here'.

    Settings come first, then judges; data come last and as one clause, for other settings mostly
    mean other documents.
    """
    mine, theirs = dict(a.get("settings", {})), dict(b.get("settings", {}))
    leaves = []
    for counted in ("tasks", "samples"):
        here, there = mine.get(counted, {}), theirs.get(counted, {})
        if isinstance(here, Mapping) and isinstance(there, Mapping) and here != there:
            mine.pop(counted, None)
            theirs.pop(counted, None)
            leaves.append(f"{counted}: {len(there)} there, {len(here)} here")
    leaves = [_clause(*leaf) for leaf in _leaves(mine, theirs, "")] + leaves
    judges, others = a.get("judges", {}), b.get("judges", {})
    if set(judges) != set(others):
        leaves.append(f"judges: {_names(others)} there, {_names(judges)} here")
    both = {key: judges[key] for key in judges if key in others}
    leaves += [
        _clause(f"judge {path}", x, y)
        for path, x, y in _leaves(both, {k: others[k] for k in both}, "")
    ]
    here, there = a.get("data", {}), b.get("data", {})
    tasks = [task for task in {**there, **here} if here.get(task) != there.get(task)]
    if tasks:
        which = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
        leaves.append(f"documents of {which}")
    return leaves


def _clause(path: str, here: Any, there: Any) -> str:
    return f"{path}: {_short(there)} there, {_short(here)} here"


def _names(judges: Mapping[str, Any]) -> str:
    return " and ".join(judges) or "none"


def _leaves(a: Any, b: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted({*a, *b}):
            yield from _leaves(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
    elif a != b:
        yield path, a, b


def _short(value: Any) -> str:
    if value is None:
        return "none"
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
