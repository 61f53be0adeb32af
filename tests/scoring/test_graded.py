"""Answers that were graded or compared: points of 0 to 100, and nothing for what nobody judged."""

from __future__ import annotations

import pytest
from generative_runs import CHORES, key, responses, verdicts
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.runs.records import Label
from bfpo_bench.scoring.graded import SCALES, Lengths, grade, graded_score
from bfpo_bench.scoring.outcomes import Judged
from bfpo_bench.scoring.scores import TaskScore

LABEL: dict[str, Label] = {"preference": "draw", "rating": "rated"}
NONE = float("nan")


class TestPoints:
    @pytest.mark.parametrize(
        ("kind", "number", "points"),
        [
            ("preference", 1.0, 0),
            ("preference", 1.25, 25),
            ("preference", 1.5, 50),
            ("preference", 2.0, 100),
            ("rating", 1.0, 0),
            ("rating", 5.5, 50),
            ("rating", 7.0, 200 / 3),
            ("rating", 10.0, 100),
        ],
    )
    def test_the_scales_worst_number_is_0_and_its_best_100(
        self, kind: str, number: float, points: float
    ) -> None:
        found = grade(kind, LABEL[kind], number)
        assert found.outcome == "answered"
        assert found.points == pytest.approx(points)

    @pytest.mark.parametrize(
        ("kind", "number"),
        [
            *(("preference", n) for n in (0.0, 0.99, 2.01, -1.5)),
            *(("rating", n) for n in (0.0, 0.5, 10.5, 11.0, -3.0)),
            *((kind, n) for kind in SCALES for n in (float("nan"), float("inf"), float("-inf"))),
        ],
    )
    def test_a_number_outside_the_scale_is_no_verdict(self, kind: str, number: float) -> None:
        assert grade(kind, LABEL[kind], number) == Judged("unjudged")

    @pytest.mark.parametrize(
        ("label", "number"),
        [
            ("unjudged", NONE),
            ("unjudged", 1.5),
            ("better", NONE),
            # A reward that was compared with nothing, and another kind's label
            ("rated", 1.5),
            ("harmless", 1.5),
        ],
    )
    def test_without_a_label_and_a_number_there_is_no_verdict(
        self, label: Label, number: float
    ) -> None:
        found = grade("preference", label, number)
        assert (found, found.points) == (Judged("unjudged"), None)

    @pytest.mark.parametrize("kind", SCALES)
    def test_a_degenerate_answer_earns_what_the_worst_does(self, kind: str) -> None:
        found = grade(kind, "degenerate", NONE)
        assert (found.outcome, found.points) == ("degenerate", 0)

    @given(st.sampled_from(list(SCALES)), st.floats())
    def test_points_are_a_percentage_or_none(self, kind: str, number: float) -> None:
        points = grade(kind, LABEL[kind], number).points
        assert points is None or 0 <= points <= 100


def score(kind: str, *labels: str | None, scores: list[float | None]) -> TaskScore:
    told = verdicts("chores", *labels, scores=scores)["chores"]
    return graded_score(CHORES, kind, told, responses("chores", len(labels)), None)


def test_a_win_rate() -> None:
    """Won, lost, a draw, won by three quarters, empty, unjudged: (100 + 0 + 50 + 75 + 0) / 5 = 45.

    If the unjudged one were lost, 225 / 6 = 37.5; if it were won, 325 / 6.
    """
    found = score(
        "preference",
        *("better", "worse", "draw", "better", "degenerate", "unjudged"),
        scores=[2.0, 1.0, 1.5, 1.75, None, None],
    )
    assert found.value == pytest.approx(45)
    assert found.raw_value == pytest.approx(45)
    assert (found.metric, found.raw_metric) == ("win rate", "win rate")
    assert found.raw_higher_is_better
    assert (found.n, found.n_scored) == (6, 5)
    assert (found.bound_low, found.bound_high) == pytest.approx((37.5, 325 / 6))
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert 0 <= found.ci_low < 45 < found.ci_high <= 100
    assert found.outcomes is not None
    assert found.outcomes.model_dump(exclude_defaults=True) == {
        "answered": 4,
        "degenerate": 1,
        "unjudged": 1,
    }


