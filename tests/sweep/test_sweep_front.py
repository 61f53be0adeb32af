"""The front of a sweep: against its definition, and what is said where intervals do not bear it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from boards import board_row, data, data_sets
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.sweep.front import Front, csv_of, front_of, told
from bfpo_bench.sweep.grid import Knob, points_of
from bfpo_bench.sweep.picture import picture

UNSCORED = {f"harmlessness{end}": float("nan") for end in ("", "_ci_low", "_ci_high")}


def front(*places: tuple[float, float], **changes: dict[str, Any]) -> Front:
    """Of points tau=1, tau=2, ... at these places, each interval two to either side; `changes` to the
    rows of tau1, tau2, ..."""
    points = points_of("r", [Knob("objective.tau", tuple(range(1, len(places) + 1)))])
    measured = {
        point.name: (
            f"run-{point.label}",
            board_row(f"{point.name}@1a2b3c4d", x, y) | changes.get(f"tau{n}", {}),
        )
        for n, (point, (x, y)) in enumerate(zip(points, places, strict=True), 1)
    }
    return front_of(points, measured)


def labels(found: Front) -> list[str]:
    return [p.point.label for p in found.points if p.on_front]


class TestWhoIsOnIt:
    @given(st.lists(st.tuples(st.integers(3, 7), st.integers(3, 7)), min_size=1, max_size=8))
    def test_those_that_no_other_beats(self, places: Sequence[tuple[int, int]]) -> None:
        """On a grid of 25 places ties are frequent: equal points stand or fall together."""
        expected = []
        for n, (x, y) in enumerate(places, 1):
            beaten = False
            for a, b in places:
                if (a > x and b >= y) or (a >= x and b > y):
                    beaten = True
            if not beaten:
                expected.append(f"tau={n}")
        assert labels(front(*places)) == expected

    def test_rows_of_another_key_are_not_compared(self) -> None:
        """The last would beat all others, by other questions or another judge."""
        found = front((40, 60), (60, 40), (99, 99), tau3={"comparability_key": "other"})
        assert labels(found) == ["tau=1", "tau=2"]
        assert found.points[2].on_front is None
        assert found.points[2].left_out == "not comparable"
        assert told(found)[-1].endswith("no part of the front: tau=3 (not comparable).")

    def test_nor_rows_that_lack_a_task_that_others_have(self) -> None:
        found = front((40, 60), (60, 40), (99, 99), tau3={"missing": "bfpo_xstest_safe"})
        assert [p.on_front for p in found.points] == [True, True, None]

    def test_nor_rows_without_a_score_nor_the_null_engines(self) -> None:
        found = front(
            *((40, 60), (99, 99), (99, 99)), tau2=UNSCORED, tau3={"model": "m (null engine)"}
        )
        assert [p.left_out for p in found.points] == [
            "",
            "without harmlessness",
            "of the null engine, which measures nothing",
        ]

    def test_a_point_that_was_not_measured_is_named(self) -> None:
        points = points_of("r", [Knob("tau", (1, 2))])
        found = front_of(points, {"r-tau1": ("run", board_row("m", 40, 60))})
        assert told(found) == [
            "1 of 1 points is on the front: tau=1.",
            "Not on the picture, and no part of the front: tau=2 (not measured).",
        ]
        assert told(front_of(points, {}))[0] == "No point has a place: there is no front."


class TestWhatIsSaid:
    def test_that_intervals_tell_no_point_from_another(self) -> None:
        """50, 52 and 54 with two to either side touch: 48 to 52, 50 to 54, 52 to 56."""
        assert told(front((50, 54), (52, 52), (54, 50))) == [
            "3 of 3 points are on the front: tau=1; tau=2; tau=3.",
            "The intervals of all points overlap in both scores: this tells none of them from another.",
        ]

    def test_how_many_pairs_they_tell_apart(self) -> None:
        """Helpfulness 40, 45, 80: all three pairs are apart. Harmlessness 60, 59, 40: the pairs with the
        last are, and 60 and 59 are not. None lies below another in both."""
        assert told(front((40, 60), (45, 59), (80, 40)))[1:] == [
            "Of 3 pairs of points so many have intervals apart: 3 in helpfulness, 2 in harmlessness."
        ]

    def test_which_points_are_clearly_behind(self) -> None:
        """(40, 40) is beaten beyond its intervals by (60, 60), and (59, 59) within them."""
        found = front((60, 60), (40, 40), (59, 59))
        assert labels(found) == ["tau=1"]
        assert told(found)[2] == (
            "Behind the front: 2, of which 1 by intervals that lie below another point's in both scores."
        )


class TestFiles:
    def test_a_line_a_point_with_its_value_as_it_was_given(self) -> None:
        points = points_of("r", [Knob("tau", (5e-07, "=1+1"))])
        text = csv_of(front_of(points, {points[0].name: ("run-1", board_row("m", 40, 60))}))
        one, other = csv.DictReader(io.StringIO(text))
        assert one == {
            "point": "r-tau5e-07",
            "tau": "5e-07",
            "helpfulness": "40.0000",
            "helpfulness_ci_low": "38.0000",
            "helpfulness_ci_high": "42.0000",
            "harmlessness": "60.0000",
            "harmlessness_ci_low": "58.0000",
            "harmlessness_ci_high": "62.0000",
            "on_front": "True",
            "left_out": "",
            "run": "run-1",
        }
        assert other["tau"] == "'=1+1"
        assert (other["on_front"], other["helpfulness"], other["run"]) == ("", "", "")
        assert other["left_out"] == "not measured"

    def test_the_picture_joins_the_points_of_one_key_in_its_order(self) -> None:
        """Their order is that of the values, not that of the scores."""
        places = [(60.0, 40.0), (40.0, 60.0), (50.0, 45.0)]
        spec = picture(front(*places), "mine")
        path = [{"x": x, "y": y, "order": n} for n, (x, y) in enumerate(places, 1)]
        assert path in list(data_sets(spec))
        assert spec["title"]["text"] == "mine over objective.tau"
        assert {"tau=1", "tau=2", "tau=3"} <= {d.get("text") for d in data(spec)}
        assert "in the order of objective.tau" in str(spec)

    def test_that_of_two_keys_joins_nothing(self) -> None:
        points = points_of("r", [Knob("a", (1, 2)), Knob("b", (1,))])
        rows = {p.name: ("run", board_row(p.name, 40, 60)) for p in points}
        spec = picture(front_of(points, rows), "mine")
        assert spec["title"]["text"] == "mine over a, b"
        assert "in the order of" not in str(spec)


@pytest.mark.parametrize("places", [[(50.0, 50.0)], [(0.0, 100.0), (0.0, 100.0)]])
def test_one_point_and_equal_points_are_drawn(places: list[tuple[float, float]]) -> None:
    """A score of 0 or 100 has an interval on one side alone."""
    assert picture(front(*places), "mine")["description"].startswith("Scatter plot")
