"""What replies prove of a server, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.engines.server import probes
from bfpo_bench.engines.server.probes import IDS, Card

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["choices", "data", "id", "logprobs", "text", "x"]), inner
        )
    ),
    max_leaves=12,
)
TOLD = (
    "token_ids",
    "prompt_token_ids",
    "prompt_logprobs",
    "logprobs",
    "text",
    "message",
    "finish_reason",
)
READERS: list[Callable[[Any], Any]] = [
    probes.cards,
    probes.completes,
    probes.chats,
    probes.new_ids,
    probes.said,
    lambda payload: probes.feeds(payload, IDS),
    lambda payload: probes.echoes(payload, IDS),
    lambda payload: probes.tells_prompt(payload, IDS),
    lambda payload: probes.tells_named(payload, IDS),
    lambda payload: probes.stopped_at(payload, 5),
]


@pytest.mark.parametrize("read", READERS)
@given(
    whole=JSON | st.fixed_dictionaries({"choices": JSON, "usage": JSON}),
    told=st.dictionaries(st.sampled_from(TOLD), JSON),
)
def test_no_reply_breaks_a_reader(read: Callable[[Any], Any], whole: Any, told: Any) -> None:
    read(whole)
    read({"choices": [told], "usage": told})


def chosen(**told: Any) -> dict[str, Any]:
    return {"choices": [told]}


class TestPrompts:
    def test_ids_that_are_repeated(self) -> None:
        assert probes.feeds(chosen(prompt_token_ids=list(IDS)), IDS)

    def test_a_bos_in_front_is_another_prompt(self) -> None:
        assert not probes.feeds(chosen(prompt_token_ids=[1, *IDS]), IDS)

    def test_as_many_tokens(self) -> None:
        """Seven were sent. Read as the text "[40, 60, ...]" they would be more."""
        assert probes.feeds({"usage": {"prompt_tokens": 7}}, IDS)
        assert not probes.feeds({"usage": {"prompt_tokens": 8}}, IDS)

    def test_a_server_that_says_nothing_of_it(self) -> None:
        assert not probes.feeds(chosen(text="x"), IDS)


class TestEcho:
    def values(self, *values: Any) -> dict[str, Any]:
        return chosen(logprobs={"token_logprobs": list(values)})

    def test_the_prompt_and_the_new_token(self) -> None:
        assert probes.echoes(self.values(None, -1, -2, -3, -4, -5, -6, -0.5), IDS)

    def test_the_prompt_alone(self) -> None:
        assert probes.echoes(self.values(None, -1, -2, -3, -4, -5, -6), IDS)

    def test_the_new_token_alone_is_a_server_that_ignored_echo(self) -> None:
        assert not probes.echoes(self.values(-0.5), IDS)

    def test_without_the_first_token_the_numbers_are_those_of_the_next(self) -> None:
        assert not probes.echoes(self.values(-1, -2, -3, -4, -5, -6, -0.5), IDS)

    @pytest.mark.parametrize("wrong", [None, float("nan"), float("-inf"), 0.3, "x", True])
    def test_what_is_no_log_probability(self, wrong: Any) -> None:
        assert not probes.echoes(self.values(None, -1, wrong, -3, -4, -5, -6), IDS)


class TestPromptLogprobs:
    def entries(self, wrong: Any = None) -> list[Any]:
        found: list[Any] = [{str(token): {"logprob": -1.0, "rank": 3}} for token in IDS]
        return [None, *found[1:-1], wrong or found[-1]]

    def test_each_token_has_its_own(self) -> None:
        assert probes.tells_prompt(chosen(prompt_logprobs=self.entries()), IDS)

    def test_without_ranks_nobody_knows_what_is_greedy(self) -> None:
        last = {str(IDS[-1]): {"logprob": -1.0}}
        assert not probes.tells_prompt(chosen(prompt_logprobs=self.entries(last)), IDS)

    def test_the_likeliest_token_alone_will_not_do(self) -> None:
        """Number 90 was sent, and 91 is told of."""
        wrong = {"91": {"logprob": -0.1}}
        assert not probes.tells_prompt(chosen(prompt_logprobs=self.entries(wrong)), IDS)

    def test_ignored(self) -> None:
        assert not probes.tells_prompt(chosen(text=" red"), IDS)


def test_named_tokens() -> None:
    both = {"token_id:40": -1.5, "token_id:60": -9999.0}
    assert probes.tells_named(chosen(logprobs={"top_logprobs": [both]}), IDS)
    best = {" red": -0.1, "token_id:40": -1.5}
    assert not probes.tells_named(chosen(logprobs={"top_logprobs": [best]}), IDS)


class TestStops:
    @pytest.mark.parametrize("left", [[], [5]])
    def test_with_or_without_the_token(self, left: list[int]) -> None:
        assert probes.stopped_at(chosen(finish_reason="stop", token_ids=left), 5)

    def test_it_went_on(self) -> None:
        assert not probes.stopped_at(chosen(finish_reason="length", token_ids=[5, 6, 7, 8]), 5)

    def test_it_stopped_later_for_another_reason(self) -> None:
        assert not probes.stopped_at(chosen(finish_reason="stop", token_ids=[5, 2]), 5)


def test_models() -> None:
    listed = [
        {"id": "a", "owned_by": "vllm", "max_model_len": 512},
        {"id": "b", "max_model_len": True, "owned_by": 3},
        {"name": "no id"},
        None,
    ]
    assert probes.cards({"data": listed}) == {"a": Card(512, "vllm"), "b": Card(None, "")}
    assert probes.cards({"models": listed}) is None
