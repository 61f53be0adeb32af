"""When a judge's server is asked no more, and what is left behind then: nothing."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_judging import IMPATIENT, QUICK, grading, judged, rated_items, work
from judge_server import (
    HANGS,
    Asked,
    JudgeServer,
    Sent,
    fails,
)

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.running.api import findings


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_JUDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (fails(401, "Incorrect API key"), "does not accept the key (401): set BFPO_JUDGE_API_KEY"),
        (fails(404, "The model m does not exist", "model_not_found"), "has no model m to chat"),
        (fails(400, "The model `m` does not exist"), "has no model m to chat"),
        (fails(400, "Unknown model m"), "has no model m to chat"),
        (Sent(404, b"<html>not here</html>"), "its URL up to /v1"),
        (Sent(301, b"", {"Location": "http://127.0.0.1:1/"}), "its URL up to /v1"),
        (fails(429, "You exceeded your quota", "insufficient_quota"), "add credit"),
        (fails(400, "no max_tokens here", "unsupported_parameter"), "change its judge.yaml"),
    ],
)
def test_what_no_further_request_would_mend_stops_at_once(failure: Sent, sentence: str) -> None:
    """One request, one sentence; also when it comes up in the middle, where nothing made is lost."""
    with JudgeServer(lambda asked: failure) as server:
        with pytest.raises(UserError) as error:
            judged(work("rating=m", server.url), rated_items(100))
        assert sentence in str(error.value)
        assert server.url in str(error.value) or "judge.yaml" in sentence
        assert str(error.value).count(". ") == 0
        assert len(server.asked) == 1

    def later(asked: Asked) -> Sent:
        return failure if asked.number >= 20 else grading(asked)

    made: list[Finding] = []
    with JudgeServer(later) as server:
        stream = findings(
            work("rating=m", server.url, concurrency=4), rated_items(100), {}, lambda _: None
        )
        with pytest.raises(UserError, match=re.escape(sentence)):
            made.extend(finding for _, finding in stream)
        assert len(server.asked) <= 24
    assert len(made) == 20
    assert all(f.label == "rated" for f in made)


def test_a_server_that_is_not_there_is_said_after_one_item() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        description: dict[str, dict[str, int]] = {}
        with pytest.raises(UserError, match=f"server {url} cannot be used .*no connection"):
            list(findings(work("rating=m", url), rated_items(10_000), description, lambda _: None))
    assert description["usage"]["requests"] == QUICK.unreachable_attempts


def test_a_403_is_the_keys_only_before_there_was_a_reply() -> None:
    with JudgeServer(lambda asked: fails(403, "Forbidden")) as server:
        with pytest.raises(UserError, match=r"does not accept the key \(403\)"):
            judged(work("rating=m", server.url), rated_items(100))
        assert len(server.asked) == 1


def test_a_first_prompt_that_is_flagged_stops_nothing() -> None:
    def respond(asked: Asked) -> Sent:
        return grading(asked) if asked.number else fails(403, "Your input was flagged")

    with JudgeServer(respond) as server:
        found, _ = judged(work("rating=m", server.url), rated_items(3))
    assert [(f.score, f.fault) for f in found] == [(None, False), (2, False), (3, False)]


def test_a_server_that_hangs_is_said_after_two_attempts_at_one_item() -> None:
    with JudgeServer(lambda asked: HANGS) as server:
        with pytest.raises(UserError, match=r"cannot be used .*silent for 0\.5 seconds"):
            judged(work("rating=m", server.url, patience=IMPATIENT), rated_items(100))
        assert len(server.asked) == IMPATIENT.silent_attempts == 2


def test_a_server_that_only_fails_is_said_after_three_items() -> None:
    with JudgeServer(lambda asked: fails(500, "broken")) as server:
        with pytest.raises(UserError, match=r"cannot be used .*500, 'broken'"):
            judged(work("rating=m", server.url), rated_items(10_000))
        assert len(server.asked) == 3 * QUICK.attempts


def test_a_server_that_dies_leaves_the_rest_to_a_later_command() -> None:
    """After 2 x 4 failures in a row the other items are not asked about; all of them are faults."""
    with JudgeServer(lambda a: grading(a) if a.number < 100 else fails(500)) as server:
        found, _ = judged(work("rating=m", server.url, concurrency=4), rated_items(10_000))
        assert len(server.asked) <= 100 + (8 + 4) * QUICK.attempts
    assert [f.score for f in found[:100]] == [i % 10 + 1 for i in range(100)]
    assert all(f.label == "unjudged" and f.fault for f in found[100:])
    assert "failed 8 times in a row" in (found[-1].error or "")


def test_failures_that_are_not_in_a_row_stop_nothing() -> None:
    """18 of 60 items fail for good, and 2 x 2 in a row would stop it."""

    def respond(asked: Asked) -> Sent:
        return fails(500) if re.search(r"question \d*[258]\n", asked.text) else grading(asked)

    with JudgeServer(respond) as server:
        found, _ = judged(work("rating=m", server.url, concurrency=2), rated_items(60))
    assert [f.fault for f in found] == [i % 10 in (2, 5, 8) for i in range(60)]


def test_a_server_that_refuses_a_prompt_is_there() -> None:
    """The first prompt is too long for it, the next three fail: that alone is no reason to stop."""

    def respond(asked: Asked) -> Sent:
        if "question 0" in asked.text:
            return fails(400, "the prompt is too long")
        return fails(500) if re.search(r"question [123]\n", asked.text) else grading(asked)

    with JudgeServer(respond) as server:
        found, _ = judged(work("rating=m", server.url), rated_items(10))
    assert [f.label for f in found] == ["unjudged"] * 4 + ["rated"] * 6
    assert [f.fault for f in found[:4]] == [False, True, True, True]


def left_behind() -> list[str]:
    return [t.name for t in threading.enumerate() if t is not threading.main_thread()]


def slow(asked: Asked) -> Sent:
    return Sent(200, grading(asked).body, delay=0.0 if asked.number < 5 else 30.0)


def settle(server: JudgeServer) -> None:
    """Wait for the server to see that its clients are gone."""
    deadline = time.monotonic() + 10
    while server.open_connections and time.monotonic() < deadline:
        time.sleep(0.01)


def test_whoever_stops_early_leaves_nothing_behind() -> None:
    """Three findings are taken, then no more: connections close, and no loop or thread stays."""
    with JudgeServer(slow) as server:
        before = left_behind()
        description: dict[str, dict[str, int]] = {}
        stream = findings(
            work("rating=m", server.url), rated_items(100), description, lambda _: None
        )
        for _ in range(3):
            next(stream)
        stream.close()  # type: ignore[attr-defined]
        settle(server)
        assert server.open_connections == 0
        assert left_behind() == before
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    assert description["usage"]["prompt_tokens"] >= 300


def test_a_parser_that_breaks_leaves_nothing_behind(tmp_path: Path) -> None:
    """The traceback, which is still in somebody's hands, does not keep the connections open."""
    folder = tmp_path / "mine"
    shutil.copytree(load_judge("rating=m").folder, folder)
    (folder / "parser.py").write_text("def parse(reply): raise RuntimeError('a bug')")
    with JudgeServer(lambda a: Sent(200, grading(a).body, delay=a.number * 30.0)) as server:
        with pytest.raises(RuntimeError, match="a bug") as error:
            judged(work(f"{folder}=m", server.url), rated_items(100))
        settle(server)
        assert server.open_connections == 0
        assert error.value.__traceback__ is not None


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Where tests run beside each other, or in the background, their processes ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_while_waiting_ends_at_once() -> None:
    with JudgeServer(slow) as server:
        before = left_behind()
        stream = findings(work("rating=m", server.url), rated_items(100), {}, lambda _: None)

        def press() -> None:
            time.sleep(0.5)
            # To the main thread, as from a terminal: any other would not wake the event loop
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        finger = threading.Thread(target=press)
        finger.start()
        with pytest.raises(KeyboardInterrupt):
            list(stream)
        finger.join()
        settle(server)
        assert server.open_connections == 0
        assert left_behind() == before
