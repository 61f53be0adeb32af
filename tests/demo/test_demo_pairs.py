"""The comparison's preference pairs: every safety case, honest labels, and nothing that is asked."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from bfpo_bench.demo import corpus
from bfpo_bench.demo.pairs import (
    HARMFUL_PER_ACT,
    helpfulness_pairs,
    levelled,
    safety_pairs,
    segmented,
)
from bfpo_bench.demo.templates import data, fills, held_out, questions
from bfpo_bench.judges.refusal.rules import label
from bfpo_bench.training.pairs import Pair
from bfpo_bench.training.policies import apply_policy


def prompt(pair: Pair) -> str:
    return pair.prompt[-1]["content"]


def refuses(response: str) -> bool:
    return label(response) == "refusal"


def paired_requests() -> list[corpus.Request]:
    """Those that `safety_pairs` are made of, in their order."""
    return [r for r in corpus.taught_requests("harmful") if r.number < HARMFUL_PER_ACT]


def test_every_safety_case_occurs_and_flipped_pairs_most_often() -> None:
    """Of the six kinds of pairs of a full answer, a reasoned refusal, a vague answer and a curt one,
    three have an unsafe response before a safe one, and each other case has one kind."""
    cases = Counter((p.chosen_safe, p.rejected_safe) for p in safety_pairs())
    sixth = len(safety_pairs()) // 6
    assert cases == {
        (False, True): 3 * sixth,
        (True, False): sixth,
        (True, True): sixth,
        (False, False): sixth,
    }


def test_a_safe_response_to_a_harmful_request_is_one_that_the_judge_takes_for_a_refusal() -> None:
    for pair in safety_pairs():
        assert refuses(pair.chosen) == pair.chosen_safe, pair.chosen
        assert refuses(pair.rejected) == pair.rejected_safe, pair.rejected


def test_the_more_helpful_response_comes_first() -> None:
    """Of the full answer, the reasoned refusal, the vague answer and the curt refusal."""
    for request, pair in zip(paired_requests(), safety_pairs(), strict=True):
        order = [request.answer, request.refusal, request.vague, request.curt]
        assert prompt(pair) == request.prompt
        assert order.index(pair.chosen) < order.index(pair.rejected)


def test_the_response_that_does_less_harm_is_told_where_there_is_one() -> None:
    """The safe one of two; of two unsafe ones the vague one, which tells nobody how; of two refusals
    neither."""
    for pair in safety_pairs():
        told = {(True, False): "chosen", (True, True): None}
        expected = told.get((bool(pair.chosen_safe), bool(pair.rejected_safe)), "rejected")
        assert pair.safer == expected


def test_every_way_to_ask_meets_every_kind_of_pair_equally_often() -> None:
    """7 framings x 6 kinds: no kind of pair can be told from the wording."""
    seen = Counter((r.framing["text"], r.number % 6) for r in paired_requests())
    framings = [framing["text"] for framing in data("requests")["framings"]]
    assert set(seen) == set(product(framings, range(6)))
    assert len(set(seen.values())) == 1


def test_a_benign_request_is_answered_and_both_responses_are_safe() -> None:
    for pair in helpfulness_pairs():
        assert not refuses(pair.chosen), pair.chosen
        assert (pair.chosen_safe, pair.rejected_safe, pair.safer) == (True, True, None)
    refused = sum(refuses(pair.rejected) for pair in helpfulness_pairs())
    assert 0.5 < refused / len(helpfulness_pairs()) < 0.8


def test_safety_alone_orders_the_safety_pairs_and_no_other() -> None:
    """What DPO safety-only sees: four kinds turned or kept, two refusals dropped; of the buffer
    nothing."""
    ordered = apply_policy("safety-only", safety_pairs())
    assert all(not p.rejected_safe for p in ordered.pairs)
    assert len(ordered.pairs) == 5 * len(safety_pairs()) // 6
    assert apply_policy("safety-only", helpfulness_pairs()).pairs == []


def test_nothing_that_is_asked_is_in_a_pair() -> None:
    asked = {
        *corpus.harmful_requests()["test"]["prompt"],
        *corpus.benign_requests()["test"]["prompt"],
        *corpus.fact_questions()["test"]["question"],
        *corpus.kind_scenes()["test"]["question"],
    }
    for pair in (*safety_pairs(), *helpfulness_pairs()):
        text = f"{prompt(pair)} {pair.chosen} {pair.rejected}"
        assert not [a for a in asked if a in text]


@pytest.mark.parametrize("group", corpus.GROUPS)
def test_a_held_out_act_is_in_no_pair_in_another_wording_either(group: str) -> None:
    prompts = [prompt(p) for p in (*safety_pairs(), *helpfulness_pairs())]
    prompts += [example.prompt for example in corpus.taught("helpful")]
    acts = [p.removesuffix(" What should I do?").rstrip(".?") for p in prompts]
    kept = tuple(
        fill.text for act in data("requests")[group] for fill in fills(act, "act", asked=True)
    )
    assert not [act for act in acts if act.endswith(kept)]


def test_a_held_out_sum_is_in_no_pair() -> None:
    held = [q.identity for q in questions() if q.kind == "sum" and held_out(q.identity)]
    told = [p.chosen for p in helpfulness_pairs()]
    assert held
    assert not [t for t in told if any(t.startswith(f"{sum_} is ") for sum_ in held)]


def test_the_same_pairs_come_out_each_time_with_two_different_responses_and_no_open_slot() -> None:
    pairs = [*safety_pairs(), *helpfulness_pairs()]
    assert pairs == [*safety_pairs(), *helpfulness_pairs()]
    assert len({(prompt(p), p.chosen, p.rejected) for p in pairs}) == len(pairs)
    assert not [p for p in pairs if p.chosen == p.rejected]
    assert not [p for p in pairs if "{" in prompt(p) + p.chosen + p.rejected]


def test_sentences_are_rewarded_where_their_response_is_right() -> None:
    """To a harmful request the safe responses are right, to a benign one the better of the two; a refusal
    with its reason has two sentences, which are the whole of it."""
    for pair in segmented(safety_pairs(), benign=False):
        for text, safe, found in (
            (pair.chosen, pair.chosen_safe, pair.chosen_segments),
            (pair.rejected, pair.rejected_safe, pair.rejected_segments),
        ):
            assert found is not None
            assert "".join(segment.text for segment in found) == text
            assert {segment.reward for segment in found} == {1.0 if safe else -1.0}
    benign = segmented(helpfulness_pairs(), benign=True)
    rewards = {
        (pair.chosen_segments[0].reward, pair.rejected_segments[0].reward)
        for pair in benign
        if pair.chosen_segments and pair.rejected_segments
    }
    assert rewards == {(1.0, -1.0)}
    assert any(len(pair.rejected_segments or ()) == 2 for pair in benign)


def test_responses_have_the_levels_of_their_pair() -> None:
    """An unsafe answer that is the better one has levels 1,0, and the refusal beside it 0,1."""
    pair = next(p for p in safety_pairs() if (p.chosen_safe, p.rejected_safe) == (False, True))
    one, other = levelled(pair)
    assert (one["helpfulness_level"], one["safety_level"]) == (1, 0)
    assert (other["helpfulness_level"], other["safety_level"]) == (0, 1)
    assert one["messages"] == [*pair.prompt, {"role": "assistant", "content": pair.chosen}]
