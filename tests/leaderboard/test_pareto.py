"""Which rows nobody beats in both dimensions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.leaderboard.pareto import on_front, steps

points = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


def test_a_point_is_behind_where_another_is_as_good_in_both_and_better_in_one() -> None:
    """(2, 2) is beaten by (3, 3); (3, 1) by (3, 3), which equals it in the first."""
    assert on_front([(1, 5), (3, 3), (2, 2), (5, 1), (3, 1)]) == [True, True, False, True, False]


def test_equal_points_stand_together() -> None:
    assert on_front([(1, 1), (1, 1)]) == [True, True]


def test_the_front_steps_down_from_the_left_edge_to_the_bottom() -> None:
    """From the edge 0 at height 5 to (1, 5), down to 3, on to (4, 3), down to the edge 0."""
    assert steps([(4, 3), (1, 5), (2, 2)], 0, 0) == [(0, 5), (1, 5), (1, 3), (4, 3), (4, 0)]


def test_no_points_have_no_front() -> None:
    assert steps([], 0, 0) == []


@given(points)
def test_whoever_is_behind_is_beaten_by_one_of_the_front(found: list[tuple[int, int]]) -> None:
    front = {p for p, best in zip(found, on_front(found), strict=True) if best}
    assert bool(front) == bool(found)
    for x, y in set(found) - front:
        assert any(a >= x and b >= y for a, b in front)


@given(points.filter(bool))
def test_the_line_goes_right_and_down_and_through_the_front(found: list[tuple[int, int]]) -> None:
    corners = steps(found, -1, -1)
    assert [c[0] for c in corners] == sorted(c[0] for c in corners)
    assert [c[1] for c in corners] == sorted((c[1] for c in corners), reverse=True)
    assert {p for p, best in zip(found, on_front(found), strict=True) if best} <= set(corners)
