"""What the failures of a server mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.api.faults import (
    Transient,
    Unanswered,
    may_pass,
    meaning,
    read_failure,
)
from bfpo_bench.api.key import Key
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.server import JUDGE

NO_KEY = Key()


def failure(status: int, body: str, headers: Mapping[str, str] | None = None) -> Any:
    return read_failure(status, headers or {}, body, NO_KEY)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error": {"message": "Too fast.", "code": "rate_limit"}}', "Too fast"),
        ('{"object": "error", "message": "Too fast", "code": 429}', "Too fast"),
        ('{"detail": "Too fast"}', "Too fast"),
        ('{"error": "Too fast"}', "Too fast"),
        ("Too\n   fast", "Too fast"),
        ('"Too fast"', '"Too fast"'),
        ("", ""),
    ],
)
def test_the_message_of_a_failure_in_the_shapes_that_servers_give_it(
    body: str, message: str
) -> None:
    assert failure(429, body).message == message


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_body_is_too_strange_to_be_a_failure(body: str) -> None:
    for status in (301, 400, 401, 404, 413, 422, 429, 500, 599):
        for answered in (False, True):
            found = meaning(failure(status, body), JUDGE, "http://host/v1", "m", answered=answered)
            assert isinstance(found, Transient | Unanswered | UserError)


def test_retry_after_is_a_number_or_a_date() -> None:
    def after(value: str) -> float | None:
        found: float | None = failure(429, "", {"retry-after": value}).retry_after
        return found

    assert after("2.5") == 2.5
    assert after("-3") == 0
    assert after("soon") is None
    soon = after(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert soon is not None
    assert 20 <= soon <= 31
    assert after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


def test_a_limit_on_new_tokens_that_the_model_does_not_grant_is_no_long_prompt() -> None:
    """It fails for every item alike, so no item may be closed with it."""
    body = '{"error": {"message": "max_tokens is too large: 512. At most 256 are supported"}}'
    found = meaning(failure(400, body), JUDGE, "u", "m", answered=False)
    assert isinstance(found, Unanswered)
    assert found.fault


@pytest.mark.parametrize("status", [400, 403])
def test_an_account_that_is_flagged_is_no_refusal_to_judge_an_item(status: int) -> None:
    """It fails for every item alike: at 403 it is the key's, and nothing is ever remembered."""
    body = '{"error": {"message": "Your account was flagged for a breach of our usage policy"}}'
    found = meaning(failure(status, body), JUDGE, "u", "m", answered=False)
    assert isinstance(found, UserError) if status == 403 else found.fault  # type: ignore[union-attr]
    later = meaning(failure(status, body), JUDGE, "u", "m", answered=True)
    assert isinstance(later, Unanswered)
    assert later.fault


@pytest.mark.parametrize(
    ("message", "lacking"),
    [
        ("The model `m` does not exist or you do not have access to it.", True),
        ("The model: `m` does not exist", True),
        ("Model Not Exist", True),
        ("model 'm' not found, try pulling it first", True),
        ("The model m is no longer available", True),
        ("Invalid model name passed in model=m", True),
        ("Unknown model m", True),
        ("The model output was invalid for this input", False),
        ("The model could not read this input: an invalid character", False),
        ("The model met a tool that is unknown", False),
    ],
)
def test_only_a_model_that_is_named_as_missing_is_missing(message: str, lacking: bool) -> None:
    found = meaning(failure(400, json.dumps({"detail": message})), JUDGE, "u", "m", answered=True)
    assert isinstance(found, UserError) == lacking
    assert lacking or (isinstance(found, Unanswered) and found.fault)


@pytest.mark.parametrize(
    ("status", "body", "judge", "subject"),
    [
        (
            401,
            "",
            "The judge's server u does not accept the key (401): set BFPO_JUDGE_API_KEY (or "
            "OPENAI_API_KEY) to one that may use m.",
            "The server u does not accept the key (401): set BFPO_SERVER_API_KEY (or "
            "OPENAI_API_KEY) to one that may use m.",
        ),
        (
            404,
            "",
            "The judge's server u has no model m to chat with (404): name one that it serves, and "
            "its URL up to /v1.",
            "The server u has no model m to ask (404): name one that it serves, and its URL up to "
            "/v1.",
        ),
        (402, "", "The judge's server u wants to be paid", "The server u wants to be paid"),
        (
            400,
            "flagged",
            "the judge refused (400, 'flagged')",
            "the server refused (400, 'flagged')",
        ),
        (413, "", "the judge's server did not take", "the server did not take the prompt (413)"),
        (
            400,
            '{"code": "unsupported_value"}',
            "The judge's model m does not take the request (400, \"{'code': 'unsupported_value'}\"): "
            "copy the judge's folder, change its judge.yaml",
            "The model m does not take the request",
        ),
    ],
)
def test_a_sentence_says_whose_server_it_is(
    status: int, body: str, judge: str, subject: str
) -> None:
    for party, sentence in ((JUDGE, judge), (SUBJECT, subject)):
        assert str(meaning(failure(status, body), party, "u", "m", answered=True)).startswith(
            sentence
        )


@pytest.mark.parametrize(
    ("status", "pushed_back"), [(429, True), (503, True), (500, False), (408, False)]
)
def test_a_server_that_has_too_much_to_do_says_so(status: int, pushed_back: bool) -> None:
    found = meaning(failure(status, ""), SUBJECT, "u", "m", answered=True)
    assert isinstance(found, Transient)
    assert found.pushed_back == pushed_back


def test_what_a_server_cannot_do_it_will_not_do_later() -> None:
    """llama.cpp says 501 of what it was not started for."""
    assert [
        s for s in (400, 404, 408, 409, 425, 429, 500, 501, 502, 503, 504, 529) if may_pass(s)
    ] == [*(408, 409, 425, 429, 500, 502, 503, 504, 529)]
    found = meaning(failure(501, ""), SUBJECT, "u", "m", answered=True)
    assert isinstance(found, Unanswered)
    assert found.fault
