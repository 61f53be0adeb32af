"""What comparisons say in words, alike in the terminal and on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bfpo_bench.leaderboard.compare.result import Comparison, Difference, Flip, Test

KEY_WORDS = "The comparability keys differ (there: A, here: B):"
TEST_MARKS: dict[Test, str] = {"mcnemar": "", "sign-flip": "†", "bootstrap": "‡"}
UNSEEN_MARK = "°"
_NAMED = 4
TEST_WORDS = "p is corrected for the number of tasks (Holm): McNemar's exact test, † sign flips, ‡ bootstrap."
RULE_WORDS = (
    "Better or worse: p is below 0.05 and the interval excludes 0 (one marked ° also when widened by "
    "what it cannot show)."
)


def verdict(score: Difference) -> str:
    """'better' or 'worse' where b's difference is shown (`RULE_WORDS`), else 'not clear'."""
    if score.better is None:
        return "not clear"
    return "better" if score.better else "worse"


def interval(score: Difference) -> str:
    """'-1.0 to +2.0', with a mark where `unseen_note` has more to say."""
    return f"{signed(score.low)} to {signed(score.high)}{unseen_mark(score)}"


def signed(points: float) -> str:
    """One digit; what is 0 but for rounding has no minus."""
    return f"{round(points, 1) + 0.0:+.1f}"


def unseen_mark(score: Difference) -> str:
    return "" if score.unseen is None else UNSEEN_MARK


def unseen_note(comparison: Comparison, named: Callable[[str], str] = str) -> str | None:
    """What the marked intervals do not say, the least certain ones first; None where none is marked.
    `named`: how a score's name is written. Families are left out, whose tasks say the same."""
    scores = [score for score in comparison.scores if score.kind != "family"]
    found = [(score.unseen, score.name) for score in scores if score.unseen is not None]
    if not found:
        return None
    ordered = sorted(found, key=lambda one: -one[0])
    told = ", ".join(f"{named(name)} {points:.1f}" for points, name in ordered[:_NAMED])
    more = f" and {len(found) - _NAMED} more with less" if len(found) > _NAMED else ""
    return (
        f"{UNSEEN_MARK} No pair changed, or all did so alike: such an interval says little of other "
        "documents. What none of n documents did may be true of up to about 3/n of all (rule of "
        f"three), so that changes of up to about so many points are not excluded: {told}{more}."
    )


def p_text(score: Difference) -> str:
    p = score.p if score.p_holm is None else score.p_holm
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def cut(text: str, longest: int) -> str:
    """The text's beginning, on one line."""
    flat = " ".join(text[: 4 * longest].split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def by_reason(comparison: Comparison) -> dict[str, list[str]]:
    """Why something is not compared -> what. Means of it are in `following`."""
    told: dict[str, list[str]] = {}
    for side, other, tasks in (("A", "B", comparison.only_a), ("B", "A", comparison.only_b)):
        if tasks:
            told[f"asked in {side} and not in {other}"] = list(tasks)
    for name, reason in comparison.unscored.items():
        if name not in comparison.following:
            told.setdefault(reason, []).append(name)
    return told


def following(comparison: Comparison) -> str | None:
    """The means that are not compared because a task or a part is not; None where there is none."""
    found = sorted(comparison.following, key=lambda name: name.count("/"))
    told = [name.replace("_", "-") for name in found if "/" not in name]
    for one, many, slashes in (("cell", "cells", 1), ("family", "families", 2)):
        if count := sum(name.count("/") == slashes for name in found):
            told.append(f"{count} {one if count == 1 else many}")
    return f"{', '.join(told)} (for want of a task or a part)" if told else None


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
