"""Models that take a request in another form, and comparisons of which one half failed."""

from __future__ import annotations

import pytest
from api_judging import grading, judged, rated_items, work
from judge_server import Asked, JudgeServer, Sent, fails, says

from bfpo_bench.errors import UserError
from bfpo_bench.judges.item import Item


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BFPO_JUDGE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)


def wants_the_newer_limit(asked: Asked) -> Sent | None:
    message = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    return fails(400, message, "unsupported_parameter") if "max_tokens" in asked.body else None


def wants_no_temperature(asked: Asked) -> Sent | None:
    message = "'temperature' does not support 0.0 with this model. Only the default is supported."
    return fails(400, message, "unsupported_value") if "temperature" in asked.body else None


def test_the_newer_name_of_the_limit_is_sent_where_the_model_wants_it() -> None:
    """Learnt at the first item, which is asked once more, and kept for the others."""
    with JudgeServer(lambda a: wants_the_newer_limit(a) or grading(a)) as server:
        found, description = judged(work("rating=m", server.url), rated_items(5))
    assert [f.score for f in found] == [1, 2, 3, 4, 5]
    assert len(server.asked) == 6
    assert [a.body.get("max_completion_tokens") for a in server.asked] == [None] + [512] * 5
    assert all(a.body["temperature"] == 0 for a in server.asked)
    assert description["decoding"] == ["max_tokens was sent as max_completion_tokens"]
    assert (description["usage"]["requests"], description["usage"]["retries"]) == (6, 1)


def test_temperature_is_left_out_where_the_model_refuses_it() -> None:
    with JudgeServer(lambda a: wants_no_temperature(a) or grading(a)) as server:
        found, description = judged(work("rating=m", server.url), rated_items(5))
    assert [f.score for f in found] == [1, 2, 3, 4, 5]
    assert ["temperature" in a.body for a in server.asked] == [True] + [False] * 5
    assert all(a.body["max_tokens"] == 512 for a in server.asked)
    assert description["decoding"] == ["temperature 0 was left out: the model does not take it"]


def test_both_are_learnt_one_after_the_other() -> None:
    def respond(asked: Asked) -> Sent:
        return wants_the_newer_limit(asked) or wants_no_temperature(asked) or grading(asked)

    with JudgeServer(respond) as server:
        found, description = judged(work("rating=m", server.url), rated_items(3))
    assert [f.score for f in found] == [1, 2, 3]
    assert len(server.asked) == 5
    assert len(description["decoding"]) == 2


def test_a_server_that_wants_neither_form_is_not_asked_for_ever() -> None:
    refusal = fails(400, "Use 'max_completion_tokens' instead.", "unsupported_parameter")
    with JudgeServer(lambda asked: refusal) as server:
        with pytest.raises(UserError, match=r"change its judge\.yaml"):
            judged(work("rating=m", server.url), rated_items(3))
        assert len(server.asked) == 2


def test_the_usual_form_needs_no_note() -> None:
    with JudgeServer(grading) as server:
        _, description = judged(work("rating=m", server.url), rated_items(1))
    assert "decoding" not in description


@pytest.mark.parametrize("broken", [0, 1, None])
def test_a_comparison_of_which_one_order_met_a_fault_is_a_fault(broken: int | None) -> None:
    """The other order was refused, which alone would be remembered (None: both were)."""

    def respond(asked: Asked) -> Sent:
        if "Compare these" not in asked.text:
            return says("m", top={"m": -0.1, "M": -3.0})
        first = asked.text.index("Mine.") < asked.text.index("Theirs.")
        fault = broken is not None and first == (broken == 0)
        return fails(400, "strange") if fault else says(None, refusal="No.")

    items = [
        Item("Warm up", "Mine.", baseline="Theirs."),
        Item("Compare these", "Mine.", baseline="Theirs."),
    ]
    with JudgeServer(respond) as server:
        found, _ = judged(work("pairwise_both=m", server.url), items)
    assert found[1].label == "unjudged"
    assert found[1].fault == (broken is not None)
