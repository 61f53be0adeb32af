"""The helpfulness-harmlessness plane as a Vega-Lite specification."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from boards import board, board_row, data, without_data

from bfpo_bench.leaderboard.charts.plane import NAMED, plane, undrawn
from bfpo_bench.leaderboard.charts.points import frame_of, points_of
from bfpo_bench.leaderboard.view import blocks

NONE = float("nan")
UNSCORED = {f"harmlessness{end}": NONE for end in ("", "_ci_low", "_ci_high")}


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    [block] = blocks(board(*given))
    return block.rows


def texts(spec: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(d["text"] for d in data(spec) if "text" in d))


THREE = rows(board_row("org/a", 40, 60), board_row("org/b", 60, 40), board_row("org/c", 30, 30))


def test_a_point_a_row_on_the_front_or_behind_it() -> None:
    found = {p.model: p for p in points_of(THREE, {})}
    assert {m: p.state for m, p in found.items()} == {
        "org/a": "on the Pareto front",
        "org/b": "on the Pareto front",
        "org/c": "behind it",
    }
    a = found["org/a"]
    assert (a.x, a.x_low, a.x_high, a.y) == (40, 38, 42, 60)
    assert (a.number, a.helpful) == (1, "40.0 [38.0, 42.0]")


def test_axes_hold_every_interval_and_do_not_leave_the_scale() -> None:
    """Harmlessness 99 has an interval up to 100: the axis ends there."""
    extremes = rows(board_row("a", 50, 99, harmlessness_ci_high=100.0), board_row("b", 52, 40))
    frame = frame_of(points_of(extremes, {}), 560, 420)
    assert frame.y[1] == 100
    assert frame.x[0] <= 48
    assert frame.x[1] >= 54


def test_pixels_and_percent_are_each_others_inverse() -> None:
    frame = frame_of(points_of(THREE, {}), 560, 420)
    assert frame.pixel(*frame.percent(100, 50)) == pytest.approx((100, 50))
    assert frame.pixel(frame.x[0], frame.y[1]) == (0, 0)


def test_rows_that_lack_different_tasks_say_so_below_the_plane() -> None:
    told = "These rows lack different tasks: their means are not alike."
    a, b = board_row("a", 40, 60, missing="bfpo_x"), board_row("b", 60, 40)
    assert told in json.dumps(plane(rows(a, b)))
    assert told not in json.dumps(plane(rows(b)))


def test_few_points_bear_names_many_bear_numbers() -> None:
    assert texts(plane(THREE)) == ["a", "b", "c"]
    many = rows(*(board_row(f"m{i}", 20 + i, 60 - i) for i in range(NAMED + 1)))
    written = texts(plane(many))
    assert "1" in written
    assert f"{NAMED + 1}  m{NAMED}" in written or "1  m0" in written


def test_an_arrow_leads_from_a_base_to_each_model_trained_from_it() -> None:
    """From (40, 60) up to (40, 80): straight up, which is an angle of 0."""
    trained = rows(
        board_row("base", 40, 60), board_row("tuned", 40, 80, base="base"), board_row("x", 60, 60)
    )
    spec = plane(trained)
    arrow, same = [d for d in data(spec) if "angle" in d]
    assert arrow == same, "shaft and head"
    assert arrow["angle"] == pytest.approx(0)
    assert arrow["x"] == arrow["x2"] == pytest.approx(40)
    assert 60 < arrow["y"] < arrow["y2"] < 80
    assert "Arrows lead from a base model" in json.dumps(spec)


def test_a_base_that_is_not_there_has_no_arrow() -> None:
    spec = plane(rows(board_row("tuned", base="elsewhere"), board_row("own", base="own")))
    assert not [d for d in data(spec) if "angle" in d]
    assert "Arrows" not in json.dumps(spec)


def test_a_model_that_lacks_a_score_is_named_below_and_not_drawn() -> None:
    lacking = rows(board_row("a"), board_row("b", **UNSCORED))
    assert undrawn(lacking) == ["b"]
    spec = plane(lacking)
    assert "Not drawn, for want of a score: b." in json.dumps(spec)
    assert {d["model"] for d in data(spec) if "model" in d} == {"a"}


def test_none_that_can_be_drawn_is_an_empty_plane() -> None:
    spec = plane(rows(board_row("b", **UNSCORED)))
    assert "of 0 models" in spec["description"]


def test_links_and_descriptions_come_along() -> None:
    spec = plane(THREE, links={"org/a": "#row-1"}, title=("T", "of this"))
    assert {d["href"] for d in data(spec) if d.get("model") == "org/a"} == {"#row-1"}
    assert '"href"' in json.dumps(spec["hconcat"][0]["layer"])
    assert spec["title"] == {"text": "T", "subtitle": ["of this"]}
    assert "org/a, org/b" in spec["description"]


def test_dark_and_light_differ_in_colours_alone() -> None:
    light, dark = plane(THREE), plane(THREE, dark=True)
    assert light["config"]["background"] == "#ffffff"
    assert dark["config"]["background"] != "#ffffff"
    assert texts(light) == texts(dark)


def test_hostile_names_are_data_and_nothing_else() -> None:
    """They stand in the data sets, the caption and the description, never in an expression."""
    hostile = "datum['x'] </script> {{signal}} \\u2028"
    spec = plane(rows(board_row(hostile, base=hostile), board_row("b", **UNSCORED)))
    layers = json.dumps(without_data(spec["hconcat"][0]["layer"]))
    assert "signal" not in layers
    assert "script" not in layers
    assert hostile in {d.get("model") for d in data(spec)}
