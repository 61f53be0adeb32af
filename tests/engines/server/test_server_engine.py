"""What a server is asked, and what its replies become: against a stand-in whose model is arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from judge_server import HANGS, Asked, Sent, fails, sends
from openai_server import (
    HOSTED,
    LLAMA_CPP,
    STOP,
    VLLM,
    OpenAIServer,
    Real,
    Software,
)
from server_asking import connected, files, generated, number_of, prompts

from bfpo_bench.engines.base import (
    Failure,
    Generation,
    GenerationRequest,
    Told,
)
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.server import look
from bfpo_bench.engines.server.engine import ServerEngine
from bfpo_bench.engines.server.needs import ABOVE_ITS_OWN
from bfpo_bench.errors import UserError

HELLO = GenerationRequest((), 5, messages=({"role": "user", "content": "hello"},))


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_SERVER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


class TestGenerate:
    def test_token_ids_go_in_and_come_back(self) -> None:
        """1 + 2 + 3 = 6, then 12, 24, 48, 96; 1 + 2 + 4 = 7, the stop token, is no part of it."""
        with OpenAIServer() as server:
            engine = load_engine("server", files(server.url))
            requests = [GenerationRequest((1, 2, 3), 5), GenerationRequest((1, 2, 4), 5)]
            assert dict(engine.generate(requests)) == {
                0: Generation((6, 12, 24, 48, 96), "length"),
                1: Generation((), "stop"),
            }

    def test_nothing_is_left_to_the_servers_own_defaults(self) -> None:
        """vLLM fills what a request leaves out from the model's generation_config.json."""
        with OpenAIServer() as server:
            engine, before = connected(server.url), len(server.generated)
            generated(engine, [GenerationRequest((1, 2, 3), 5, 0.7, 0.9, seed=11)])
            body = server.generated[before].body
        assert body == {
            "model": "tiny",
            "prompt": [1, 2, 3],
            "max_tokens": 5,
            "temperature": 0.7,
            "top_p": 0.9,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "seed": 11,
            "return_token_ids": True,
            "stop_token_ids": [STOP],
        }

    def test_a_server_without_extensions_is_sent_none_and_tells_text(self) -> None:
        with OpenAIServer(LLAMA_CPP) as server:
            engine, before = connected(server.url), len(server.generated)
            found = generated(engine, [GenerationRequest((1, 2, 3), 2)])
            body = server.generated[before].body
        assert found == [Generation((), "length", Told("<6><12>", 3, 2))]
        assert not {"return_token_ids", "stop_token_ids"} & set(body)

    def test_the_sampling_of_llama_cpp_is_switched_off(self) -> None:
        """Its own top_k is 40, its min_p 0.05, and its repetition penalty has another name."""
        with OpenAIServer(LLAMA_CPP) as server:
            generated(connected(server.url), [GenerationRequest((1, 2, 3), 2, 0.7, 0.9)])
            body = server.generated[-1].body
        off = {"top_k": -1, "min_p": 0.0, "repeat_penalty": 1.0, "top_p": 0.9}
        assert {name: body[name] for name in off} == off

    def test_what_a_server_does_not_count_is_not_nothing(self) -> None:
        """By ids the prompt's tokens are known, in a chat neither count is."""

        def uncounted(asked: Asked, real: Real) -> Sent:
            sent = real(asked)
            asks = number_of(asked) >= 0 or asked.body.get("max_tokens") == 5
            payload = json.loads(sent.body) | ({"usage": None} if asks else {})
            return sends(payload, sent.status)

        with OpenAIServer(LLAMA_CPP, respond=uncounted) as server:
            found = generated(connected(server.url), [*prompts(1, 2), HELLO])
        assert [f.told for f in found if isinstance(f, Generation)] == [
            Told("<2><4>", 2, None),
            Told("You said: hello", None, None),
        ]

    def test_messages_go_to_the_chat(self) -> None:
        with OpenAIServer(HOSTED) as server:
            engine, before = connected(server.url), len(server.generated)
            found = generated(engine, [HELLO])
            asked = server.generated[before]
        assert found == [Generation((), "stop", Told("You said: hello", 5, 3))]
        assert asked.path == "/v1/chat/completions"
        assert asked.body == {
            "model": "tiny",
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 5,
            "temperature": 0.0,
        }

    def test_a_model_that_takes_no_temperature_is_asked_without_and_it_is_told(self) -> None:
        with OpenAIServer(HOSTED, refusing={"temperature", "seed"}) as server:
            engine = connected(server.url)
            found = generated(engine, [replace(HELLO, temperature=0.7, seed=5)] * 2)
            assert all(isinstance(one, Generation) for one in found)
            assert not {"temperature", "seed"} & set(server.generated[-1].body)
            assert engine.describe()["left_out"] == ["seed", "temperature"]

    def test_a_seed_is_sent_whatever_was_found_of_seeds(self) -> None:
        """It was too busy to show that it keeps them; the stored response names this one."""

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(501) if asked.body.get("seed") == 20 else real(asked)

        with OpenAIServer(respond=respond) as server:
            generated(connected(server.url), [GenerationRequest((1, 2), 4, 0.7, seed=5)])
            assert server.generated[-1].body["seed"] == 5

    def test_a_server_of_text_alone_is_told_where_to_stop(self) -> None:
        """1 + 2 + 4 = 7 is where the model ends, and this server does not know it."""
        text = replace(VLLM, extensions=frozenset(["stop_token_ids"]))
        with OpenAIServer(text) as server:
            generated(connected(server.url), [GenerationRequest((1, 2, 4), 5)])
            assert server.generated[-1].body["stop_token_ids"] == [STOP]

    def test_a_refusal_that_names_a_parameter_by_chance_changes_nothing_for_others(self) -> None:
        """It repeats the prompt, in which temperatures stand: without one it refuses all the same."""

        def respond(asked: Asked, real: Real) -> Sent:
            if number_of(asked) == 1:
                return fails(400, "'What temperature instead?' is against our usage policy")
            return real(asked)

        with OpenAIServer(LLAMA_CPP, respond=respond) as server:
            engine = connected(server.url, concurrency=1)
            found = generated(engine, prompts(3, 1))
            assert [type(one) for one in found] == [Generation, Failure, Generation]
            assert "temperature" in server.generated[-1].body
        assert "left_out" not in engine.describe()

    def test_sampling_is_told_its_top_p_also_where_it_is_1(self) -> None:
        """llama.cpp's own is 0.95."""
        deaf = replace(LLAMA_CPP, switches=False)
        with OpenAIServer(deaf) as server:
            generated(connected(server.url), [GenerationRequest((1, 2, 3), 1, 0.7)])
            assert server.generated[-1].body["top_p"] == 1.0

    @pytest.mark.parametrize("software", [VLLM, LLAMA_CPP])
    def test_an_answer_that_a_limit_of_the_server_cut_is_none(self, software: Software) -> None:
        """Two tokens where three were asked for: no other engine would say that."""

        def respond(asked: Asked, real: Real) -> Sent:
            most = min(2, asked.body.get("max_tokens", 2))
            return real(replace(asked, body=asked.body | {"max_tokens": most}))

        with OpenAIServer(software, respond=respond) as server:
            found = generated(
                connected(server.url), [GenerationRequest((1, 2), n) for n in (1, 2, 3)]
            )
        assert [type(one) for one in found] == [Generation, Generation, Failure]
        assert isinstance(found[2], Failure)
        assert "cut the answer after 2 of 3 tokens" in found[2].reason

    @pytest.mark.parametrize("software", [VLLM, LLAMA_CPP])
    def test_an_answer_that_was_cut_to_nothing_is_no_empty_answer(self, software: Software) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            if number_of(asked) != 1:
                return real(asked)
            return real(replace(asked, body=asked.body | {"max_tokens": 0}))

        with OpenAIServer(software, respond=respond) as server:
            found = generated(connected(server.url), prompts(2))
        assert isinstance(found[1], Failure)
        assert "cut the answer after 0 of 4 tokens" in found[1].reason

    def test_a_prompt_that_only_this_server_has_no_room_for_is_asked_again(self) -> None:
        """It was cut to the model's own context here."""
        long = "the request exceeds the available context size"

        def respond(asked: Asked, real: Real) -> Sent:
            return fails(400, long) if number_of(asked) == 1 else real(asked)

        with OpenAIServer(LLAMA_CPP, respond=respond) as server:
            found = generated(connected(server.url), prompts(2))
        assert found[1] == Failure(f"the server did not take the prompt (400, '{long}')", True)

    def test_a_prompt_that_comes_back_as_a_chat_is_no_completion(self) -> None:
        """Something between has put the prompt through a template."""

        def respond(asked: Asked, real: Real) -> Sent:
            if number_of(asked) < 1:
                return real(asked)
            message = {"role": "assistant", "content": "Hello!"}
            return sends({"choices": [{"message": message, "finish_reason": "stop"}]})

        with OpenAIServer(respond=respond) as server:
            found = generated(connected(server.url), prompts(2))
        assert isinstance(found[0], Generation)
        assert isinstance(found[1], Failure)

    def test_a_server_that_is_too_busy_to_show_what_it_takes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(look, "LOOK_SECONDS", 1.0)

        def respond(asked: Asked, real: Real) -> Sent:
            return HANGS if "min_p" in asked.body else real(asked)

        with (
            OpenAIServer(respond=respond) as server,
            pytest.raises(UserError, match="did not say in time whether it has sampling_switches"),
        ):
            ServerEngine.connect(files(server.url))

    def test_what_does_not_fit_the_window_is_not_asked(self) -> None:
        """vLLM would shorten the answer to the 512 tokens of its window, without a word."""
        with OpenAIServer() as server:
            engine, before = connected(server.url), len(server.generated)
            found = generated(
                engine, [GenerationRequest((1,) * 500, 13), GenerationRequest((1,) * 500, 12)]
            )
            assert len(server.generated) == before + 1
        assert found[0] == Failure(
            f"it needs 513 tokens and the server {server.url} takes 512: start it with "
            f"--max-model-len 513{ABOVE_ITS_OWN}",
            fault=True,
        )
        assert isinstance(found[1], Generation)

    def test_a_prompt_of_tokens_needs_a_server_that_takes_them(self) -> None:
        with OpenAIServer(HOSTED) as server:
            engine = connected(server.url)
            with pytest.raises(UserError, match="takes no token ids as a prompt"):
                generated(engine, prompts(1))


