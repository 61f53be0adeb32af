"""Comparisons in one drawn order or in both, asked of a real server."""

from __future__ import annotations

import math
import re

import pytest
from api_judging import judged, work
from judge_server import Asked, JudgeServer, Sent, fails, says

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.running.pairwise import (
    BASELINE_FIRST,
    MODEL_FIRST,
    compared,
    drawn_order,
    questions,
)

ITEMS = [Item(f"question {i}", f"model {i}", baseline=f"baseline {i}") for i in range(40)]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_JUDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def answers(asked: Asked) -> tuple[str, str]:
    """The answers called m and M."""
    fence = max(re.findall(r"(?m)^=+$", asked.text), key=len)
    inside = asked.text.split(f"{fence}\n")[1::2]
    return inside[1].strip(), inside[2].strip()


def prefers(winner: str, certainty: float = 0.8) -> object:
    """A judge that prefers the answer of `winner`, wherever it stands."""

    def respond(asked: Asked) -> Sent:
        first, _ = answers(asked)
        name, other = ("m", "M") if first.startswith(winner) else ("M", "m")
        top = {name: math.log(certainty), other: math.log(1 - certainty), "The": -20.0}
        return says(name, finish="length", top=top)

    return respond


def likes_the_first(asked: Asked) -> Sent:
    return says("m", finish="length", top={"m": math.log(0.9), "M": math.log(0.1)})


@pytest.mark.parametrize("judge", ["pairwise", "pairwise_both"])
@pytest.mark.parametrize(
    ("winner", "score", "label"), [("model", 1.8, "better"), ("baseline", 1.2, "worse")]
)
def test_the_model_is_scored_wherever_it_stood(
    judge: str, winner: str, score: float, label: str
) -> None:
    """A judge that is 80 % sure of the model's answer says 1.8 of it in either order."""
    with JudgeServer(prefers(winner)) as server:  # type: ignore[arg-type]
        found, description = judged(work(f"{judge}=m", server.url), ITEMS)
    assert [f.score for f in found] == pytest.approx([score] * 40)
    assert {f.label for f in found} == {label}
    assert description["read_from_text"] == 0
    body = server.asked[0].body
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"]) == (True, 5, 1)


def test_the_order_is_drawn_from_the_texts_and_is_about_even() -> None:
    orders = [drawn_order(item) for item in ITEMS]
    assert orders == [drawn_order(item) for item in ITEMS]
    assert 10 <= orders.count(MODEL_FIRST) <= 30
    with JudgeServer(likes_the_first) as server:
        found, _ = judged(work("pairwise=m", server.url), ITEMS)
    shown = {answers(asked) for asked in server.asked}
    for item, order, finding in zip(ITEMS, orders, found, strict=True):
        pair = (item.answer, item.baseline)
        assert (pair if order == MODEL_FIRST else pair[::-1]) in shown
        # It always likes the first, 90 %: 1 + 0.9 for the model where that was the model's
        assert finding.score == pytest.approx(1.9 if order == MODEL_FIRST else 1.1)
        assert finding.answers == {order: "1.9" if order == MODEL_FIRST else "1.1"}


def test_both_orders_undo_a_liking_for_the_first_place() -> None:
    """(1.9 + 1.1) / 2 = 1.5."""
    with JudgeServer(likes_the_first) as server:
        found, description = judged(work("pairwise_both=m", server.url), ITEMS)
        assert len(server.asked) == 80
        assert len({answers(asked) for asked in server.asked}) == 80
    assert {f.label for f in found} == {"draw"}
    assert found[0].answers == {"model_first": "1.9", "baseline_first": "1.1"}
    assert description["estimate"]["requests"] == 80


@pytest.mark.parametrize(
    ("failure", "fault"),
    [(fails(500), True), (says("I", finish="length", top={"I": -0.1}), False)],
)
def test_one_order_that_fails_leaves_the_comparison_unjudged(failure: Sent, fault: bool) -> None:
    def respond(asked: Asked) -> Sent:
        first, _ = answers(asked)
        return failure if first == "baseline 3" else likes_the_first(asked)

    with JudgeServer(respond) as server:
        found, _ = judged(work("pairwise_both=m", server.url), ITEMS[:6])
    assert (found[3].label, found[3].score, found[3].fault) == ("unjudged", None, fault)
    assert (found[3].error or "").startswith("baseline first: ")
    assert [f.label for f in found].count("draw") == 5


def test_equal_answers_are_a_draw_and_nobody_is_asked() -> None:
    items = [Item("q", "same", baseline="same"), Item("q", "no baseline")]
    with JudgeServer(likes_the_first) as server:
        found, _ = judged(work("pairwise=m", server.url), items)
        assert server.asked == []
    assert (found[0].label, found[0].score) == ("draw", 1.5)
    assert (found[1].label, found[1].error) == ("unjudged", "there is no answer to compare with")


def test_a_server_without_log_probabilities_is_read_by_its_text_and_said_so() -> None:
    with JudgeServer(lambda asked: says("m", finish="length")) as server:
        found, description = judged(work("pairwise=m", server.url), ITEMS[:10])
    orders = [drawn_order(item) for item in ITEMS[:10]]
    assert [f.score for f in found] == [2.0 if o == MODEL_FIRST else 1.0 for o in orders]
    assert description["read_from_text"] == 10


def test_a_judge_that_says_nothing_has_no_preference_whatever_its_probabilities() -> None:
    with JudgeServer(lambda asked: says("", top={"m": -0.1, "M": -3.0})) as server:
        found, _ = judged(work("pairwise=m", server.url), ITEMS[:2])
    assert [f.label for f in found] == ["unjudged"] * 2


def test_questions_stand_in_the_order_of_the_items() -> None:
    both = list(questions(ITEMS, [4, 7], "both"))
    assert [(q.position, q.order) for q in both] == [
        (4, MODEL_FIRST),
        (4, BASELINE_FIRST),
        (7, MODEL_FIRST),
        (7, BASELINE_FIRST),
    ]
    assert [(q.position, q.order) for q in questions(ITEMS, [4], None)] == [(4, None)]


def test_a_mean_of_two_preferences_by_hand() -> None:
    """Shown first, the model's answer loses with 1.25 for the second: 3 - 1.25 = 1.75 is its own.
    Shown second, 1.25 stands. (1.75 + 1.25) / 2 = 1.5."""
    shown = Finding("worse", 1.25)
    found = compared({MODEL_FIRST: shown, BASELINE_FIRST: shown})
    assert (found.label, found.score) == ("draw", 1.5)
    assert found.answers == {MODEL_FIRST: "1.75", BASELINE_FIRST: "1.25"}


def test_both_folders_ask_in_the_same_words() -> None:
    one, both = load_judge("pairwise=m").folder, load_judge("pairwise_both=m").folder
    assert (one / "prompt.txt").read_text() == (both / "prompt.txt").read_text()
    assert (one / "parser.py").read_text() == (both / "parser.py").read_text()
