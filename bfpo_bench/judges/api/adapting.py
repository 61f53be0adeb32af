"""Models that take a request in another form: what to change, from what their server says."""

from __future__ import annotations

from dataclasses import replace

from bfpo_bench.api.adapting import LIMIT, NEWER_LIMIT, not_taken
from bfpo_bench.api.faults import Failure
from bfpo_bench.judges.api.wire import Decoding


def adapted(decoding: Decoding, failure: Failure) -> Decoding:
    """`decoding` as the server would take it after this failure; unchanged where that is not what it
    complains of."""
    sent = [decoding.limit] if decoding.limit == LIMIT else []
    if decoding.temperature is not None:
        sent.append("temperature")
    match not_taken(failure, sent):
        case "max_tokens":
            return replace(decoding, limit=NEWER_LIMIT)
        case "temperature":
            return replace(decoding, temperature=None)
    return decoding


def notes(wanted: Decoding, used: Decoding) -> list[str]:
    """What was sent otherwise than the judge wanted, in words."""
    found = []
    if used.limit != wanted.limit:
        found.append(f"{wanted.limit} was sent as {used.limit}")
    if used.temperature != wanted.temperature:
        found.append(f"temperature {wanted.temperature:g} was left out: the model does not take it")
    return found
