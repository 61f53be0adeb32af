"""The text plot: marks where the arithmetic says, labels where there is room, every point named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.demo.scatter import Axis, Point, axis, scatter

PERCENT = st.floats(0, 100)


def drawn(*points: Point, **size: int) -> list[str]:
    return scatter(points, across="helpful", up="harmless", **size)


def rows(lines: list[str]) -> dict[int, str]:
    """Row number from the bottom -> what stands right of the axis."""
    plot = [line[5:] for line in lines[1:] if line[4:5] in ("|", "+")]
    return dict(enumerate(reversed(plot[:-1])))


def test_the_scale_reaches_from_the_ten_below_to_the_ten_above() -> None:
    assert axis([34.9, 92.1], 10) == Axis(30, 100, 10)
    assert axis([40.0, 70.0], 10) == Axis(40, 70, 10)


def test_a_scale_is_20_wide_at_least_and_ends_at_100() -> None:
    assert axis([51.0, 52.0], 10) == Axis(50, 70, 10)
    assert axis([97.0, 100.0], 10) == Axis(80, 100, 10)


def test_a_value_lies_in_the_nearest_cell() -> None:
    """11 cells from 0 to 20 are 2 apart: 5.1 is nearest to 6, the fourth of them."""
    scale = Axis(0, 20, 11)
    assert [scale.cell(v) for v in (0, 0.9, 1.1, 5.1, 20)] == [0, 0, 1, 3, 10]


def test_a_tick_each_ten() -> None:
    assert Axis(30, 60, 7).ticks() == {0: "30", 2: "40", 4: "50", 6: "60"}


def test_a_plot_by_hand() -> None:
    """21 cells across from 40 to 60 are 1 apart, 5 cells up from 0 to 40 are 10 apart."""
    lines = drawn(Point("a", 45, 9), Point("bb", 59.6, 31), width=26, height=5)
    assert lines == [
        "harmless (percent)",
        " 40 +",
        " 30 +                 bb 2",
        " 20 +",
        " 10 +     1 a",
        "  0 +",
        "    ++---------+---------+",
        "    40        50        60",
        "         helpful (percent)",
        "",
        "  1 a   helpful  45.0  harmless   9.0",
        "  2 bb  helpful  59.6  harmless  31.0",
    ]


def test_marks_in_the_same_cell_stand_side_by_side() -> None:
    """The second to the right; at the right edge to the left."""
    lines = rows(drawn(*[Point("x" * 30, 65.0, 60.0)] * 3, width=25, height=3))
    assert lines[0] == "    312"
    assert rows(drawn(*[Point("x" * 30, 100.0, 50.0)] * 2, width=25, height=3))[0].endswith("21")


def test_a_label_that_has_no_room_is_left_out_and_the_legend_names_its_mark() -> None:
    lines = drawn(Point("first", 50, 50), Point("second", 51, 50), width=25, height=3)
    plot = "\n".join(rows(lines).values())
    assert "first" not in plot
    assert "12 second" in plot
    assert lines[-2].startswith("  1 first ")


@given(st.lists(st.tuples(PERCENT, PERCENT), min_size=1, max_size=9))
def test_every_point_has_one_mark_near_its_place_and_lines_fit_80_columns(
    places: list[tuple[float, float]],
) -> None:
    """Near: in its own row, and no more columns away than there are other points."""
    points = [Point(f"model-{'abcdefghi'[i]}", x, y) for i, (x, y) in enumerate(places)]
    lines = drawn(*points)
    across, up = axis([x for x, _ in places], 74), axis([y for _, y in places], 17)
    plot = rows(lines)
    for number, (x, y) in enumerate(places, 1):
        assert sum(row.count(str(number)) for row in plot.values()) == 1
        column = plot[up.cell(y)].index(str(number))
        assert abs(column - across.cell(x)) < len(places)
    assert max(map(len, lines)) <= 79
    assert all(line.isascii() for line in lines)


def test_after_nine_come_letters() -> None:
    lines = drawn(*[Point("x", 3.0 * n, 50) for n in range(11)])
    assert [line[2] for line in lines[-11:]] == list("123456789AB")
    row = rows(lines)[axis([50.0], 17).cell(50)]
    assert "".join(c for c in row if c not in "x ") == "123456789AB"


@pytest.mark.parametrize("value", [0.0, 100.0])
def test_the_ends_of_the_scale_are_on_the_plot(value: float) -> None:
    plot = rows(drawn(Point("end", value, value)))
    assert any("1" in row for row in plot.values())
