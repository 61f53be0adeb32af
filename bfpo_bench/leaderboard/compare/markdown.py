"""A comparison as Markdown: for a pull request, a job's summary, a model card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bfpo_bench.leaderboard.compare.flips import SideBySide
from bfpo_bench.leaderboard.compare.gate import GateResult, bounds_text
from bfpo_bench.leaderboard.compare.result import Comparison, Difference
from bfpo_bench.leaderboard.compare.words import (
    KEY_WORDS,
    RULE_WORDS,
    TEST_MARKS,
    TEST_WORDS,
    by_reason,
    cut,
    following,
    interval,
    p_text,
    signed,
    unseen_note,
    verdict,
)
from bfpo_bench.names import code

_TEXT = 300


def to_markdown(
    comparison: Comparison, examples: Sequence[SideBySide], gate: GateResult | None
) -> str:
    """Sections for the gate, the scores, the tasks and some flips. Names and texts are code spans."""
    parts = [
        *_head(comparison),
        *(_gate(gate) if gate else ()),
        *_scores(comparison),
        *_tasks(comparison),
        *_note(comparison),
        *_unscored(comparison),
        *_flips(comparison, examples),
    ]
    return "\n".join(parts) + "\n"


def _head(comparison: Comparison) -> Iterator[str]:
    yield "# Comparison"
    yield ""
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        partial = ", partial" if side.partial else ""
        judges = " and ".join(side.judges) or "none"
        yield (
            f"- {name}: {code(side.model)}, run {code(side.run_id)}, suite {code(side.suite)}{partial}, "
            f"judges {code(judges)}, key {code(side.comparability_key)}"
        )
    yield ""
    if comparison.key_differences:
        yield f"**{KEY_WORDS}**"
        yield ""
        yield from (f"- {code(clause)}" for clause in comparison.key_differences)
        yield ""
    yield from (line for warning in comparison.warnings for line in (warning, ""))


def _gate(gate: GateResult) -> Iterator[str]:
    yield f"## Gate: {'passed' if gate.passed else 'broken'}"
    yield ""
    yield from _table("rule", "asks for", "holds", "difference B − A")
    for one in gate.rules:
        holds = "yes" if one.holds else "**no**"
        yield _row(code(one.rule.score), bounds_text(one.rule), holds, code(one.said))
    yield ""


def _scores(comparison: Comparison) -> Iterator[str]:
    found = [*comparison.kind("aggregate"), *comparison.kind("cell"), *comparison.kind("family")]
    if not found:
        return
    yield "## Scores"
    yield ""
    yield from _table("score", "A", "B", "B − A", "95 % interval", "p", "")
    for score in found:
        arrow = " ↓" if score.lower_is_better else ""
        yield _row(code(score.name) + arrow, *_numbers(score), p_text(score), verdict(score))
    yield ""
    yield f"Percent; differences in points. {RULE_WORDS}"
    yield ""


def _tasks(comparison: Comparison) -> Iterator[str]:
    tasks = comparison.kind("task")
    if not tasks:
        return
    yield "## Tasks"
    yield ""
    yield from _table(
        "task", "A", "B", "B − A", "95 % interval", "p (Holm)", "n", "better", "worse", ""
    )
    for task in tasks:
        flips = (f"{task.flips_better:,}", f"{task.flips_worse:,}")
        yield _row(
            code(task.name),
            *_numbers(task),
            p_text(task) + TEST_MARKS[task.test],
            f"{task.n_pairs:,}",
            *flips,
            verdict(task),
        )
    yield ""
    yield f"Percent; differences in points. {TEST_WORDS} {RULE_WORDS}"
    yield ""


def _note(comparison: Comparison) -> Iterator[str]:
    if note := unseen_note(comparison, code):
        yield note
        yield ""


def _numbers(score: Difference) -> tuple[str, ...]:
    return f"{score.a:.1f}", f"{score.b:.1f}", signed(score.difference), interval(score)


def _unscored(comparison: Comparison) -> Iterator[str]:
    told, means = by_reason(comparison), following(comparison)
    if not told and means is None:
        return
    yield "## Not compared"
    yield ""
    for reason, names in told.items():
        yield f"- {', '.join(map(code, names))}: {code(reason)}"
    if means:
        yield f"- {means}"
    yield ""


def _flips(comparison: Comparison, examples: Sequence[SideBySide]) -> Iterator[str]:
    for direction in ("worse", "better"):
        count = sum(flip.direction == direction for flip in comparison.flips)
        shown = [one for one in examples if one.flip.direction == direction]
        if not shown:
            continue
        yield f"## Changed for the {direction} ({len(shown)} of {count:,})"
        yield ""
        yield from _table("document", "prompt", "A", "B")
        for one in shown:
            flip = one.flip
            yield _row(
                code(f"{flip.task} {flip.doc_id}"),
                code(cut(one.prompt, _TEXT)),
                f"{code(flip.a_outcome)}: {code(cut(one.a, _TEXT))}",
                f"{code(flip.b_outcome)}: {code(cut(one.b, _TEXT))}",
            )
        yield ""


def _table(*heads: str) -> Iterator[str]:
    yield _row(*heads)
    yield "|" + "---|" * len(heads)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
