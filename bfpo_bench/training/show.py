"""A training in words: its data before it begins, and each log entry as a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from bfpo_bench.progress import Progress, Report
from bfpo_bench.training.fdc.mixture import Drawn
from bfpo_bench.training.labels import CASE_KEYS, CASES
from bfpo_bench.training.training_data import TrainingData


class Ui(Protocol):
    """How a training speaks to whoever started it."""

    def note(self, text: str) -> None: ...

    def stage(self, title: str) -> AbstractContextManager[Report]: ...


class Silent:
    """The Ui of all processes but the first."""

    def note(self, text: str) -> None:
        return

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        def nothing(progress: Progress) -> None:
            return

        yield nothing


def data_lines(data: TrainingData) -> list[str]:
    """What each source gave and lost, what was drawn of each group, and what the policy did."""
    lines = []
    for part, reports in (("data", data.reports), ("buffer", data.buffer_reports)):
        for report in reports:
            at = f"@{report.revision[:8]}" if report.revision else ""
            line = f"{part}: {report.origin}{at}: {report.used:,} of {report.rows:,} rows"
            cases = [f"{report.cases[c]:,} {c}" for c in CASES if report.cases[c]]
            dropped = [f"{n:,} {reason}" for reason, n in report.dropped.items()]
            line += f"; (chosen/rejected) {', '.join(cases)}" if cases else ""
            lines.append(line + (f"; dropped: {', '.join(dropped)}" if dropped else ""))
    if data.levelled:
        cells = Counter(one.levels for one in data.levelled)
        told = "; ".join(f"{levels}: {n:,}" for levels, n in sorted(cells.items()))
        lines.append(f"responses by levels of helpfulness,safety: {told}")
    for one in data.drawn:
        line = f"group {one.group}: {one.taken:,} of {one.rows:,} rows"
        if one.asked is not None:
            line += f", {one.came_out:.4g} of the general (asked {one.asked:g})"
        lines.append(line)
    if any(one.kept != one.taken for one in data.drawn):
        kept = ", ".join(_kept(one) for one in data.drawn)
        lines.append(f"groups after the policy: {kept}")
    if data.flipped or data.dropped:
        dropped = [f"{n:,} {reason}" for reason, n in data.dropped.items()]
        lines.append(
            f"policy: {len(data.pairs):,} pairs, {data.flipped:,} flipped"
            + (f"; dropped: {', '.join(dropped)}" if dropped else "")
        )
    return lines


def _kept(drawn: Drawn) -> str:
    told = f"{drawn.group} {drawn.kept:,}"
    if drawn.asked is None or drawn.kept_share is None:
        return told
    return f"{told} ({drawn.kept_share:.4g} of the general)"


def log_line(logs: Mapping[str, float], step: int, steps: int) -> str:
    """`step 10/80  loss 4012  |g| 1500  lr 5e-07  1,240 tokens/s  h: safe/safe 12 of 50, ...`."""
    parts = [f"step {step}/{steps}", f"loss {_short(logs['loss'])}"]
    if "loss/buffer" in logs:
        parts[-1] += f" (main {_short(logs['loss/main'])}, buffer {_short(logs['loss/buffer'])})"
    if "grad_norm" in logs:
        parts.append(f"|g| {_short(logs['grad_norm'])}")
    if "learning_rate" in logs:
        parts.append(f"lr {logs['learning_rate']:.2g}")
    if "tokens_per_second" in logs:
        parts.append(f"{logs['tokens_per_second']:,.0f} tokens/s")
    if "router/safety" in logs:
        weights = (f"{role} {logs[f'router/{role}']:.2f}" for role in ("safety", "helpfulness"))
        parts.append(f"router: {', '.join(weights)}")
    aims = [
        f"{case} {_short(logs[f'h/{key}'])}"
        + (f" of {_short(logs[f'target/{key}'])}" if f"target/{key}" in logs else "")
        for case, key in zip(CASES, CASE_KEYS, strict=True)
        if f"h/{key}" in logs
    ]
    return "  ".join([*parts, *([f"h: {', '.join(aims)}"] if aims else [])])


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
