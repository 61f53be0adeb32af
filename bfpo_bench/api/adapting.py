"""Models that take a request in another form: what they do not take, from what their server says."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bfpo_bench.api.faults import Failure

LIMIT = "max_tokens"
NEWER_LIMIT = "max_completion_tokens"
_NOT_TAKEN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|deprecated|instead"
    r"|not (allowed|permitted)|only the default",
    re.I,
)


def not_taken(failure: Failure, sent: Iterable[str]) -> str | None:
    """The first of the parameters `sent` that the server does not take; None where it complains of
    something else. OpenAI's reasoning models want `max_completion_tokens` in place of `max_tokens`,
    and no temperature."""
    told = f"{failure.code} {failure.message}"
    if failure.status not in (400, 422) or not _NOT_TAKEN.search(told):
        return None
    for name in sent:
        if name == LIMIT:
            # A limit that is too large for the model is named in such a sentence as well
            found = NEWER_LIMIT in told
        else:
            found = re.search(rf"\b{re.escape(name)}\b", told, re.I) is not None
        if found:
            return name
    return None
