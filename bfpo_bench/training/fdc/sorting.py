"""A file of prompts, each given its group, and held against the labels that it brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.training.data.jsonl import records
from bfpo_bench.training.fdc.groups import LABELS, Label, Measured, group_of, measure


@dataclass(frozen=True)
class Sorted:
    """The file's records by group, each as it is; `measured` where each brings a label, `group`."""

    records: Mapping[Label, Sequence[Mapping[str, Any]]]
    measured: Measured | None


def sort_file(path: Path) -> Sorted:
    """Each record goes to the group of its prompt: `prompt`, or the last of `messages` that is a
    user's. Raises UserError for a record without one, and for a label that is none."""
    found: dict[Label, list[Mapping[str, Any]]] = {label: [] for label in LABELS}
    prompts: list[str] = []
    labels: list[str] = []
    for place, record in records(path):
        prompt = _prompt(record, f"{path}, {place}")
        prompts.append(prompt)
        if record.get("group") is not None:
            labels.append(_label(record["group"], f"{path}, {place}"))
        found[group_of(prompt)].append(record)
    if not prompts:
        raise UserError(f"{path} has no record: give a file of prompts or pairs.")
    if labels and len(labels) < len(prompts):
        raise UserError(
            f"{path} has a group in {len(labels):,} of {len(prompts):,} records: label all of them, to "
            "measure the rule, or none."
        )
    return Sorted(found, measure(prompts, labels) if labels else None)


def _prompt(record: Mapping[str, Any], place: str) -> str:
    said = record.get("prompt", record.get("messages"))
    if isinstance(said, list):
        users = [m for m in said if isinstance(m, dict) and m.get("role") == "user"]
        said = users[-1].get("content") if users else None
    if not isinstance(said, str):
        raise UserError(f"{place} has no prompt, a text or messages with a user's: mend it.")
    return said


def _label(value: Any, place: str) -> str:
    if value not in LABELS:
        raise UserError(f"{place}: group {value!r} is none of {', '.join(LABELS)}: mend it.")
    return str(value)
