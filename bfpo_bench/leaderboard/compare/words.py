"""What comparisons say in words, alike in the terminal and on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bfpo_bench.leaderboard.compare.result import Comparison, Difference, Flip, Test

KEY_WORDS = "The comparability keys differ (there: A, here: B):"
TEST_MARKS: dict[Test, str] = {"mcnemar": "", "sign-flip": "†", "bootstrap": "‡"}
TEST_WORDS = "p is corrected for the number of tasks (Holm): McNemar's exact test, † sign flips, ‡ bootstrap."


def verdict(score: Difference) -> str:
    """'better' or 'worse' where b's difference is shown, else 'no clear difference'."""
    if score.better is None:
        return "no clear difference"
    return "better" if score.better else "worse"


def interval(score: Difference) -> tuple[str, str]:
    """The ends with their signs."""
    return f"{score.low:+.1f}", f"{score.high:+.1f}"


def p_text(score: Difference) -> str:
    p = score.p if score.p_holm is None else score.p_holm
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def cut(text: str, longest: int) -> str:
    """The text's beginning, on one line."""
    flat = " ".join(text[: 4 * longest].split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def by_reason(comparison: Comparison) -> dict[str, list[str]]:
    """Why something is not compared -> what."""
    told: dict[str, list[str]] = {}
    for side, other, tasks in (("a", "b", comparison.only_a), ("b", "a", comparison.only_b)):
        if tasks:
            told[f"asked in {side} and not in {other}"] = list(tasks)
    for name, reason in comparison.unscored.items():
        told.setdefault(reason, []).append(name)
    return told


def chosen_flips(comparison: Comparison, count: int) -> list[Flip]:
    """At most `count` flips for the worse and as many for the better: one of each task in turn, tasks
    with the smallest p first."""
    tasks = sorted(comparison.kind("task"), key=lambda task: task.p)
    return [
        flip
        for direction in ("worse", "better")
        for flip in _in_turn(comparison.flips, [task.name for task in tasks], direction)[:count]
    ]


def _in_turn(flips: Sequence[Flip], tasks: Sequence[str], direction: str) -> list[Flip]:
    place = {task: i for i, task in enumerate(tasks)}
    turns: Counter[str] = Counter()
    found = []
    for flip in flips:
        if flip.direction == direction:
            turns[flip.task] += 1
            found.append((turns[flip.task], place[flip.task], flip))
    return [flip for _, _, flip in sorted(found, key=lambda one: one[:2])]
