"""The plan of steps and the sums, with a model of which every number is known: no vLLM in here."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.engines.base import Failure, Likelihood, ScoringRequest
from bfpo_bench.engines.vllm_scoring import MOST_OPTIONS, Step, StepAnswer, Tally, steps
from bfpo_bench.errors import UserError

VOCABULARY = range(4)


def logprob(before: Sequence[int], token: int) -> float:
    """A number from -1 to 0 that depends on every token before; no model of this world."""
    return -zlib.crc32(bytes([*before, 255, token])) / 2**32


def best(before: Sequence[int]) -> int:
    return max(VOCABULARY, key=lambda token: logprob(before, token))


def answer(step: Step) -> StepAnswer:
    """What vLLM gives for a step, from the model above."""
    inside = range(len(step.prompt) - step.scored, len(step.prompt))
    return StepAnswer(
        logprobs={option: logprob(step.prompt, option) for option in step.options},
        best=best(step.prompt),
        inside=sum(logprob(step.prompt[:at], step.prompt[at]) for at in inside),
        greedy=all(best(step.prompt[:at]) == step.prompt[at] for at in inside),
    )


def expected(request: ScoringRequest) -> Likelihood:
    """Token by token, as the definition has it."""
    places = range(len(request.tokens) - request.continuation, len(request.tokens))
    tokens = request.tokens
    return Likelihood(
        sum(logprob(tokens[:at], tokens[at]) for at in places),
        all(best(tokens[:at]) == tokens[at] for at in places),
    )


def scored(
    requests: Sequence[ScoringRequest], *, score_prompts: bool
) -> list[tuple[int, Likelihood]]:
    tally = Tally(requests)
    asked = list(steps(requests, score_prompts=score_prompts))
    # vLLM finishes in an order of its own
    return [found for step in reversed(asked) for found in tally.add(step, answer(step))]


def request(context: str, continuation: str) -> ScoringRequest:
    """One token a character."""
    return ScoringRequest(tuple(ord(c) for c in context + continuation), len(continuation))


def shown(planned: Sequence[Step]) -> list[tuple[str, int, str]]:
    return [("".join(map(chr, s.prompt)), s.scored, "".join(map(chr, s.options))) for s in planned]


tokens = st.lists(st.sampled_from(VOCABULARY), min_size=2, max_size=9)


@st.composite
def scoring_requests(draw: st.DrawFn) -> ScoringRequest:
    drawn = tuple(draw(tokens))
    return ScoringRequest(drawn, draw(st.integers(1, len(drawn) - 1)))


@given(st.lists(scoring_requests(), max_size=12), st.booleans())
def test_every_request_gets_its_own_sum_once(
    requests: list[ScoringRequest], score_prompts: bool
) -> None:
    """Contexts that begin other contexts, equal requests and one that ends within another among them."""
    found = scored(requests, score_prompts=score_prompts)
    assert sorted(position for position, _ in found) == list(range(len(requests)))
    for position, likelihood in found:
        wanted = expected(requests[position])
        assert likelihood.logprob == pytest.approx(wanted.logprob, abs=1e-12)
        assert likelihood.greedy == wanted.greedy


@given(st.lists(scoring_requests(), max_size=12), st.booleans())
def test_no_step_feeds_the_last_token(requests: list[ScoringRequest], score_prompts: bool) -> None:
    """It would need one position more than the context has."""
    longest = max((len(r.tokens) for r in requests), default=0)
    for step in steps(requests, score_prompts=score_prompts):
        assert len(step.prompt) < longest
        assert len(step.options) == len(set(step.options))
        for position, option in step.uses:
            told = requests[position].tokens
            assert (*step.prompt, option) == told[: len(step.prompt) + 1]
            assert len(step.prompt) - step.scored >= len(told) - requests[position].continuation


class TestPlan:
    def test_choices_of_one_token_are_one_step(self) -> None:
        planned = steps([request("Is it so?", "y"), request("Is it so?", "n")])
        assert shown(list(planned)) == [("Is it so?", 0, "ny")]

    def test_short_ones_share_their_beginnings(self) -> None:
        planned = steps([request("ab", "cde"), request("ab", "ge"), request("ab", "cdf")])
        assert shown(list(planned)) == [
            ("ab", 0, "cg"),
            ("abc", 0, "d"),
            ("abcd", 0, "ef"),
            ("abg", 0, "e"),
        ]

    def test_the_tokens_between_are_scored_in_the_prompt(self) -> None:
        """First tokens once for the context, the last as options, `de` as a prompt."""
        planned = steps([request("ab", "cdef"), request("ab", "cdeg"), request("ab", "he")])
        assert shown(list(planned)) == [("ab", 0, "ch"), ("abcde", 2, "fg"), ("abh", 0, "e")]

    def test_without_prompts_every_token_is_an_option(self) -> None:
        planned = steps([request("ab", "cdef"), request("ab", "he")], score_prompts=False)
        assert [scored for _, scored, _ in shown(list(planned))] == [0] * 5

    def test_a_continuation_that_is_alone_takes_one_step(self) -> None:
        """As in Winogrande, where each choice has a context of its own; asked twice, still one."""
        planned = steps([request("ab", "cde"), request("x", "y"), request("ab", "cde")])
        assert shown(list(planned)) == [("abcd", 2, "e"), ("x", 0, "y")]

    def test_steps_on_one_context_follow_each_other(self) -> None:
        """A document's choices may lie anywhere, as those that two tasks share do."""
        asked = [request(context, end) for end in ("yes", "no") for context in ("one", "two")]
        assert [s.prompt[:3] for s in steps(asked)] == [(111, 110, 101)] * 4 + [(116, 119, 111)] * 4

    def test_more_options_than_vllm_takes_are_split(self) -> None:
        asked = [ScoringRequest((5, token), 1) for token in range(MOST_OPTIONS + 2)]
        planned = list(steps(asked))
        assert [len(s.options) for s in planned] == [MOST_OPTIONS, 2]
        assert {p for s in planned for p, _ in s.uses} == set(range(len(asked)))

    @pytest.mark.parametrize(
        ("scored", "readable"), [(0, 9), (1, 7), (3, 5)], ids=["none", "one", "three"]
    )
    def test_what_may_come_from_the_cache(self, scored: int, readable: int) -> None:
        """Nine tokens, the last three scored: the sixth predicts the first of them, so five may."""
        assert Step(tuple(range(9)), scored, (1,), ()).readable == readable


class TestTally:
    def test_a_failed_step_fails_its_requests_once_and_no_others(self) -> None:
        requests = [request("ab", "cdef"), request("ab", "gh"), request("ab", "i")]
        first, middle, last = steps(requests)
        tally = Tally(requests)
        assert list(tally.fail(middle, Failure("killed"))) == [(0, Failure("killed"))]
        assert [p for p, _ in tally.add(first, _flat(first))] == [2]
        assert [p for p, _ in tally.add(last, _flat(last))] == [1]
        assert list(tally.fail(middle, Failure("again"))) == []

    def test_a_sum_that_is_no_number_is_an_error(self) -> None:
        requests = [request("a", "b")]
        [step] = steps(requests)
        with pytest.raises(UserError, match="not finite"):
            list(Tally(requests).add(step, StepAnswer({ord("b"): math.nan}, ord("b"))))


def _flat(step: Step) -> StepAnswer:
    return StepAnswer(dict.fromkeys(step.options, -1.0), step.options[0])