def chatting(message: dict[str, Any], finish: str | None = "stop", **usage: int) -> Any:
    """What chats are answered with once the server was looked at; `usage` over 1 and 2 tokens."""
    counted = {"prompt_tokens": 1, "completion_tokens": 2} | usage

    def respond(asked: Asked, real: Real) -> Sent:
        if asked.body.get("messages", [{}])[-1].get("content") != "hello":
            return real(asked)
        choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
        return sends({"choices": [choice], "usage": counted})

    return respond


class TestWhatAChatSays:
    @pytest.mark.parametrize(
        ("message", "finish", "text"),
        [
            ({"content": ""}, "stop", ""),
            ({"content": None, "refusal": "I will not."}, "stop", "I will not."),
            ({"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]},
             "stop", "in parts"),
            ({"content": "7", "reasoning_content": "3 + 4"}, "stop",
             "<think>\n3 + 4\n</think>\n\n7"),
            ({"content": "7", "reasoning": "3 + 4"}, "stop", "<think>\n3 + 4\n</think>\n\n7"),
            ({"content": None, "reasoning": "3 +"}, "length", "<think>\n3 +"),
        ],
    )  # fmt: skip
    def test_its_text(self, message: dict[str, Any], finish: str, text: str) -> None:
        respond = chatting(message, finish, completion_tokens=5)
        with OpenAIServer(HOSTED, respond=respond) as server:
            found = generated(connected(server.url), [HELLO])[0]
        assert isinstance(found, Generation)
        assert found.told == Told(text, 1, 5)
        assert found.finish_reason == finish

    def test_reasoning_is_taken_away_again_before_a_judge_reads_it(self) -> None:
        from bfpo_bench.judges.reasoning import strip_reasoning

        message = {"content": "7", "reasoning": "3 + 4"}
        with OpenAIServer(HOSTED, respond=chatting(message)) as server:
            found = generated(connected(server.url), [HELLO])[0]
        assert isinstance(found, Generation)
        assert found.told is not None
        answer = strip_reasoning(found.told.text)
        assert (answer.text, answer.trace, answer.complete) == ("7", "3 + 4", True)

    def test_an_answer_that_a_limit_of_the_server_cut_is_none(self) -> None:
        """Two tokens where five were asked for."""
        respond = chatting({"content": "Sure, I"}, "length")
        with OpenAIServer(HOSTED, respond=respond) as server:
            (found,) = generated(connected(server.url), [HELLO])
        assert isinstance(found, Failure)
        assert found.fault
        assert "cut the answer after 2 of 5 tokens" in found.reason

    def test_hidden_reasoning_is_a_part_of_the_limit(self) -> None:
        """1 token in, 2 out and 6 in all: three were thought, and some servers count them there alone."""
        respond = chatting({"content": "Sure, I"}, "length", total_tokens=6)
        with OpenAIServer(HOSTED, respond=respond) as server:
            (found,) = generated(connected(server.url), [HELLO])
        assert found == Generation((), "length", Told("Sure, I", 1, 2))

    def test_an_answer_that_the_server_withholds_is_a_failure(self) -> None:
        respond = chatting({"content": "half of"}, "content_filter")
        with OpenAIServer(HOSTED, respond=respond) as server:
            found = generated(connected(server.url), [HELLO])
        assert found == [Failure("the server withheld the answer (content_filter)")]


class TestDescribe:
    def test_what_the_manifest_is_told(self) -> None:
        with OpenAIServer() as server:
            engine = connected(server.url)
            generated(engine, prompts(3))
            assert engine.describe() == {
                "engine": "server",
                "servers": [server.url],
                "served": "tiny",
                "software": "vllm 0.32.0",
                "device": "server",
                "dtype": None,
                "versions": {"vllm": "0.32.0"},
                "concurrency": {server.url: 8},
                "retries": 0,
            }
            engine.close()

    def test_arguments_are_checked_before_a_server_is_asked(self) -> None:
        with pytest.raises(UserError, match="tensor_parallel_size"):
            ServerEngine.connect(files("http://127.0.0.1:1/v1", tensor_parallel_size=2))
