"""What a run's folder holds, read without the program's own readers."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Key = tuple[Any, ...]
"""A file of the run, then what tells its lines apart."""


@dataclass
class Stored:
    """Every complete line of the files that only ever grow. `doubled` names lines of one key."""

    lines: dict[Key, bytes] = field(default_factory=dict)
    doubled: list[Key] = field(default_factory=list)

    def count(self, file: str) -> int:
        return sum(key[0] == file for key in self.lines)

    def lost(self, later: Stored) -> list[Key]:
        """What `later` has no longer, or in other words."""
        return [key for key, line in self.lines.items() if later.lines.get(key) != line]

    def done(self) -> set[tuple[str, ...]]:
        """What need not be asked again, in the words of the log of inside/sitecustomize.py."""
        prompts: dict[tuple[Any, ...], str] = {}
        found: set[tuple[str, ...]] = set()
        for (file, *rest), line in self.lines.items():
            record = json.loads(line)
            if file == "responses.jsonl":
                asked = record["messages"][-1]["content"].encode()
                prompts[tuple(rest)] = hashlib.sha256(asked).hexdigest()[:16]
                found.add(("response", str(record["seed"])))
            elif file.startswith("discriminative"):
                found.add(("choice", str(record["logprob"])))
        for file, *rest in self.lines:
            if file.startswith("verdicts/"):
                found.add((file, prompts.get(tuple(rest[:3]), "?")))
        return found


def read(run: Path) -> Stored:
    """The run's lines. A torn last line is not counted: it was never reported as done."""
    found = Stored()
    files = [run / "responses.jsonl", run / "discriminative" / "loglikelihoods.jsonl"]
    files += sorted((run / "verdicts").glob("*.jsonl"))
    for path in files:
        if not path.exists():
            continue
        name = str(path.relative_to(run))
        for line in path.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            key: Key = (name, record["task"], record["doc_id"])
            key += (record["choice"],) if "choice" in record else (record["sample"],)
            key += (record["text_hash"],) if name.startswith("verdicts/") else ()
            if key in found.lines:
                found.doubled.append(key)
            found.lines[key] = line
    return found


def half_written(cwd: Path) -> Iterator[str]:
    """Files that are replaced as a whole and cannot be read: there must never be one."""
    for path in sorted(cwd.rglob("*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            yield str(path.relative_to(cwd))
    for path in sorted(cwd.rglob("*.parquet")):
        content = path.read_bytes()
        if not (content.startswith(b"PAR1") and content.endswith(b"PAR1")):
            yield str(path.relative_to(cwd))
    for path in sorted(cwd.glob("leaderboards/*.csv")):
        text = path.read_text()
        widths = {len(row) for row in csv.reader(text.splitlines())}
        if len(widths) != 1 or not text.endswith("\n"):
            yield str(path.relative_to(cwd))


def drafts(cwd: Path) -> list[str]:
    """Drafts that a killed process left beside the files that they were to replace."""
    return sorted(str(p.relative_to(cwd)) for p in cwd.rglob(".*.tmp"))


def board(cwd: Path) -> list[dict[str, str]]:
    """The leaderboard's rows without their date."""
    [path] = cwd.glob("leaderboards/*.csv")
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "date"} for row in csv.DictReader(file)]


def run_of(cwd: Path) -> Path | None:
    """The folder of the only run that began in `cwd`."""
    found = list(cwd.glob("runs/*/"))
    return found[0] if found else None
