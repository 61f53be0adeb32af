"""Which of a request's parameters a server complains of."""

from __future__ import annotations

import pytest

from bfpo_bench.api.adapting import not_taken
from bfpo_bench.api.faults import Failure

SENT = ("max_tokens", "temperature", "seed", "top_k")


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens"),
        ("'temperature' does not support 0.0 with this model.", "temperature"),
        ("Unrecognized request argument supplied: top_k", "top_k"),
        ("Unknown parameter: 'seed'", "seed"),
        ("Unknown parameter: 'seeds'", None),
        ("max_tokens is too large, which is not allowed", None),
        ("temperature must be at most 2", None),
        ("Unknown parameter: 'prompt'", None),
    ],
)
def test_the_parameter_that_the_server_names(message: str, name: str | None) -> None:
    for status in (400, 422):
        assert not_taken(Failure(status, message, "", None), SENT) == name
    assert not_taken(Failure(500, message, "", None), SENT) is None


def test_only_what_was_sent_can_be_left_out() -> None:
    failure = Failure(400, "Unknown parameter: 'seed'", "", None)
    assert not_taken(failure, ("temperature",)) is None
