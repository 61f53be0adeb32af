"""Servers that fail: what is asked again, what is given up, and what stops a run, with what is kept."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from judge_server import BROKEN_JSON, CUT, HANGS, NO_CHOICES, Asked, Sent, fails, sends
from openai_server import SGLANG, VLLM, OpenAIServer, Real
from server_asking import (
    TOO_MANY,
    FailsFirst,
    connected,
    follow,
    generated,
    number_of,
    prompts,
    right,
    scored,
)

from bfpo_bench.api.key import Key
from bfpo_bench.engines.base import (
    Failure,
    Generation,
    GenerationRequest,
    Likelihood,
    ScoringRequest,
)
from bfpo_bench.engines.server.crowd import ServersLost
from bfpo_bench.errors import UserError

KEY = "sk-subject-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_SERVER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def asks_for_four(asked: Asked) -> bool:
    """As `prompts` do, and one probe that names what it stops at."""
    return asked.body.get("max_tokens") == 4 and "ignore_eos" not in asked.body


class TestAskedAgain:
    @pytest.mark.parametrize(
        "sent",
        [
            TOO_MANY,
            fails(503, "loading"),
            fails(500, "boom"),
            BROKEN_JSON,
            CUT,
            NO_CHOICES,
            Sent(body=b""),
            sends({"error": {"message": "overloaded"}}),
            sends({"choices": [{"index": 0, "text": "half", "finish_reason": "abort"}]}),
            sends({"choices": [{"index": 0, "text": "half", "finish_reason": None}]}),
            sends({"choices": [{"index": 0, "text": 7, "finish_reason": "stop"}]}),
        ],
        ids=["429", "503", "500", "no json", "cut", "no choice", "empty", "error", "abort", "no end",
             "no text"],
    )  # fmt: skip
    def test_what_fails_now_and_then(self, sent: Sent) -> None:
        """Each request twice; every answer is the right one, and none comes twice."""
        with OpenAIServer(respond=FailsFirst(2, sent)) as server:
            engine = connected(server.url)
            assert generated(engine, prompts(30)) == right(30)
            assert engine.describe()["retries"] == 60

    def test_a_server_that_is_silent_for_longer_than_the_limit(self) -> None:
        with OpenAIServer(respond=FailsFirst(1, HANGS)) as server:
            engine = connected(server.url, timeout=0.5)
            assert generated(engine, prompts(3)) == right(3)

    def test_a_server_that_pushes_back_gets_fewer_at_once(self) -> None:
        """It takes four; more are refused with 429."""
        under_way, lock = set[int](), threading.Lock()

        def respond(asked: Asked, real: Real) -> Sent:
            # `most_at_once` of the server counts them as they come
            with lock:
                under_way.add(server._at_once)
                if number_of(asked) >= 0 and server._at_once > 4:
                    return TOO_MANY
            return replace(real(asked), delay=0.01)

        with OpenAIServer(respond=respond) as server:
            engine = connected(server.url)
            found = generated(engine, prompts(200))
            assert all(isinstance(one, Generation) for one in found)
            assert engine.describe()["concurrency"][server.url] <= 8
            assert max(under_way) > 4

    def test_no_more_at_once_than_the_argument_says(self) -> None:
        with OpenAIServer(respond=lambda a, real: replace(real(a), delay=0.005)) as server:
            engine = connected(server.url, concurrency=3)
            server.most_at_once = 0
            generated(engine, prompts(100))
            assert server.most_at_once == 3


class TestOneRequest:
    def test_that_the_server_does_not_take_is_a_failure(self) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            return fails(400, "bad token") if number_of(asked) == 5 else real(asked)

        with OpenAIServer(respond=respond) as server:
            found = generated(connected(server.url), prompts(10))
        assert found[5] == Failure("the server did not take the prompt (400, 'bad token')", True)
        assert found[:5] + found[6:] == right(10)[:5] + right(10)[6:]

    def test_that_always_breaks_the_server_is_a_failure_where_others_are_answered(self) -> None:
        """Also when it is the last, with nobody left beside it: one that was answered is asked anew."""

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(500, "boom") if number_of(asked) == 9 else real(asked)

        with OpenAIServer(respond=respond) as server:
            found = generated(connected(server.url), prompts(10))
        assert found[9] == Failure("the server gave no answer: it replied with 500, 'boom'", True)
        assert sum(isinstance(one, Generation) for one in found) == 9


class TestTheFirstRequest:
    """The server was seen to answer when it was looked at: that is asked anew before it is given up."""

    def test_prompts_that_are_refused_before_any_is_answered(self) -> None:
        """By moderation: nobody's fault, and no reason to stop."""

        def respond(asked: Asked, real: Real) -> Sent:
            moderated = 0 <= number_of(asked) < 4
            return (
                fails(400, "flagged by our policy", "content_filter") if moderated else real(asked)
            )

        with OpenAIServer(respond=respond) as server:
            engine, before = connected(server.url), len(server.generated)
            found = generated(engine, prompts(10))
            assert len(server.generated) == before + 10 + 1
        assert (
            found[:4]
            == [Failure("the server refused (400, 'flagged by our policy')", fault=False)] * 4
        )
        assert found[4:] == right(10)[4:]

    @pytest.mark.parametrize("status", [400, 403, 500])
    def test_a_prompt_that_always_fails_stops_nothing(self, status: int) -> None:
        """A 403 is not the key's: that was taken when the server was looked at."""

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(status, "boom") if number_of(asked) == 0 else real(asked)

        with OpenAIServer(respond=respond) as server:
            found = generated(connected(server.url), prompts(10))
        assert isinstance(found[0], Failure)
        assert found[0].fault
        assert found[1:] == right(10)[1:]

    @pytest.mark.parametrize("status", [400, 500])
    def test_nothing_is_left_but_prompts_that_fail(self, status: int) -> None:
        """As when the command is given again: they are failures again, each of them. What was proved
        for one holds for those that failed before it."""

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(status, "boom") if number_of(asked) >= 0 else real(asked)

        with OpenAIServer(respond=respond) as server:
            engine, before = connected(server.url), len(server.generated)
            found = generated(engine, prompts(20))
            looks = sum(number_of(a) < 0 for a in server.generated[before:])
        assert all(isinstance(one, Failure) and one.fault for one in found)
        assert len(found) == 20
        assert 2 <= looks < 20

    def test_log_likelihoods_that_fail(self) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            return fails(500, "boom") if asked.body.get("prompt", [0])[0] == 1 else real(asked)

        requests = [ScoringRequest((1, 2, 3, 6, 12), 3), ScoringRequest((2, 3, 5), 1)]
        for software in (VLLM, SGLANG):
            with OpenAIServer(software, respond=respond) as server:
                found = scored(connected(server.url), requests)
            assert [type(one) for one in found] == [Failure, Likelihood]

    def test_messages_that_fail(self) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            bad = asked.body.get("messages", [{}])[-1].get("content") == "bad"
            return fails(500, "boom") if bad else real(asked)

        asks = [
            GenerationRequest((), 5, messages=({"role": "user", "content": text},))
            for text in ("bad", "good")
        ]
        with OpenAIServer(respond=respond) as server:
            found = generated(connected(server.url), asks)
        assert [type(one) for one in found] == [Failure, Generation]


