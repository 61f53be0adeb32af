"""Whether a server's tokenizer is the model's own: real tokenizers on both sides of real HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bench import REFUSER, STORIES
from judge_server import HANGS, Asked, Sent, fails, sends
from openai_server import OpenAIServer, Real

from bfpo_bench.api.key import Key
from bfpo_bench.engines.server import same_tokenizer
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.same_tokenizer import check_tokenizers, probing_text
from bfpo_bench.engines.source import open_source
from bfpo_bench.engines.subject import load_tokenizer
from bfpo_bench.errors import UserError


@pytest.fixture(scope="module")
def refuser(hub: str) -> Any:
    return load_tokenizer(open_source(REFUSER).materialise(weights=False))


@pytest.fixture(scope="module")
def stories(hub: str) -> Any:
    return load_tokenizer(open_source(STORIES).materialise(weights=False))


def serving(tokenizer: Any, ways: set[str]) -> OpenAIServer:
    """A server of this tokenizer that can be looked into by `ways`: tokenize, echo, count."""

    def respond(asked: Asked, real: Real) -> Sent:
        body = asked.body
        if asked.path == "/tokenize" and "tokenize" in ways:
            return sends({"tokens": tokenizer.encode(body["prompt"], add_special_tokens=False)})
        if asked.path != "/v1/completions":
            return fails(404)
        prompt = body["prompt"]
        text = tokenizer.decode(prompt) if isinstance(prompt, list) else prompt
        said = f"{text} and so on" if body.get("echo") and "echo" in ways else " and so on"
        reply: dict[str, Any] = {"choices": [{"text": said, "finish_reason": "length"}]}
        if "count" in ways:
            reply["usage"] = {"prompt_tokens": len(tokenizer.encode(text)), "completion_tokens": 1}
        return sends(reply)

    return OpenAIServer(respond=respond)


def check(tokenizer: Any, served: Any, ways: set[str]) -> str | None:
    with serving(served, ways) as server:
        caps = Capabilities(server.url, "m", completions=True, token_prompts=True)
        [how] = check_tokenizers([caps], tokenizer, "a/model", Key())
    return how


@pytest.mark.parametrize(
    ("ways", "how"),
    [
        ({"tokenize", "echo", "count"}, "through /tokenize"),
        ({"echo", "count"}, "through echo"),
        ({"count"}, "by the number of tokens alone"),
        (set(), None),
    ],
)
def test_the_same(refuser: Any, ways: set[str], how: str | None) -> None:
    assert check(refuser, refuser, ways) == how


@pytest.mark.parametrize("ways", [{"tokenize"}, {"echo"}, {"count"}])
def test_another(refuser: Any, stories: Any, ways: set[str]) -> None:
    """Both are named: the model there, and the one whose tokens are sent."""
    with pytest.raises(UserError, match=r"reads m with another tokenizer than that of a/model \("):
        check(refuser, stories, ways)


def test_where_they_differ_is_shown(refuser: Any, stories: Any) -> None:
    with pytest.raises(UserError, match=r"\(at 'The' it is \d+ here and \d+ there\)"):
        check(stories, refuser, {"tokenize"})


def test_a_special_token_more(refuser: Any, hub: str) -> None:
    """A chat model's tokenizer and its base's may be the same but for these."""
    more = load_tokenizer(open_source(REFUSER).materialise(weights=False))
    more.add_special_tokens({"additional_special_tokens": ["<|tool|>"]})
    assert "<|tool|>" in probing_text(more)
    with pytest.raises(UserError, match="another tokenizer"):
        check(more, refuser, {"tokenize"})


def test_white_space_at_the_ends_of_an_echo_does_not_count(refuser: Any) -> None:
    class Stripping:
        def decode(self, ids: list[int], **how: Any) -> str:
            return f"  {refuser.decode(ids, **how).strip()}"

        def encode(self, text: str, **how: Any) -> list[int]:
            return list(refuser.encode(text, **how))

    assert check(refuser, Stripping(), {"echo"}) == "through echo"


def test_a_prompt_longer_than_the_server_takes(refuser: Any) -> None:
    """Of the text's tokens as many are sent as fit, beside the one that is generated."""
    with serving(refuser, {"echo"}) as server:
        caps = Capabilities(server.url, "m", context=16, completions=True, token_prompts=True)
        assert check_tokenizers([caps], refuser, "a/model", Key()) == ["through echo"]
        assert [len(a.body["prompt"]) for a in server.generated] == [15]


def test_a_server_that_is_silent(refuser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_tokenizer, "CHECK_SECONDS", 0.5)
    with OpenAIServer(respond=lambda asked, real: HANGS) as server:
        caps = Capabilities(server.url, "m", completions=True)
        found = check_tokenizers([caps, replace(caps)], refuser, "a/model", Key())
    assert found == [None, None]


def test_a_server_that_means_something_else_by_tokenize(refuser: Any) -> None:
    def respond(asked: Asked, real: Real) -> Sent:
        return sends({"tokens": "many"}) if asked.path == "/tokenize" else fails(400)

    with OpenAIServer(respond=respond) as server:
        caps = Capabilities(server.url, "m", completions=True, token_prompts=True)
        assert check_tokenizers([caps], refuser, "a/model", Key()) == [None]
