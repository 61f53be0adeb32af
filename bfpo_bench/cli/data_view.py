"""What `bfpo-bench data` prints."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.text import Text

from bfpo_bench.cli.fitting import FittingTable
from bfpo_bench.cli.ui import Terminal, plain
from bfpo_bench.suite.lock import Checked, LockEntry
from bfpo_bench.suite.pull import Read

_STYLE = {"verified": "green", "unverified": "yellow", "unlocked": "yellow"}


def verified(read: Read, entry: LockEntry | None, found: Checked | None) -> dict[str, Any]:
    """One task of `data verify`."""
    return {
        "task": read.spec.name,
        "hub_id": read.spec.hub_id,
        "revision": read.data.sha if read.data else None,
        "expected_rows": entry.rows if entry else None,
        "rows": read.observed.rows if read.observed else None,
        "sha256": read.observed.sha256 if read.observed else None,
        "state": found.state if found else "failed",
        "sentence": found.sentence if found else read.error,
    }


def print_verified(told: Sequence[dict[str, Any]]) -> None:
    """A table, and below it what differs."""
    table = FittingTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("data set", overflow="fold")
    for heading in ("expected", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in told:
        style = _STYLE.get(row["state"], "red")
        counts = ("–" if row[k] is None else f"{row[k]:,}" for k in ("expected_rows", "rows"))
        state = Text(f"{row['state']}{'*' if row['sentence'] else ''}", style=style)
        table.add_row(
            row["task"].removeprefix("bfpo_"),
            plain(row["hub_id"] or "in the package"),
            *counts,
            state,
        )
    console = Terminal()
    console.print(table)
    for sentence in dict.fromkeys(row["sentence"] for row in told if row["sentence"]):
        text = f"* {plain(sentence).rstrip('.')}."
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    counted = Counter(row["state"] for row in told)
    console.print(", ".join(f"{n} {state}" for state, n in counted.items()), highlight=False)


def how_to_use(
    to: Path, suite: str, tasks: str | None, judges: list[str], models: list[str]
) -> str:
    """What to do with the folder that `data pull --to` has filled."""
    pairs = [("--suite", suite), *(("--tasks", t) for t in [tasks] if t)]
    pairs += [("--judge", j) for j in judges] + [("--model", m) for m in models or ["MODEL"]]
    words = ["bfpo-bench", "run", "--offline", *(word for pair in pairs for word in pair)]
    folder = shlex.quote(str(to))
    nltk = f"NLTK_DATA={folder}/nltk_data " if (to / "nltk_data").is_dir() else ""
    return (
        f"Bring {folder} to where there is no network (with its links: tar, or rsync -a), and there:\n"
        f"  HF_HOME={folder} {nltk}{shlex.join(words)}"
    )
