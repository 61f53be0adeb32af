"""The key goes into one header, and nowhere else: not even when the server repeats it."""

from __future__ import annotations

import json
import logging
import pickle
import traceback

import pytest
from api_judging import judged, rated_items, work
from judge_server import Asked, JudgeServer, Sent, fails, says, sends

from bfpo_bench.api.key import Key
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.client import Client
from bfpo_bench.judges.api.cost import Ledger
from bfpo_bench.judges.api.wire import Decoding

KEY = "sk-proj-0123456789abcdef/+=ÄÖÜ".encode("ascii", "ignore").decode()
PROMPT = "the response itself"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFPO_JUDGE_API_KEY", f"{KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "another-key-altogether")


def echo(asked: Asked) -> str:
    return f"you sent {asked.headers['authorization']} {json.dumps(dict(asked.headers))}"


ECHOES = {
    "a grade": lambda a: says(f"{echo(a)}\nrating: 5"),
    "other words": lambda a: says(echo(a)),
    "a refusal": lambda a: says(None, refusal=echo(a)),
    "400": lambda a: fails(400, echo(a)),
    "401": lambda a: fails(401, echo(a)),
    "403": lambda a: fails(403, echo(a)),
    "403 flagged": lambda a: fails(403, f"flagged: {echo(a)}"),
    "404": lambda a: fails(404, echo(a)),
    "429": lambda a: fails(429, echo(a)),
    "429 quota": lambda a: fails(429, echo(a), "insufficient_quota"),
    "500": lambda a: fails(500, echo(a)),
    "500 as text": lambda a: Sent(500, ("x" * 270 + echo(a)).encode()),
    "500 unwrapped": lambda a: sends({"detail": [echo(a)]}, 500),
    "an error with 200": lambda a: sends({"error": {"message": "y" * 250 + echo(a)}}),
    "too long": lambda a: fails(400, f"too long: {echo(a)}"),
    "a refused prompt": lambda a: fails(400, echo(a), "content_filter"),
    "headers": lambda a: Sent(500, b"", {"X-Echo": a.headers["authorization"]}),
    "no HTTP": lambda a: Sent(200, b"{}", {f"bad header {a.headers['authorization']}": "x"}),
}


@pytest.mark.parametrize("name", ECHOES)
def test_the_key_is_in_no_log_finding_or_error(
    name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """One item is graded, then the server repeats what it was sent in every way there is."""
    caplog.set_level(logging.INFO)
    told: list[str] = []
    with JudgeServer(lambda a: ECHOES[name](a) if a.number else says("rating: 1")) as server:
        job = work("rating=m", server.url, concurrency=2)
        try:
            found, description = judged(job, rated_items(4))
            told += [repr(found), json.dumps(description)]
        except UserError as error:
            told += [repr(error), "".join(traceback.format_exception(error))]
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    told += [caplog.text, repr(job), pickle.dumps(job).decode("latin-1"), *capfd.readouterr()]
    for text in told:
        assert KEY not in text
        assert KEY[:12] not in text
        assert "another-key" not in text


def test_no_repr_shows_it() -> None:
    from bfpo_bench.judges.api.server import Server

    key = Key(KEY)
    assert KEY not in repr(key)
    client = Client(
        Server("http://127.0.0.1:1/v1", None, None), Decoding("m", 1), key, Ledger(None, None)
    )
    assert KEY not in repr(client) + str(vars(client)) + repr(vars(client)["_http"].headers)