class TestStopped:
    """What no further request would mend is one sentence; what came before is handed out first."""

    def test_a_wrong_key(self) -> None:
        with OpenAIServer(key=KEY) as server, pytest.raises(UserError) as error:
            connected(server.url, key=Key("sk-another-key"))
        assert "BFPO_SERVER_API_KEY (or OPENAI_API_KEY)" in str(error.value)
        assert "sk-" not in str(error.value)

    def test_a_key_that_expires_on_the_way(self) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            return fails(401, f"expired: {KEY}") if number_of(asked) >= 20 else real(asked)

        came: dict[int, Generation | Failure] = {}
        with OpenAIServer(key=KEY, respond=respond) as server:
            engine = connected(server.url, key=Key(KEY))
            with pytest.raises(UserError, match=r"does not accept the key \(401\)") as error:
                follow(engine.generate(prompts(40)), came)
        assert len(came) >= 12
        assert KEY not in str(error.value)

    def test_a_model_that_goes_away(self) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            return fails(404, "no such model") if number_of(asked) >= 0 else real(asked)

        with OpenAIServer(respond=respond) as server:
            engine = connected(server.url)
            with pytest.raises(UserError, match="has no model tiny to ask"):
                generated(engine, prompts(5))

    def test_a_server_that_takes_no_request_at_all(self) -> None:
        """So many new tokens, say, whatever the prompt: not all of ten thousand are written down as
        failed."""

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(400, "no") if asks_for_four(asked) else real(asked)

        with OpenAIServer(respond=respond) as server:
            engine, before = connected(server.url), len(server.generated)
            with pytest.raises(UserError, match="cannot be used"):
                generated(engine, prompts(50))
            assert len(server.generated) == before + 2

    def test_a_server_that_is_gone_before_the_first_answer(self) -> None:
        with OpenAIServer() as server:
            engine = connected(server.url)
        with pytest.raises(UserError, match="no connection to it"):
            generated(engine, prompts(5))

    def test_a_server_that_hangs_at_the_first_request(self) -> None:
        with OpenAIServer(respond=lambda a, real: HANGS if asks_for_four(a) else real(a)) as server:
            engine = connected(server.url, timeout=0.3)
            with pytest.raises(UserError, match="silent"):
                generated(engine, prompts(5))


