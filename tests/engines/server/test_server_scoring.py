"""Log-likelihoods over the wire: however a server tells them, they are the same, or there are none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from judge_server import Asked, Sent, sends
from openai_server import HOSTED, LLAMA_CPP, SGLANG, VLLM, OpenAIServer, Real, Software, logprob
from server_asking import connected, scored

from bfpo_bench.engines.base import ChoiceRequest, Failure, Likelihood, ScoringRequest
from bfpo_bench.errors import UserError

SCORING = (
    # After 1 + 2 + 3 the model says 6, then 12, then 24: all greedy
    ScoringRequest((1, 2, 3, 6, 12, 24), 3),
    ScoringRequest((1, 2, 3, 6), 1),
    ScoringRequest((1, 2, 3, 8), 1),
    ScoringRequest((1, 2, 3, 6, 12, 24, 48, 95), 5),
)
ALL_ECHO = replace(VLLM, extensions=frozenset(), echo=True)
OLDER_VLLM = replace(VLLM, version="0.9", extensions=frozenset(["prompt_logprobs"]))


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_SERVER_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def by_hand(request: ScoringRequest) -> float:
    tokens, start = request.tokens, len(request.tokens) - request.continuation
    return sum(logprob(tokens[:i], tokens[i]) for i in range(start, len(tokens)))


class TestLoglikelihoods:
    @pytest.mark.parametrize("software", [VLLM, OLDER_VLLM, SGLANG, ALL_ECHO])
    def test_the_sum_over_the_continuation(self, software: Software) -> None:
        """However the server tells log-probabilities, they are the same."""
        with OpenAIServer(software) as server:
            found = scored(connected(server.url), SCORING)
        expected = [
            Likelihood(pytest.approx(by_hand(r)), greedy)  # type: ignore[arg-type]
            for r, greedy in zip(SCORING, (True, True, False, False), strict=True)
        ]
        assert found == expected

    def test_vllm_is_asked_once_for_all_the_options_of_a_context(self) -> None:
        """Four choices of one token, and nothing of the prompt: its cache is read."""
        with OpenAIServer() as server:
            engine, before = connected(server.url), len(server.generated)
            found = scored(engine, [ScoringRequest((1, 2, 3, t), 1) for t in (4, 5, 6, 9)])
            asked = server.generated[before:]
        assert [f.greedy for f in found if isinstance(f, Likelihood)] == [False, False, True, False]
        assert len(asked) == 1
        assert asked[0].body["logprob_token_ids"] == [4, 5, 6, 9]
        assert "prompt_logprobs" not in asked[0].body

    def test_the_last_token_is_never_fed_to_vllm(self) -> None:
        """512 tokens of context and one that is predicted: a window of 513 is enough, 512 is not."""
        request = ScoringRequest((1,) * 513, 4)
        with OpenAIServer(replace(VLLM, window=513)) as server:
            found = scored(connected(server.url), [request])
        assert found == [Likelihood(pytest.approx(by_hand(request)), False)]  # type: ignore[arg-type]
        with OpenAIServer(replace(VLLM, window=512)) as server:
            (failed,) = scored(connected(server.url), [request])
        assert isinstance(failed, Failure)
        assert "start it with --max-model-len 513; above a model's own context" in failed.reason

    def test_an_echoing_server_needs_one_token_more(self) -> None:
        with OpenAIServer(replace(SGLANG, window=513)) as server:
            (failed,) = scored(connected(server.url), [ScoringRequest((1,) * 513, 4)])
        assert isinstance(failed, Failure)
        assert "start it with --max-model-len 514; above" in failed.reason

    @pytest.mark.parametrize("software", [LLAMA_CPP, HOSTED])
    def test_a_server_without_them_is_refused(self, software: Software) -> None:
        with OpenAIServer(software) as server:
            engine = connected(server.url)
            with pytest.raises(UserError, match="leave them out with --tasks"):
                scored(engine, SCORING)

    def test_a_tie_is_greedy(self) -> None:
        """Another token is as likely as the given one, and has another name."""

        def respond(asked: Asked, real: Real) -> Sent:
            sent = real(asked)
            if not asked.body.get("echo") or len(asked.body["prompt"]) != 4:
                return sent
            payload = json.loads(sent.body)
            told = payload["choices"][0]["logprobs"]
            told["top_logprobs"][3] = {"another": told["token_logprobs"][3]}
            return sends(payload)

        with OpenAIServer(SGLANG, respond=respond) as server:
            (found,) = scored(connected(server.url), [ScoringRequest((1, 2, 3, 8), 1)])
        assert isinstance(found, Likelihood)
        assert found.greedy

    def test_numbers_that_belong_to_the_next_tokens_are_none(self) -> None:
        """From the second request on the first token's place is left out: as many numbers as tokens,
        and each of them another token's."""

        def respond(asked: Asked, real: Real) -> Sent:
            sent = real(asked)
            if not asked.body.get("echo") or len(asked.body["prompt"]) != 4:
                return sent
            payload = json.loads(sent.body)
            told = payload["choices"][0]["logprobs"]
            payload["choices"][0]["logprobs"] = {name: told[name][1:] for name in told}
            return sends(payload)

        with OpenAIServer(SGLANG, respond=respond) as server:
            requests = [ScoringRequest((1, 2, 3), 1), ScoringRequest((1, 2, 3, 8), 1)]
            found = scored(connected(server.url), requests)
        assert isinstance(found[0], Likelihood)
        assert isinstance(found[1], Failure)
        assert found[1].reason == "the server tells of other tokens than it was given"

    def test_what_stands_for_minus_infinity_is_no_number(self) -> None:
        """vLLM writes -9999.0 in its place: the model is broken, and the run says so."""

        def respond(asked: Asked, real: Real) -> Sent:
            sent = real(asked)
            if not asked.body.get("echo") or len(asked.body["prompt"]) != 4:
                return sent
            payload = json.loads(sent.body)
            payload["choices"][0]["logprobs"]["token_logprobs"][3] = -9999.0
            return sends(payload)

        with (
            OpenAIServer(SGLANG, respond=respond) as server,
            pytest.raises(UserError, match="not finite numbers"),
        ):
            scored(connected(server.url), [ScoringRequest((1, 2, 3, 8), 1)])

    def test_a_rank_that_is_not_told_is_not_taken_for_another_token(self) -> None:
        def respond(asked: Asked, real: Real) -> Sent:
            sent = real(asked)
            if asked.body.get("prompt", [])[:3] != [1, 2, 3] or len(asked.body["prompt"]) != 4:
                return sent
            payload = json.loads(sent.body)
            for place in payload["choices"][0]["prompt_logprobs"][1:]:
                for one in place.values():
                    del one["rank"]
            return sends(payload)

        with OpenAIServer(OLDER_VLLM, respond=respond) as server:
            requests = [ScoringRequest((1, 2, 3), 1), ScoringRequest((1, 2, 3, 6), 1)]
            found = scored(connected(server.url), requests)
        assert isinstance(found[0], Likelihood)
        assert isinstance(found[1], Failure)

    @pytest.mark.parametrize("software", [VLLM, OLDER_VLLM, SGLANG])
    def test_a_server_that_feeds_other_tokens_gives_no_number(self, software: Software) -> None:
        """A second BOS: one token more than was given, once it was looked at."""
        looked = False

        def respond(asked: Asked, real: Real) -> Sent:
            if not looked:
                return real(asked)
            return real(replace(asked, body=asked.body | {"prompt": [0, *asked.body["prompt"]]}))

        with OpenAIServer(software, respond=respond) as server:
            engine = connected(server.url)
            looked = True
            with pytest.raises(UserError, match="tokens where it was given"):
                scored(engine, SCORING)

    def test_the_options_of_a_choice(self) -> None:
        requests = [ChoiceRequest((1, 2), (3, 4, 5)), ChoiceRequest((9,), (9, 8))]
        for software in (VLLM, SGLANG):
            with OpenAIServer(software) as server:
                found = dict(connected(server.url).choices(requests))
            assert found == {
                0: pytest.approx([logprob((1, 2), t) for t in (3, 4, 5)]),
                1: pytest.approx([logprob((9,), t) for t in (9, 8)]),
            }
