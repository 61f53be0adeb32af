"""What is said beside a block's table, in every form that it is written in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from bfpo_bench.leaderboard.view import Block
from bfpo_bench.names import EMBEDDED_JUDGES, of_null_engine

Keys = Mapping[str, Mapping[str, Any]]
"""Comparability key -> its parts, of those that are known (`keys.read_keys`)."""
EMPTY: Keys = MappingProxyType({})

UNLIKE = "These rows lack different tasks: their means are not alike."
NULL = "The null engine's answers measure nothing: its rows have no rank."


def notes(block: Block, keys: Keys) -> list[str]:
    """A sentence each: what is partial, that judges are embedded, that rows are the null engine's."""
    found = []
    part = partial_part(keys.get(block.key, {}).get("settings")) if block.partial else ""
    if part:
        found.append(f"Partial: {part}.")
    judges = {j for cell in block.rows["judges"] for j in str(cell).split()}
    if told := embedded_note(judges):
        found.append(told)
    if any(of_null_engine(str(model)) for model in block.rows["model"]):
        found.append(NULL)
    return found


def partial_part(settings: Any) -> str:
    """'5 tasks, at most 10 documents of each', or '5 tasks asked', of a key's settings; empty where
    they do not say."""
    if not isinstance(settings, Mapping) or not isinstance(settings.get("tasks"), Mapping):
        return ""
    tasks, limit = len(settings["tasks"]), settings.get("limit")
    if not isinstance(limit, int):
        return f"{_counted(tasks, 'task')} asked"
    each = "it" if tasks == 1 else "each"
    return f"{_counted(tasks, 'task')}, at most {_counted(limit, 'document')} of {each}"


def embedded_note(judges: Iterable[str]) -> str:
    """That these judges' verdicts are a first look; empty where none of them is embedded."""
    named = set(judges)
    found = [j for j in EMBEDDED_JUDGES if j in named]
    if not found:
        return ""
    return f"Embedded judges ({', '.join(found)}) are a first look."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
