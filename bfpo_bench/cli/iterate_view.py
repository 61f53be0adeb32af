"""What `bfpo-bench iterate` prints: a row a round, why it ended, and where the last good model is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bfpo_bench.cli.render import score_text
from bfpo_bench.cli.ui import plain
from bfpo_bench.iterate.state import Round, State


def as_json(state: State, fault: str | None) -> str:
    """iteration.json, with the fault that broke the command off, or null, and the best round."""
    told: dict[str, Any] = state.model_dump(mode="json")
    best = state.best.number if state.best is not None else None
    return json.dumps(told | {"fault": fault, "best": best}, indent=1)


def print_rounds(console: Console, state: State, fault: str | None) -> None:
    console.print(table(state))
    for line in _lines(state, fault):
        console.print(plain(line), highlight=False, soft_wrap=True)


def table(state: State) -> Table:
    """A row for every round that has come to anything."""
    scores = list(
        dict.fromkeys(n for one in state.rounds if one.measured for n in one.measured.scores)
    )
    found = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("round", "pairs", *(name.replace("/", "\n") for name in scores), "gate"):
        found.add_column(heading, justify="right", no_wrap=True)
    for one in state.rounds:
        found.add_row(str(one.number), *_cells(one, scores), style="red" if _broke(one) else "")
    return found


def _cells(one: Round, scores: Sequence[str]) -> Iterator[str]:
    made, said = one.pairs, one.measured.scores if one.measured is not None else {}
    yield f"{made.pairs:,} of {made.prompts:,}" if made is not None else "–"
    yield from (score_text(said[name]) if name in said else "–" for name in scores)
    yield "–" if one.gate is None else "broken" if _broke(one) else "holds"


def _broke(one: Round) -> bool:
    return one.gate is not None and not one.gate.passed


def _lines(state: State, fault: str | None) -> Iterator[str]:
    if fault is not None:
        yield f"{fault}; the same command goes on from what is stored"
    if state.reason is not None:
        yield state.reason
    best = state.best
    if best is None or best.measured is None:
        return
    yield f"model: {best.model} (round {best.number})"
    yield f"run: {best.measured.run}"
    first = state.rounds[0].measured
    if best.number and first is not None:
        yield f"next: {shlex.join(['bfpo-bench', 'compare', first.run, best.measured.run])}"
