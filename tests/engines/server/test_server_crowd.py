"""Many requests, several servers: who gets how many, and what one that dies or fails costs the others."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from judge_server import Asked, Sent, fails
from openai_server import OpenAIServer, Real
from server_asking import QUICK, connected, follow, generated, number_of, prompts, right

from bfpo_bench.api.key import Key
from bfpo_bench.engines.base import Failure, Generation
from bfpo_bench.engines.server.crowd import Ask, Crowd
from bfpo_bench.engines.server.upstream import Upstream
from bfpo_bench.engines.server.wire import Got


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_SERVER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


class TestSeveral:
    def test_they_share_the_work(self) -> None:
        with OpenAIServer() as one, OpenAIServer() as other:
            engine = connected(one.url, other.url)
            assert generated(engine, prompts(300)) == right(300)
            assert min(len(one.generated), len(other.generated)) > 30
            assert list(engine.describe()["concurrency"]) == [one.url, other.url]

    def test_one_dies_and_the_other_takes_its_requests(self) -> None:
        slow = lambda a, real: replace(real(a), delay=0.005)  # noqa: E731
        with OpenAIServer(respond=slow) as one, OpenAIServer(respond=slow) as other:
            engine, dead = connected(one.url, other.url), other.url
            found: dict[int, Generation | Failure] = {}

            def dies(count: int) -> None:
                if count == 50:
                    other.__exit__(None, None, None)

            follow(engine.generate(prompts(300)), found, dies)
            other.__enter__()
        assert [found[i] for i in range(300)] == right(300)
        [(gone, reason)] = engine.describe()["gone"].items()
        assert (gone, reason[:20]) == (dead, "no connection to it ")

    def test_one_that_fails_at_everything_does_not_draw_all_requests_to_itself(self) -> None:
        """It fails at once, so it always has room: after eight in a row it gets one now and then, which
        is the first one that was answered, number 0."""
        respond = lambda a, real: fails(500, "x") if number_of(a) >= 0 else real(a)  # noqa: E731
        slow = lambda a, real: replace(real(a), delay=0.01)  # noqa: E731
        with OpenAIServer(respond=respond) as broken, OpenAIServer(respond=slow) as good:
            engine = connected(good.url, broken.url)
            found = generated(engine, prompts(300))
            tries = Counter(number_of(a) for a in broken.generated if number_of(a) > 0)
        assert found == right(300)
        assert set(tries.values()) == {1}, "a request went back to where it failed"
        assert len(broken.generated) < 200
        assert engine.describe()["gone"] == {broken.url: "it replied with 500, 'x'"}

    def test_what_one_forbids_the_other_is_asked(self) -> None:
        """A key that is worth nothing at one of them any more, say: nobody's answer is lost."""
        respond = lambda a, real: fails(403) if number_of(a) >= 0 else real(a)  # noqa: E731
        with OpenAIServer() as good, OpenAIServer(respond=respond) as barred:
            engine = connected(good.url, barred.url)
            assert generated(engine, prompts(1)) == right(1)
            assert generated(engine, prompts(60)) == right(60)
            assert any(number_of(a) >= 0 for a in barred.generated)
            assert engine.describe()["gone"] == {barred.url: "the server forbade the request (403)"}

    def test_prompts_that_break_a_server_do_not_make_it_lost(self) -> None:
        """They fail eight at once, again and again: between them it is asked what it has answered."""
        respond = lambda a, real: fails(500, "x") if number_of(a) > 0 else real(a)  # noqa: E731
        with OpenAIServer(respond=respond) as server:
            engine = connected(server.url, patience=replace(QUICK, attempts=3))
            found = generated(engine, prompts(60))
        assert found[:1] == right(1)
        assert [type(one) for one in found[1:]] == [Failure] * 59

    def test_a_server_that_comes_back_is_asked_again(self) -> None:
        away = threading.Event()

        def respond(asked: Asked, real: Real) -> Sent:
            gone = number_of(asked) >= 0 and away.is_set()
            return fails(500, "restarting") if gone else replace(real(asked), delay=0.005)

        slow = lambda a, real: replace(real(a), delay=0.005)  # noqa: E731
        with OpenAIServer(respond=respond) as one, OpenAIServer(respond=slow) as other:
            # Eight at once, lest the other takes all that is left
            engine = connected(one.url, other.url, concurrency=8)
            before = 0
            for count, _ in enumerate(engine.generate(prompts(600)), 1):
                if count == 50:
                    away.set()
                if count == 200:
                    away.clear()
                    before = len(one.generated)
            assert len(one.generated) > before + 15
            assert "gone" not in engine.describe()


def test_whoever_stops_early_leaves_no_connection_behind() -> None:
    with OpenAIServer(respond=lambda a, real: replace(real(a), delay=0.02)) as server:
        engine = connected(server.url)
        results = engine.generate(prompts(100))
        next(results)
        results.close()  # type: ignore[attr-defined]
        for _ in range(200):
            if server.open_connections == 0:
                break
            threading.Event().wait(0.01)
        assert server.open_connections == 0


def test_requests_are_made_as_there_is_room_for_them() -> None:
    """A million of them are no million bodies in memory."""

    made = 0

    def ask(number: int) -> Ask[int, int]:
        nonlocal made
        made += 1
        body = {"model": "tiny", "prompt": [number], "max_tokens": 1}
        return Ask(number, "/completions", body, lambda content: Got(len(content), 1))

    with OpenAIServer() as server:
        crowd = Crowd([Upstream(server.url, "tiny", Key(), 16, QUICK)], QUICK)
        for done, _ in enumerate(crowd.stream(map(ask, range(500)), ask), 1):
            assert made <= done + 2 * 16
    assert made == 500
