"""What a server's complaint changes in the form of a judge's request."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bfpo_bench.api.faults import read_failure
from bfpo_bench.api.key import Key
from bfpo_bench.judges.api.adapting import adapted
from bfpo_bench.judges.api.wire import Decoding

LIMIT = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."


@pytest.mark.parametrize(
    ("status", "message", "changes"),
    [
        (400, LIMIT, {"limit": "max_completion_tokens"}),
        (400, "'temperature' does not support 0.0 with this model.", {"temperature": None}),
        (422, "`temperature` is deprecated for this model", {"temperature": None}),
        # As vLLM says it of a limit beyond the context
        (400, "'max_tokens' or 'max_completion_tokens' is too large: 512", {}),
        (400, "temperature must be at most 2", {}),
        (500, LIMIT, {}),
    ],
)
def test_the_form_of_a_request_follows_what_the_server_says(
    status: int, message: str, changes: dict[str, Any]
) -> None:
    complaint = read_failure(status, {}, json.dumps({"detail": message}), Key())
    found = adapted(Decoding("m", 5), complaint)
    assert found == replace(Decoding("m", 5), **changes)
    assert adapted(found, complaint) == found
