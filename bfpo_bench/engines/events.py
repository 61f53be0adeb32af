"""What an engine does before it answers and what befell it, told from what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bfpo_bench.engines.base import Engine
from bfpo_bench.progress import Progress


def opening(engine: str) -> str:
    """What is waited for when an engine of that name is made ready."""
    return "joining Ray" if engine == "ray" else f"loading the model into {engine}"


def beginning(engine: Engine, phase: str, total: int) -> Progress:
    """What is told until the first answer of `phase` is there."""
    if engine.name != "ray":
        return Progress(phase, 0, total)
    # Which it does for each phase, and for minutes
    workers = engine.describe()["workers"]
    each = "worker that loads" if workers == 1 else "workers, each of which loads"
    return Progress(f"Ray starts {workers} {each} the model for {total:,} {phase}")


def befell(engine: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each thing that a user should know. `engine`: its `describe()`."""
    batch = engine.get("batch", {})
    if times := batch.get("halved"):
        yield (
            f"memory ran out {times} times: batches were made smaller, to {batch['rows']} rows and "
            f"{batch['tokens']} tokens"
        )
    if left_out := engine.get("left_out"):
        yield f"the server does not take {', '.join(left_out)}: requests went without"
    for url, reason in engine.get("gone", {}).items():
        yield f"{url} answers no more ({reason}): the rest went to the other servers"
    if restarts := engine.get("restarts"):
        yield f"the engine died and was started again {restarts} times"
    if at_once := engine.get("requests_at_once"):
        yield f"the engine was given no more than {at_once} requests at once from then on"
