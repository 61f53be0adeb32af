"""The parts of the client on their own: server, replies, cost, chat markup."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.api.faults import Transient
from bfpo_bench.api.key import Key
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.cost import Estimate, Ledger, Tokens, at_most, estimate_tokens
from bfpo_bench.judges.api.inert import inert
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.api.server import Server
from bfpo_bench.judges.api.wire import Decoding, read_reply, request_body

NO_KEY = Key()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "https://api.openai.com/v1/"])
def test_the_address_of_chat_completions(url: str) -> None:
    assert Server(url, None, None).chat_url == url.rstrip("/") + "/chat/completions"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("127.0.0.1:8000", "is none"),
        ("localhost/v1", "is none"),
        ("ftp://host/v1", "is none"),
        ("http://", "is none"),
        ("https://user:hunter2secret@host/v1", "more than an address"),
        ("https://host/v1?key=hunter2secret", "more than an address"),
        ("https://host/v1#hunter2secret", "more than an address"),
    ],
)
def test_a_url_that_is_none_or_more_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        Server(url, None, None)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "numbers",
    [
        {"price": (-1.0, 1.0)},
        {"price": (1.0, math.nan)},
        {"price": (math.nan, 1.0)},
        {"price": (math.inf, 1.0)},
        {"max_cost": 0.0},
        {"max_cost": math.nan},
        {"max_cost": math.inf},
    ],
)
def test_prices_and_limits_that_make_no_sense_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Server(**{"url": "http://host/v1", "price": None, "max_cost": None} | numbers)


def completion(**changes: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return {"choices": [choice | changes], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


def test_a_reply_is_read() -> None:
    tops = [{"token": "m", "logprob": -0.1}, {"token": "M", "logprob": -9999.0}]
    found = read_reply(
        completion(logprobs={"content": [{"token": "m", "top_logprobs": tops}]}), "ask", NO_KEY
    )
    assert found == Reply("hi", "stop", {"m": -0.1, "M": -9999.0}, 7, 2)


def test_a_token_that_stands_there_twice_has_both_probabilities() -> None:
    """0.25 + 0.25 = 0.5; and two that are too small for a float's exp stay small."""
    for logprob, both in [(math.log(0.25), math.log(0.5)), (-9999.0, -9999.0 + math.log(2))]:
        tops = [{"token": "m", "logprob": logprob}] * 2
        payload = completion(logprobs={"content": [{"token": "m", "top_logprobs": tops}]})
        found = read_reply(payload, "ask", NO_KEY).top_logprobs
        assert found == {"m": pytest.approx(both)}


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}])
def test_a_server_without_log_probabilities(logprobs: Any) -> None:
    assert read_reply(completion(logprobs=logprobs), "ask", NO_KEY).top_logprobs is None


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": ["text"]},
        {"choices": [{"text": "old completions"}]},
        completion(message="hi"),
        completion(message={"content": ["hi"]}),
        completion(logprobs={"content": [{"top_logprobs": [{"token": "m"}]}]}),
        completion(logprobs={"content": [{"top_logprobs": [{"token": "m", "logprob": "x"}]}]}),
        completion(logprobs={"content": [{"top_logprobs": [{"token": "m", "logprob": math.nan}]}]}),
        completion(logprobs={"content": [{"top_logprobs": [{"token": "m", "logprob": 2.0}]}]}),
        completion(logprobs="none"),
        completion(message={"content": ""}),
        completion(message={"content": " \n"}),
        completion(message={"content": None}, finish_reason=None),
    ],
)
def test_what_is_no_chat_completion_is_asked_for_again(payload: Any) -> None:
    with pytest.raises(Transient):
        read_reply(payload, "ask", NO_KEY)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], {"prompt_tokens": 3}, {"prompt_tokens": "3", "completion_tokens": 1},
     {"prompt_tokens": -3, "completion_tokens": 1}, {"prompt_tokens": True, "completion_tokens": 1}],
)  # fmt: skip
def test_a_count_that_is_none_is_estimated(usage: Any) -> None:
    """ "ask it" has 6 bytes, so 2 tokens; "hi" 1."""
    found = read_reply(completion() | {"usage": usage}, "ask it", NO_KEY)
    assert (found.prompt_tokens, found.completion_tokens, found.counted) == (2, 1, False)


def test_log_probabilities_are_asked_for_where_the_judge_reads_them() -> None:
    assert "logprobs" not in request_body(Decoding("m", 5), "ask")
    body = request_body(Decoding("m", 1, 0.0, 5), "ask")
    assert (body["logprobs"], body["top_logprobs"]) == (True, 5)


def test_four_bytes_are_a_token() -> None:
    assert [estimate_tokens(t) for t in ("", "a", "abcd", "abcde", "ありがとう")] == [0, 1, 1, 2, 4]
    assert estimate_tokens("\ud800") == 1  # half of a pair is counted, not a crash


def test_an_estimate_by_hand() -> None:
    """Two requests of 8 and 4 bytes: 2 + 1 = 3 tokens in, 2 * 100 out.
    (3 * 1 + 200 * 10) / 1e6 = 0.002003 dollars."""
    asked = [at_most("abcdefgh", 100), at_most("abcd", 100)]
    found = Estimate.of(asked, (1.0, 10.0))
    assert (found.requests, found.tokens) == (2, Tokens(3, 200))
    assert found.cost == pytest.approx(0.002003)
    assert Estimate.of(asked, None).cost is None


def test_what_is_under_way_counts_against_the_limit() -> None:
    """At one dollar a token: 10 spent and 20 under way leave room for 10 of 40."""
    ledger = Ledger((1e6, 1e6), 40.0)
    first = Tokens(5, 15)
    assert ledger.allows(first)
    ledger.reserve(first)
    ledger.settle(first, Reply("", "stop", None, 4, 6))
    assert ledger.cost == 10
    ledger.reserve(Tokens(5, 15))
    assert ledger.allows(Tokens(5, 5))
    assert not ledger.allows(Tokens(5, 6))
    ledger.settle(Tokens(5, 15), None)
    assert ledger.cost == 10
    assert ledger.allows(Tokens(15, 15))


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("<|im_end|>", "< |im_end|>"),
        ("<|start_header_id|>user<|end_header_id|>", "< |start_header_id|>user< |end_header_id|>"),
        ("<｜User｜>", "< ｜User｜>"),
        ("</s><s>[INST]", "< /s>< s>[ INST]"),
        ("<<SYS>>x<</SYS>>", "<< SYS>>x<< /SYS>>"),
        ("<end_of_turn>\n<start_of_turn>", "< end_of_turn>\n< start_of_turn>"),
    ],
)
def test_marks_of_chat_templates_are_broken(hostile: str, harmless: str) -> None:
    assert inert(hostile) == harmless


@pytest.mark.parametrize(
    "text",
    ["a < b and b > c", "<b>bold</b>", "if x <y> z", "[1] [INSTRUMENT]", "a <| b", "std::vector<int>",
     "<span>", "cmd < in | out >", "ls <|> cat", "x = [s for s in y]"],
)  # fmt: skip
def test_other_text_stays_as_it_is(text: str) -> None:
    assert inert(text) == text


@given(st.text(alphabet="<|>/sINT[]_eofturn ｜"))
def test_what_was_broken_needs_no_breaking(text: str) -> None:
    assert inert(inert(text)) == inert(text)
    assert inert(text).replace(" ", "") == text.replace(" ", "")
