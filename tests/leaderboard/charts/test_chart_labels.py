"""Where labels go, and how names are shortened for them."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.leaderboard.charts.labels import (
    Box,
    place,
    short_models,
    short_tasks,
    text_width,
)

AREA = Box(0, 0, 560, 420)


def overlap(a: Box, b: Box) -> float:
    wide = min(a.right, b.right) - max(a.left, b.left)
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    return max(0.0, wide) * max(0.0, high)


def test_a_lone_label_stands_right_of_its_point() -> None:
    [found] = place([(100, 100)], ["model"], [], AREA, 12)
    assert not found.led
    assert 100 < found.box.left < 115
    assert found.box.top < 100 < found.box.bottom


def test_at_the_right_edge_it_stands_left() -> None:
    [found] = place([(550, 100)], ["a-long-model-name"], [], AREA, 12)
    assert found.box.right < 550


@pytest.mark.parametrize("seed", range(5))
def test_a_dozen_labels_in_a_small_space_cover_neither_each_other_nor_a_point(seed: int) -> None:
    """Twelve points within a third of the width and of the height."""
    draw = random.Random(seed)
    points = [(draw.uniform(180, 370), draw.uniform(140, 280)) for _ in range(12)]
    texts = [f"model-{i}-of-some-size" for i in range(12)]
    boxes = [p.box for p in place(points, texts, [], AREA, 12)]
    assert sum(overlap(a, b) for a, b in combinations(boxes, 2)) == 0
    assert all(
        overlap(box, Box(x - 4, y - 4, x + 4, y + 4)) == 0 for box in boxes for x, y in points
    )
    assert all(b.left >= 0 and b.right <= 560 and b.top >= 0 and b.bottom <= 420 for b in boxes)


def test_a_label_makes_room_for_a_line() -> None:
    """Where the line runs to the right of the point, the label goes elsewhere."""
    line = Box(100, 95, 300, 105)
    [found] = place([(100, 100)], ["model"], [line], AREA, 12)
    assert overlap(found.box, line) == 0


def distance(box: Box, point: tuple[float, float]) -> float:
    aside = max(box.left - point[0], point[0] - box.right, 0)
    return math.hypot(aside, max(box.top - point[1], point[1] - box.bottom, 0))


@pytest.mark.parametrize("texts", [["sft", "dpo-helpful-only"], ["dpo-helpful-only", "sft"]])
@pytest.mark.parametrize("across", [6, 8, 10])
def test_a_label_is_nearest_to_its_own_point(across: int, texts: list[str]) -> None:
    """Of two points close to each other at the right edge, where both labels must go left."""
    points = [(530.0, 340.0), (530.0 - across, 338.0)]
    first, second = (p.box for p in place(points, texts, [], AREA, 12))
    assert distance(first, points[0]) <= distance(first, points[1])
    assert distance(second, points[1]) <= distance(second, points[0])


def test_what_is_far_from_its_point_is_led_to_it() -> None:
    blocked = [Box(60, 60, 140, 140)]
    [found] = place([(100, 100)], ["m"], blocked, AREA, 12)
    assert found.led


def test_owners_and_our_prefix_are_left_out_where_names_stay_distinct() -> None:
    assert short_models(["a/x", "b/y"], 20) == ["x", "y"]
    assert short_models(["a/x", "b/x", "b/y"], 20) == ["a/x", "b/x", "y"]
    assert short_models(["runs/out/", "/"], 20) == ["out", "/"]
    assert short_tasks(["bfpo_a", "bfpo_b", "b"], 20) == ["a", "bfpo_b", "b"]


def test_long_names_keep_both_ends() -> None:
    """Ten of nineteen characters: six of the beginning, the sign, three of the end."""
    assert short_models(["checkpoint-of-step1"], 10) == ["checkp…ep1"]


def test_names_that_become_alike_are_numbered() -> None:
    names = ["a" * 30 + "x" + "b" * 30, "a" * 30 + "y" + "b" * 30]
    assert short_models(names, 10) == ["aaaaaa…bbb (1)", "aaaaaa…bbb (2)"]


@given(st.lists(st.text(min_size=1, max_size=50), unique=True, max_size=8))
def test_distinct_models_have_distinct_names(models: list[str]) -> None:
    found = short_models(models, 12)
    assert len(found) == len(models)
    assert all(len(name) <= 12 + len(" (8)") for name in found)
    assert all(found)


def test_wide_letters_are_wider() -> None:
    assert text_width("iii", 12) < text_width("ooo", 12) < text_width("WWW", 12)
    assert text_width("模型", 12) == 24