class TestLost:
    def test_the_only_server_dies_and_what_came_is_kept(self) -> None:
        """Not the user's error: the same command goes on later."""
        with OpenAIServer(respond=lambda a, real: replace(real(a), delay=0.01)) as server:
            engine = connected(server.url)
            came: dict[int, Generation | Failure] = {}

            def dies(count: int) -> None:
                if count == 20:
                    server.__exit__(None, None, None)

            with pytest.raises(ServersLost) as error:
                follow(engine.generate(prompts(500)), came, dies)
            server.__enter__()
        assert not isinstance(error.value, UserError)
        assert str(error.value).startswith("the server does not answer any more (http://127.0.0.1:")
        assert 20 <= len(came) < 500
        whole = right(500)
        assert all(came[i] == whole[i] for i in came)

    def test_the_last_request_is_no_failure_where_the_server_fails_at_those_it_answered(
        self,
    ) -> None:
        """It fails five times, with nobody beside it: what was answered before is asked anew, in vain."""
        broken = threading.Event()

        def respond(asked: Asked, real: Real) -> Sent:
            if number_of(asked) == 2:
                broken.set()
            gone = number_of(asked) >= 0 and broken.is_set()
            return fails(500, "dead inside") if gone else real(asked)

        with OpenAIServer(respond=respond) as server:
            engine = connected(server.url, concurrency=1)
            came: dict[int, Generation | Failure] = {}
            with pytest.raises(ServersLost, match="dead inside"):
                follow(engine.generate(prompts(3)), came)
        assert sorted(came) == [0, 1]

    @pytest.mark.parametrize("status", [500, 403, 400])
    def test_a_server_that_begins_to_fail_at_everything_makes_nobody_a_failure(
        self, status: int
    ) -> None:
        """Whatever it says: what it answered before it does not answer now."""
        answers = 0

        def respond(asked: Asked, real: Real) -> Sent:
            nonlocal answers
            if number_of(asked) >= 0:
                answers += 1
            return fails(status, "dead inside") if answers > 30 else real(asked)

        came: dict[int, Generation | Failure] = {}
        with OpenAIServer(respond=respond) as server:
            engine = connected(server.url)
            with pytest.raises(ServersLost, match=f"{status}"):
                follow(engine.generate(prompts(200)), came)
        assert len(came) <= 30
        assert all(isinstance(one, Generation) for one in came.values())


def test_the_body_of_a_reply_may_repeat_the_key() -> None:
    def respond(asked: Asked, real: Real) -> Sent:
        if asked.body.get("messages", [{}])[-1].get("content") != "hello":
            return real(asked)
        choice = {"message": {"content": f"key: {KEY}"}, "finish_reason": "stop"}
        return sends({"choices": [choice]})

    with OpenAIServer(key=KEY, respond=respond) as server:
        request = GenerationRequest((), 5, messages=({"role": "user", "content": "hello"},))
        (found,) = generated(connected(server.url, key=Key(KEY)), [request])
    assert isinstance(found, Generation)
    assert found.told is not None
    assert found.told.text == "key: [key]"
