"""The curve of scores over the tokens that answers were started with."""

from __future__ import annotations

from boards import data

from bfpo_bench.leaderboard.charts.curve import TOGETHER, Line, Point, curve


def line(model: str, **values: float) -> Line:
    """`k5=40`: 40 %, two points to either side, after 5 tokens."""
    points = [Point(int(k[1:]), v, v - 2, v + 2) for k, v in values.items()]
    return Line(model, points)


TWO = [line("org/a", k0=90, k5=50, k25=20), line("org/b", k0=80, k25=60)]


def test_a_point_a_score_with_its_interval() -> None:
    """Each stands once: bars, lines and dots draw the same data."""
    found = [
        (d["label"], d["tokens"], d["value"], d["low"], d["high"]) for d in data(curve(TWO, "safe"))
    ]
    assert sorted(set(found)) == [
        ("a", 0, 90, 88, 92),
        ("a", 5, 50, 48, 52),
        ("a", 25, 20, 18, 22),
        ("b", 0, 80, 78, 82),
        ("b", 25, 60, 58, 62),
    ]


def test_models_have_a_colour_and_a_shape_each_and_a_legend() -> None:
    spec = curve(TWO, "safe")
    dots = spec["layer"][-1]["encoding"]
    for channel in ("color", "shape"):
        assert dots[channel]["scale"]["domain"] == ["a", "b"]
        assert len(set(dots[channel]["scale"]["range"])) == 2
        assert dots[channel]["legend"]["orient"] == "bottom"


def test_axes_are_percent_and_the_numbers_of_tokens_at_their_distances() -> None:
    encoding = curve(TWO, "turned back")["layer"][0]["encoding"]
    assert encoding["y"]["scale"]["domain"] == [0, 100]
    assert encoding["y"]["title"] == "turned back (%)"
    assert encoding["x"]["axis"]["values"] == [0, 5, 25]


def test_points_at_one_number_stand_apart_and_nearer_to_it_than_to_the_next() -> None:
    """Seven of eight gaps between eight points span the numbers' way of one token by at most 0.6."""
    lines = [line(f"m{i}", k0=50, k1=40, k100=30) for i in range(TOGETHER)]
    for width in (560, 220):
        found = data(curve(lines, "safe", width=width))
        at = {k: sorted({d["x"] for d in found if d["tokens"] == k}) for k in (0, 1)}
        assert len(at[0]) == len(at[1]) == TOGETHER
        assert sum(at[0]) / TOGETHER < 1e-9
        assert at[0][-1] - at[0][0] <= 0.6
        assert at[0][-1] < at[1][0]


def test_one_models_points_stand_at_their_numbers() -> None:
    assert all(d["x"] == d["tokens"] for d in data(curve(TWO[:1], "safe")))


def test_of_many_models_each_has_a_panel_of_its_own() -> None:
    """On a phone they stand below each other."""
    lines = [line(f"m{i}", k0=50 + i, k5=40) for i in range(TOGETHER + 1)]
    spec, phone = curve(lines, "safe"), curve(lines, "safe", width=220, height=220)
    assert [p["title"]["text"] for p in spec["concat"]] == [[f"m{i}"] for i in range(TOGETHER + 1)]
    assert [{d["name"] for d in data(p)} for p in spec["concat"]] == [
        {f"m{i}"} for i in range(TOGETHER + 1)
    ]
    assert (spec["columns"], phone["columns"]) == (4, 1)


def test_each_theme_has_colours_of_its_own() -> None:
    light, dark = (curve(TWO, "safe", dark=dark) for dark in (False, True))
    ranges = [s["layer"][-1]["encoding"]["color"]["scale"]["range"] for s in (light, dark)]
    assert not set(ranges[0]) & set(ranges[1])
    assert light["config"] != dark["config"]
