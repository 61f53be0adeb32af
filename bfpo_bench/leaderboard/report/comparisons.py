"""Which runs of a report are compared with which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.compare.comparison import compare_runs
from bfpo_bench.leaderboard.compare.result import Comparison
from bfpo_bench.leaderboard.keys import differences
from bfpo_bench.leaderboard.report.model import ComparisonView, RunView
from bfpo_bench.scoring.finished import FinishedRun


def pairs(
    runs: Sequence[FinishedRun], baseline: FinishedRun | None
) -> Iterator[tuple[FinishedRun, FinishedRun]]:
    """(baseline, run), each pair once.

    With a baseline, it and every other run. Without one, where comparability keys are equal: of two
    runs the first and the second; of more, every trained run and the run of the model that it was
    trained from.
    """
    if baseline is not None:
        yield from ((baseline, run) for run in runs if run is not baseline)
    elif len(runs) == 2 and alike(*runs):
        yield _base_first(*runs)
    else:
        for run in runs:
            bases = (b for b in runs if b is not run and alike(b, run) and is_base(b, run))
            yield from ((base, run) for base in islice(bases, 1))


def comparison_views(
    runs: Sequence[FinishedRun], views: Sequence[RunView], baseline: FinishedRun | None
) -> list[ComparisonView]:
    """The comparisons of `runs`, in the order of their command. Where one is refused, or the runs were not measured alike,
    the reason stands in its place."""
    labels = {view.run.folder.path: view.label for view in views}
    found = []
    for number, (a, b) in enumerate(pairs(runs, baseline), 1):
        comparison, refused = _compared(a, b)
        names = (labels[a.folder.path], labels[b.folder.path])
        found.append(ComparisonView(f"compare-{number}", *names, comparison, refused))
    return found


def _compared(a: FinishedRun, b: FinishedRun) -> tuple[Comparison | None, str | None]:
    if not alike(a, b):
        clauses = differences(b.manifest.comparability, a.manifest.comparability)
        why = "; ".join(clauses) or "one of the two is partial"
        return None, f"Not compared, since they were not measured alike: {why}."
    try:
        return compare_runs(a, b), None
    except UserError as error:
        return None, str(error)


def alike(a: FinishedRun, b: FinishedRun) -> bool:
    """Whether the two may stand in one table."""
    mine, theirs = a.scores, b.scores
    same = mine.comparability_key == theirs.comparability_key
    return same and mine.partial == theirs.partial


def is_base(base: FinishedRun, run: FinishedRun) -> bool:
    """Whether `run` says that its model was trained from that of `base`."""
    training = run.manifest.training
    return training is not None and training.base_name == base.name


def _base_first(a: FinishedRun, b: FinishedRun) -> tuple[FinishedRun, FinishedRun]:
    return (b, a) if is_base(b, a) else (a, b)