def test_a_mean_grade() -> None:
    """Grades 10, 1 and 4, and 11, which is none: (100 + 0 + 100 / 3) / 3 = 400 / 9, and 5 as a grade.

    Bounds: 400 / 3 points of four answers, 100 / 3, and with 100 for the fourth 175 / 3.
    """
    found = score("rating", *["rated"] * 4, scores=[10.0, 1.0, 4.0, 11.0])
    assert found.value == pytest.approx(400 / 9)
    assert found.raw_value == pytest.approx(5)
    assert (found.metric, found.raw_metric) == ("(grade - 1) / 9", "mean grade")
    assert (found.n, found.n_scored) == (4, 3)
    assert (found.bound_low, found.bound_high) == pytest.approx((100 / 3, 175 / 3))
    assert found.length_controlled is None


def test_equal_verdicts_give_equal_intervals() -> None:
    """The bootstrap's seed is the task's."""
    one, other = (
        score("rating", *["rated"] * 5, scores=[1.0, 3.0, 5.0, 8.0, 9.0]) for _ in range(2)
    )
    assert one == other


class TestWhereNothingCouldBeJudged:
    def test_degenerate_answers_alone_say_nothing_of_the_unjudged_ones(self) -> None:
        found = score("rating", "degenerate", "unjudged", scores=[])
        assert found.value is None
        assert found.unscored == "no answer could be judged, see its verdicts"
        assert (found.n, found.n_scored) == (2, 1)
        assert (found.bound_low, found.bound_high) == (0, 50)

    def test_a_model_that_says_nothing_at_all_has_lost(self) -> None:
        """Every answer was found degenerate, and so has its verdict: 0, as the worst judge's word."""
        found = score("preference", *["degenerate"] * 3, scores=[])
        assert (found.value, found.n_scored, found.unscored) == (0, 3, None)
        assert (found.bound_low, found.bound_high) == (0, 0)

    def test_no_answers(self) -> None:
        found = score("rating", scores=[])
        assert found.value is None
        assert found.unscored


class TestLengthControlled:
    def rate(self, count: int, lengths: Lengths | None) -> TaskScore:
        """Every third answer wins, by however much it is longer."""
        labels = ["better" if i % 3 == 0 else "worse" for i in range(count)]
        scores = [2.0 if label == "better" else 1.0 for label in labels]
        told = verdicts("chores", *labels, scores=scores)["chores"]
        return graded_score(CHORES, "preference", told, responses("chores", count), lengths)

    def lengths(self, count: int, longer: int) -> Lengths:
        """Answers that win are `longer` characters longer than the others, and all vary a little."""
        keys = [key(i, "chores") for i in range(count)]
        model = {k: 200 + k[1] % 7 + (longer if k[1] % 3 == 0 else 0) for k in keys}
        return Lengths(model, {k: 200 + k[1] % 5 for k in keys})

    def test_it_stands_beside_the_win_rate_and_says_how_it_was_found(self) -> None:
        found = self.rate(60, self.lengths(60, longer=0))
        assert found.value == pytest.approx(100 / 3)
        assert found.length_controlled is not None
        assert found.length_controlled.method == "length_controlled_minimal"
        assert found.length_controlled.value is not None
        # Length decided nothing: close to the raw rate
        assert abs(found.length_controlled.value - 100 / 3) < 10

    def test_wins_by_length_are_taken_away_and_the_raw_rate_stays(self) -> None:
        """As above, but only long answers win: at equal length there would be fewer wins."""
        even = self.rate(60, self.lengths(60, longer=0))
        long = self.rate(60, self.lengths(60, longer=120))
        assert long.value == even.value
        assert long.length_controlled != even.length_controlled

    def test_it_says_so_where_lengths_are_not_known(self) -> None:
        some = Lengths({key(0, "chores"): 5}, {key(0, "chores"): 5})
        for lengths in (None, some):
            found = self.rate(30, lengths)
            assert found.length_controlled is not None
            assert found.length_controlled.value is None
            assert found.length_controlled.method == (
                "not computed: the lengths of the answers are not known"
            )

    def test_too_few_comparisons_are_not_regressed(self) -> None:
        found = self.rate(9, self.lengths(9, longer=50)).length_controlled
        assert found is not None
        assert found.value is None
        assert found.method.startswith("not computed: 9 valid preferences")
