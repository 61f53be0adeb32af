"""Models that take a request in another form: what to change, from what their server says."""

from __future__ import annotations

import re
from dataclasses import replace

from bfpo_bench.judges.api.faults import Failure
from bfpo_bench.judges.api.wire import Decoding

_NEWER_LIMIT = "max_completion_tokens"
_NOT_TAKEN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|deprecated|instead"
    r"|not (allowed|permitted)|only the default",
    re.I,
)


def adapted(decoding: Decoding, failure: Failure) -> Decoding:
    """`decoding` as the server would take it after this failure; unchanged where that is not what it
    complains of. OpenAI's reasoning models want `max_completion_tokens` in place of `max_tokens`, and
    no temperature."""
    told = f"{failure.code} {failure.message}"
    if failure.status not in (400, 422) or not _NOT_TAKEN.search(told):
        return decoding
    if decoding.limit != _NEWER_LIMIT and _NEWER_LIMIT in told:
        return replace(decoding, limit=_NEWER_LIMIT)
    if decoding.temperature is not None and re.search(r"\btemperature\b", told, re.I):
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
