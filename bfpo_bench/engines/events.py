"""What befell an engine while it answered, told from what it says of itself at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


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
    if restarts := engine.get("restarts"):
        yield f"the engine died and was started again {restarts} times"
    if at_once := engine.get("requests_at_once"):
        yield f"the engine was given no more than {at_once} requests at once from then on"
