"""The sentences above a table say no more than the intervals do."""

from __future__ import annotations

from measured import block, measured

from bfpo_bench.leaderboard.report.headline import headline, listed, some
from bfpo_bench.names import NULL_ENGINE

WIDE = (60.0, 50.0, 70.0)
SAME = (50.0, 49.0, 51.0)


def test_a_model_is_first_where_its_interval_lies_above_every_other() -> None:
    """80 [75, 85] is above 60 [50, 70]: 75 > 70."""
    said = headline(block(measured("a", (80, 75, 85), WIDE), measured("b", WIDE, WIDE)))
    assert said[0] == "a is the most helpful: 80.0 [75.0, 85.0]."


def test_intervals_that_touch_show_no_first() -> None:
    """Both end at 70: nothing lies above."""
    said = headline(block(measured("a", (80, 70, 90), WIDE), measured("b", WIDE, WIDE)))
    assert said[0] == (
        "By intervals alone, no model is clearly the most helpful: a has the highest value, 80.0 "
        "[70.0, 90.0], which b overlaps."
    )


def test_only_the_models_whose_intervals_overlap_are_named() -> None:
    rows = [measured("a", (80, 70, 90), WIDE), measured("b", (75, 65, 85), WIDE)]
    said = headline(block(*rows, measured("c", (20, 10, 30), WIDE)))
    assert said[0].endswith("which b overlaps.")


def test_the_pareto_front_and_who_is_behind_beyond_the_intervals() -> None:
    """c is below a on both axes, whole intervals apart; b trades one for the other."""
    a = measured("a", (80, 75, 85), (80, 75, 85))
    b = measured("b", (90, 88, 92), (50, 45, 55))
    c = measured("c", (30, 25, 35), (30, 25, 35))
    said = headline(block(a, b, c))
    assert (
        said[2] == "By value, the Pareto front is a and b: every other model is behind one of them."
    )
    assert said[3] == "On both axes, and beyond the intervals, c is behind a and b."


def test_a_model_without_one_of_the_scores_is_counted_and_not_ranked() -> None:
    said = headline(block(measured("a", WIDE, WIDE), measured("b", None, WIDE)))
    assert said == [
        "a has 60.0 [50.0, 70.0] helpfulness and 60.0 [50.0, 70.0] harmlessness, in percent with 95 % "
        "intervals.",
        "The other model lacks one of the two scores, or both.",
    ]


def test_nothing_is_ranked_where_nobody_has_both() -> None:
    assert "nothing is ranked" in headline(block(measured("a", None, WIDE)))[0]


def test_a_model_without_a_point_still_counts_on_its_axis() -> None:
    """c has no harmlessness and is by far the most helpful: a is not."""
    rows = [measured("a", (80, 75, 85), WIDE), measured("b", SAME, SAME)]
    said = headline(block(*rows, measured("c", (99, 98, 100), None)))
    assert said[0] == "c is the most helpful: 99.0 [98.0, 100.0]."
    assert said[2] == "By value, no model with both scores is ahead of a on either axis."


def test_rows_that_lack_different_tasks_are_not_ranked() -> None:
    """Their means are of other tasks: 80 of one is not above 60 of the other."""
    lacking = {"partial": True, "missing": ["bfpo_advbench"]}
    other = {"partial": True, "missing": ["bfpo_bbq_age"]}
    a, b = measured("a", (80, 75, 85), WIDE, **lacking), measured("b", SAME, SAME, **other)
    assert headline(block(a, b)) == [
        "Nothing is ranked: these rows lack different tasks, so their means are not alike."
    ]
    alike = measured("b", SAME, SAME, **lacking)
    assert headline(block(a, alike))[0].startswith("a is the most helpful")


def test_names_are_listed_as_people_do() -> None:
    assert [listed(["a", "b", "c"][:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_equal_values_are_shared_and_nobody_is_ahead_of_the_best() -> None:
    said = headline(block(measured("a", WIDE, WIDE), measured("b", WIDE, (50, 40, 60))))
    assert said == [
        "By intervals alone, no model is clearly the most helpful: a and b share the highest value, "
        "60.0.",
        "By intervals alone, no model is clearly the most harmless: a has the highest value, 60.0 "
        "[50.0, 70.0], which b overlaps.",
        "By value, no model is ahead of a on either axis.",
    ]


def test_of_many_models_a_few_are_named() -> None:
    assert some(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"
    rows = [measured(f"m{n}", (10 * n, 10 * n - 1, 10 * n + 1), SAME) for n in range(1, 8)]
    behind = [*rows, measured("best", (90, 89, 91), (90, 89, 91))]
    assert headline(block(*behind))[-1].endswith(
        "each of these is behind another: m7, m6, m5 and 4 more."
    )


def test_of_the_null_engine_nothing_is_said() -> None:
    """It would be the most helpful, and the whole front."""
    best = measured(f"n{NULL_ENGINE}", (99, 98, 100), (99, 98, 100))
    alone = block(measured("a", WIDE, WIDE))
    assert headline(block(best, measured("a", WIDE, WIDE))) == headline(alone)
    assert headline(block(best)) == []
