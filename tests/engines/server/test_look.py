"""A server is asked what it can do: nothing is believed that its replies do not show, and no server
can keep who asks."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from judge_server import HANGS, Asked, Sent, fails, sends
from openai_server import (
    HOSTED,
    LLAMA_CPP,
    SGLANG,
    VLLM,
    OpenAIServer,
    Real,
    Software,
)

from bfpo_bench.api.key import Key
from bfpo_bench.engines.server import endpoint, look, probes
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.look import look_at, look_at_all
from bfpo_bench.errors import UserError

KEY = Key("sk-of-somebody-0123456789")
ABILITIES = (
    "completions",
    "token_prompts",
    "token_ids",
    "stop_token_ids",
    "chat",
    "echo_logprobs",
    "prompt_logprobs",
    "logprob_token_ids",
)


def able(caps: Capabilities) -> set[str]:
    return {ability for ability in ABILITIES if getattr(caps, ability)}


def refused(url: str, served: str = "", key: Key = Key(), **more: Any) -> str:
    """The one sentence."""
    with pytest.raises(UserError) as error:
        look_at(url, served, key, **more)
    said = str(error.value)
    assert KEY.value is not None
    assert KEY.value not in said
    assert "\n" not in said
    return said


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody answers is waited for a second."""
    monkeypatch.setattr(look, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(endpoint, "READY_SECONDS", 0.2)


class TestWhatItCan:
    @pytest.mark.parametrize(
        ("software", "lacks"),
        [
            (VLLM, set()),
            (SGLANG, {"prompt_logprobs", "logprob_token_ids"}),
            (
                LLAMA_CPP,
                {"token_ids", "stop_token_ids", "echo_logprobs", "prompt_logprobs"}
                | {"logprob_token_ids"},
            ),
            (HOSTED, {*ABILITIES} - {"chat"}),
        ],
        ids=["vllm", "sglang", "llama.cpp", "hosted"],
    )
    def test_by_software(self, software: Software, lacks: set[str]) -> None:
        with OpenAIServer(software) as server:
            found = look_at(server.url, "tiny", Key())
        assert able(found) == {*ABILITIES} - lacks
        assert found.unsaid == ()

    def test_who_it_is(self) -> None:
        with OpenAIServer() as server:
            found = look_at(server.url + "/", "", Key())
        assert (found.url, found.name, found.models) == (server.url, "tiny", ("tiny",))
        assert (found.software, found.context) == ("vllm 0.32.0", 512)
        assert found.round_trip is not None

    def test_a_few_tokens_are_asked_for(self) -> None:
        with OpenAIServer() as server:
            look_at(server.url, "tiny", Key())
        assert sum(asked.body["max_tokens"] for asked in server.generated) < 60

    def test_with_the_models_own_tokens(self) -> None:
        class Tokenizer:
            def encode(self, text: str, **_: Any) -> list[int]:
                return [3, 5, 8]

        with OpenAIServer() as server:
            assert look_at(server.url, "tiny", Key(), Tokenizer()).token_prompts
        assert [3, 5, 8] in [asked.body.get("prompt") for asked in server.generated]

    def test_what_is_refused_is_not_there(self) -> None:
        with OpenAIServer(refusing={"return_token_ids", "ignore_eos"}) as server:
            found = look_at(server.url, "tiny", Key())
        assert able(found) == {*ABILITIES} - {"token_ids"}

    def test_token_ids_to_stop_at_are_read_where_nonsense_is_refused(self) -> None:
        """Of text alone nobody sees which token ended it."""
        text = Software("sglang", "0.4", extensions=frozenset(["stop_token_ids"]))
        with OpenAIServer(text) as server:
            found = look_at(server.url, "tiny", Key())
        assert (found.token_ids, found.stop_token_ids) == (False, True)

    def test_switches_are_read_by_way_of_the_chat_where_there_is_no_other(
        self, quick: None
    ) -> None:
        """A gateway does not let completions through for the moment: a run by messages is told of the
        switches all the same."""

        def barred(asked: Asked, real: Real) -> Sent:
            return fails(502) if asked.path == "/v1/completions" else real(asked)

        with OpenAIServer(respond=barred) as server:
            assert look_at(server.url, "tiny", Key()).sampling_switches

    def test_ids_that_are_read_as_text(self) -> None:
        """A server that makes a string of the list: it has another number of tokens."""

        def stringly(asked: Asked, real: Real) -> Sent:
            prompt = asked.body.get("prompt")
            body = {**asked.body, "prompt": str(prompt)} if isinstance(prompt, list) else asked.body
            return real(replace(asked, body=body))

        with OpenAIServer(replace(VLLM, extensions=frozenset()), respond=stringly) as server:
            found = look_at(server.url, "tiny", Key())
        assert found.completions
        assert not found.token_prompts
        assert not found.likelihoods

    def test_seeds(self) -> None:
        """Greedy as it is, the stand-in says the same to the same seed; one that draws anew does not."""
        drawn = count()

        def anew(asked: Asked, real: Real) -> Sent:
            if asked.body.get("temperature"):
                return sends({"choices": [{"text": f"draw {next(drawn)}"}]})
            return real(asked)

        with OpenAIServer() as server:
            assert look_at(server.url, "tiny", Key()).seeds
        with OpenAIServer(respond=anew) as server:
            assert not look_at(server.url, "tiny", Key()).seeds

    def test_switches_are_read_where_nonsense_is_refused(self) -> None:
        def strict(asked: Asked, real: Real) -> Sent:
            return fails(400, "min_p must be in [0, 1]") if asked.body.get("min_p") else real(asked)

        deaf = replace(VLLM, switches=False)
        with OpenAIServer(deaf, respond=strict) as server:
            assert look_at(server.url, "tiny", Key()).sampling_switches
        with OpenAIServer(deaf) as server:
            assert not look_at(server.url, "tiny", Key()).sampling_switches

    def test_newer_hosted_models(self) -> None:
        """OpenAI's reasoning models take another limit, and think longer than one token."""

        def thinks(asked: Asked, real: Real) -> Sent:
            if asked.path != "/v1/chat/completions":
                return real(asked)
            if "max_tokens" in asked.body:
                return fails(400, "'max_tokens' is not supported: use 'max_completion_tokens'")
            return fails(400, "max_tokens or model output limit was reached")

        with OpenAIServer(HOSTED, respond=thinks) as server:
            assert look_at(server.url, "tiny", Key()).chat

    def test_a_server_without_a_list_of_models(self) -> None:
        def unlisted(asked: Asked, real: Real) -> Sent:
            return fails(404) if asked.path == "/v1/models" else real(asked)

        with OpenAIServer(HOSTED, respond=unlisted) as server:
            assert look_at(server.url, "tiny", Key()).chat
            assert "lists no models: name one with --model=NAME" in refused(
                server.url, argument="--model"
            )

    def test_an_ability_that_is_not_told_in_time(self, quick: None) -> None:
        def compiles(asked: Asked, real: Real) -> Sent:
            return HANGS if "prompt_logprobs" in asked.body else real(asked)

        with OpenAIServer(respond=compiles) as server:
            found = look_at(server.url, "tiny", Key())
        assert found.unsaid == ("prompt_logprobs",)
        assert able(found) == {*ABILITIES} - {"prompt_logprobs"}

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_an_ability_that_a_busy_server_or_gateway_left_open(
        self, status: int, quick: None
    ) -> None:
        """The server behind it may well have it."""

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(status, "gateway") if "min_p" in asked.body else real(asked)

        with OpenAIServer(respond=respond) as server:
            found = look_at(server.url, "tiny", Key())
        assert (found.sampling_switches, found.unsaid) == (False, ("sampling_switches",))

    @pytest.mark.parametrize("sent", [fails(501), fails(500, "min_p is not known")])
    def test_what_is_refused_for_good_is_not_left_open(self, sent: Sent) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            return sent if "min_p" in asked.body else real(asked)

        with OpenAIServer(respond=respond) as server:
            found = look_at(server.url, "tiny", Key())
        assert (found.sampling_switches, found.unsaid) == (False, ())

    def test_several(self) -> None:
        with OpenAIServer() as one, OpenAIServer(SGLANG) as other:
            found = look_at_all([one.url, other.url], "tiny", Key())
        assert [caps.url for caps in found] == [one.url, other.url]
        assert [caps.prompt_logprobs for caps in found] == [True, False]


class TestNames:
    def test_no_such_model(self) -> None:
        with OpenAIServer(name="org/tiny-chat") as server:
            assert refused(server.url, "org/tiny") == (
                f"The server {server.url} has no model org/tiny (did you mean org/tiny-chat?), but "
                "org/tiny-chat: give --engine-arg served_model_name=org/tiny-chat."
            )

    def test_which_of_many(self) -> None:
        def many(asked: Asked, real: Real) -> Sent:
            listed = [{"id": f"model-{n}"} for n in range(30)]
            return sends({"data": listed}) if asked.path == "/v1/models" else real(asked)

        with OpenAIServer(respond=many) as server:
            said = refused(server.url, argument="--model")
        assert (
            "has several models (model-0, model-1, model-2, model-3, model-4 and 25 more)" in said
        )
        assert said.endswith("give --model=NAME.")

    def test_a_name_without_end_is_not_repeated_whole(self) -> None:
        with OpenAIServer(name="x" * 10_000) as server:
            assert len(refused(server.url, "tiny")) < 500


class TestNotThere:
    def test_nobody_listens(self) -> None:
        with OpenAIServer() as server:
            url = server.url
        said = refused(url)
        assert said.startswith(f"The server {url} cannot be reached (")
        assert "wait until it has loaded its model" in said

    @pytest.mark.parametrize(
        "url",
        ["127.0.0.1:8000", "ftp://host/v1", "http://", "http://u:secret@host/v1", "http://h:x/"],
    )
    def test_no_url(self, url: str) -> None:
        said = refused(url)
        assert "secret" not in said
        assert "http://127.0.0.1:8000/v1" in said or "give the plain URL" in said

    def test_half_ready(self, quick: None) -> None:
        """llama.cpp answers like this while it loads."""
        with OpenAIServer(respond=lambda asked, real: fails(503, "Loading model")) as server:
            assert "is not ready (503, 'Loading model'): wait until it has loaded" in refused(
                server.url
            )

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
    def test_what_stands_before_it_finds_nobody(self, path: str, quick: None) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            return fails(504, "no upstream") if asked.path == path else real(asked)

        with OpenAIServer(replace(VLLM, chat=False), respond=respond) as server:
            assert "is not ready (504, 'no upstream'): wait until" in refused(server.url)

    def test_ready_a_moment_later(self) -> None:
        def loads(asked: Asked, real: Real) -> Sent:
            return fails(503, "Loading model") if asked.number < 2 else real(asked)

        with OpenAIServer(respond=loads) as server:
            assert look_at(server.url, "tiny", Key()).token_prompts

    def test_it_never_answers(self, quick: None) -> None:
        with OpenAIServer(respond=lambda asked, real: HANGS) as server:
            assert "does not answer: nothing came within 1 seconds" in refused(server.url)

    def test_it_lists_models_and_never_says_a_word(self, quick: None) -> None:
        def mute(asked: Asked, real: Real) -> Sent:
            return HANGS if asked.path.endswith("completions") else real(asked)

        with OpenAIServer(respond=mute) as server:
            assert "one token did not come within 1 seconds" in refused(server.url)

    def test_a_byte_now_and_then(self, quick: None) -> None:
        with raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", drip=b"{") as url:
            assert "nothing came within 1 seconds" in refused(url)

    def test_a_reply_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(endpoint, "_MOST_BYTES", 1000)
        with OpenAIServer(respond=lambda asked, real: Sent(200, b'{"data": [' * 500)) as server:
            assert "speaks no OpenAI API (GET /models: 200, 'a reply without end')" in refused(
                server.url
            )

    def test_the_connection_breaks(self) -> None:
        with OpenAIServer(respond=lambda asked, real: Sent(200, b"{" * 99, cut=9)) as server:
            assert "the connection broke" in refused(server.url)

    def test_the_first_of_several_that_is_not_there_is_named(self) -> None:
        with OpenAIServer() as server:
            gone = "http://127.0.0.1:9/v1"
            with pytest.raises(UserError, match=gone):
                look_at_all([server.url, gone], "tiny", Key())


class TestAnotherApi:
    def test_a_web_page(self) -> None:
        page = Sent(200, b"<!doctype html><title>Hello</title>", {"content-type": "text/html"})
        with OpenAIServer(respond=lambda asked, real: page) as server:
            assert (
                "speaks no OpenAI API (GET /models: a web page): give the URL of one that does"
                in (refused(server.url))
            )

    @pytest.mark.parametrize("path", ["", "/v2", "/v1/chat/completions", "/api"])
    @pytest.mark.parametrize("served", ["", "tiny"])
    def test_it_stands_at_another_path(self, path: str, served: str) -> None:
        with OpenAIServer() as server:
            given = server.url.removesuffix("/v1") + path
            assert refused(given, served) == (
                f"The API of the server {given} stands at {server.url}: give that URL."
            )

    def test_it_stands_higher_up_and_not_at_the_bare_host(self) -> None:
        def gateway(asked: Asked, real: Real) -> Sent:
            path = asked.path.removeprefix("/gate")
            return fails(404) if path == asked.path else real(replace(asked, path=path))

        with OpenAIServer(respond=gateway) as server:
            there = server.url.replace("/v1", "/gate/v1")
            assert refused(f"{there}/chat/completions").endswith(
                f"stands at {there}: give that URL."
            )

    def test_a_path_without_a_list_where_models_chat_is_one(self) -> None:
        """Beside another API, at the bare host, which has a list."""

        def beside(asked: Asked, real: Real) -> Sent:
            path = asked.path.replace("/deep/", "/v1/")
            return fails(404) if asked.path == "/deep/models" else real(replace(asked, path=path))

        with OpenAIServer(HOSTED, respond=beside) as server:
            found = look_at(server.url.replace("/v1", "/deep"), "tiny", Key())
        assert (found.url[-5:], found.chat) == ("/deep", True)

    def test_json_of_another_kind(self) -> None:
        with OpenAIServer(respond=lambda asked, real: sends(["hello"])) as server:
            assert "speaks no OpenAI API" in refused(server.url)

    def test_nothing_but_404(self) -> None:
        with OpenAIServer(respond=lambda asked, real: fails(404)) as server:
            assert "speaks no OpenAI API" in refused(server.url, "tiny")

    def test_json_too_deep_to_read(self) -> None:
        deep = Sent(200, b"[" * 100_000)
        with OpenAIServer(respond=lambda asked, real: deep) as server:
            assert "speaks no OpenAI API" in refused(server.url)


class TestKeys:
    def test_the_right_one(self) -> None:
        with OpenAIServer(key=KEY.value) as server:
            assert look_at(server.url, "tiny", KEY).chat

    def test_none_where_one_is_wanted(self) -> None:
        with OpenAIServer(key=KEY.value) as server:
            assert refused(server.url) == (
                f"The server {server.url} wants a key (401): set BFPO_SERVER_API_KEY (or "
                "OPENAI_API_KEY) to one that is valid there."
            )

    def test_an_expired_one_is_not_repeated(self) -> None:
        said = json.dumps({"error": {"message": f"Expired key {KEY.value}"}}).encode()
        with OpenAIServer(respond=lambda asked, real: Sent(401, said)) as server:
            assert f"The server {server.url} does not accept the key (401)" in refused(
                server.url, key=KEY
            )

    def test_a_server_that_calls_itself_by_the_key(self) -> None:
        """What it runs is shown, and stored in manifests."""
        key = "sk-echo-0123456789"

        def respond(asked: Asked, real: Real) -> Sent:
            return sends({"version": key}) if asked.path == "/version" else real(asked)

        with OpenAIServer(key=key, respond=respond) as server:
            assert look_at(server.url, "tiny", Key(key)).software == "vllm [key]"

    def test_models_are_open_and_answers_are_not(self) -> None:
        def guarded(asked: Asked, real: Real) -> Sent:
            return fails(403) if asked.path.endswith("completions") else real(asked)

        with OpenAIServer(respond=guarded) as server:
            assert "does not accept the key (403)" in refused(server.url, key=KEY)

    def test_nothing_is_paid_for(self) -> None:
        broke = fails(429, "You exceeded your current quota", "insufficient_quota")
        with OpenAIServer(respond=lambda asked, real: broke) as server:
            assert "wants to be paid (429): add credit there" in refused(server.url, key=KEY)


@contextmanager
def raw(begin: bytes, drip: bytes) -> Iterator[str]:
    """A server that sends `begin`, and then `drip` again and again; -> its URL."""
    stop = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(begin)
            while not stop.is_set():
                try:
                    self.request.sendall(drip)
                except OSError:
                    return
                time.sleep(0.05)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        stop.set()
        server.shutdown()


def test_the_prompt_cannot_be_mistaken() -> None:
    assert len(set(probes.IDS)) == len(probes.IDS) == 7


def test_one_that_is_named_twice() -> None:
    with pytest.raises(UserError, match="is named twice: name it once"):
        look_at_all(["http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/"], "", Key())


def test_a_port_that_is_none() -> None:
    with pytest.raises(UserError, match="is none: give one like"):
        look_at("http://127.0.0.1:99999/v1", "", Key())
