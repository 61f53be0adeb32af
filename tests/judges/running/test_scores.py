"""What scores become: comparisons, probabilities, and never a verdict where one is no number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_models import reward_model
from score_judging import judged, work_of

from bfpo_bench.engines.base import Failure
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running import scores as running
from bfpo_bench.judges.running.scores import activated, preference
from bfpo_bench.judges.running.work import Work

KIND = {"kind": 1.0, "cruel": -1.0}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))


class Scripted:
    """A scorer that says what it is told, and counts what it is asked."""

    name = "scripted"
    asked: int

    def __init__(self, says: Sequence[float | Failure]) -> None:
        self.says = says

    def describe(self) -> dict[str, Any]:
        return {"engine": self.name}

    def scores(self, requests: Sequence[Any]) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        self.asked = len(requests)
        for i in reversed(range(len(requests))):
            said = self.says[i]
            yield i, said if isinstance(said, Failure) else (said,)

    def close(self) -> None:
        self.says = ()


class TestFaults:
    @pytest.fixture
    def work(self, tmp_path: Path) -> Work:
        return work_of(f"reward={reward_model(tmp_path / 'reward', KIND)}")

    def scripted(self, monkeypatch: pytest.MonkeyPatch, *says: float | Failure) -> Scripted:
        made = Scripted(says)
        monkeypatch.setattr(running, "load_scorer", lambda name, files: made)
        return made

    @pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
    def test_a_score_that_is_no_number_is_no_verdict(
        self, work: Work, monkeypatch: pytest.MonkeyPatch, broken: float
    ) -> None:
        self.scripted(monkeypatch, broken, 1.0)
        items = (Item("tea", "kind"), Item("tea", "cruel"), Item("tea", "kind", baseline="cruel"))
        found = judged(work, *items)
        fault = Finding("unjudged", error="the model's score is not a finite number")
        assert found == [fault, Finding("rated", score=1.0, raw="1.0"), fault]

    @pytest.mark.parametrize("says", [(Failure("too long"), 1.0), (1.0, Failure("too long"))])
    def test_what_the_engine_fails_on_is_a_fault_of_those_who_wait_for_it_alone(
        self, work: Work, monkeypatch: pytest.MonkeyPatch, says: tuple[float | Failure, ...]
    ) -> None:
        """A comparison waits for both of its texts."""
        self.scripted(monkeypatch, *says)
        items = [Item("tea", "kind"), Item("tea", "cruel"), Item("tea", "kind")]
        found = judged(work, *items, Item("tea", "cruel", baseline="kind"))
        fault = Finding("unjudged", error="the judge's engine failed on it: too long", fault=True)
        rated = Finding("rated", score=1.0, raw="1.0")
        one, other = (fault if isinstance(said, Failure) else rated for said in says)
        assert found == [one, other, one, fault]

    def test_equal_texts_are_scored_once(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        made = self.scripted(monkeypatch, 1.0, 2.0)
        items = [Item("tea", "kind", baseline="cruel"), Item("tea", "cruel", baseline="kind")]
        found = judged(work, *items, Item("tea", "cruel"), Item("tea", "kind", baseline="kind"))
        assert made.asked == 2
        assert [f.label for f in found] == ["worse", "better", "rated", "draw"]

    def test_the_scorer_is_closed_when_the_reader_leaves(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = self.scripted(monkeypatch, 1.0, 2.0)
        described: dict[str, Any] = {}
        items = [Item("tea", "kind"), Item("tea", "cruel")]
        reading = running.findings(work, items, described, lambda _: None)
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        assert made.says == ()
        assert described == {"engine": "scripted"}

    def test_nothing_to_ask_loads_nothing(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(running, "load_scorer", lambda *_: pytest.fail("it loaded"))
        assert judged(work) == []


class TestActivations:
    def test_by_hand(self) -> None:
        """sigmoid(0) = 1/2, sigmoid(ln 3) = 3/4; softmax of ln 1 and ln 3 is 1/4 and 3/4."""
        assert activated([0.0, math.log(3)], "none") == (0.0, math.log(3))
        assert activated([0.0, math.log(3)], "sigmoid") == pytest.approx((0.5, 0.75))
        assert activated([0.0, math.log(3)], "softmax") == pytest.approx((0.25, 0.75))

    @given(
        st.lists(st.floats(-1e308, 1e308), min_size=1, max_size=5),
        st.sampled_from(["sigmoid", "softmax"]),
    )
    def test_no_logit_is_too_large(self, logits: list[float], activation: str) -> None:
        found = activated(logits, activation)
        assert all(0 <= p <= 1 for p in found)
        if activation == "softmax":
            assert sum(found) == pytest.approx(1)

    @pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
    def test_what_is_not_finite_stays_so(self, activation: str) -> None:
        """A sigmoid would make a probability of infinity."""
        assert all(math.isnan(x) for x in activated([math.inf, 0.0], activation))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_preference_turned_round_is_the_other(reward: float, baseline: float) -> None:
    one, other = preference(reward, baseline), preference(baseline, reward)
    assert (one.score or 0) + (other.score or 0) == 3.0
    assert {one.label, other.label} in ({"better", "worse"}, {"draw"})
