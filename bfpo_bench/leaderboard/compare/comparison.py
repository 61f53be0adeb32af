"""Compare two runs, paired on their documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bfpo_bench.leaderboard.compare.flips import flips
from bfpo_bench.leaderboard.compare.means import means, over_refusal
from bfpo_bench.leaderboard.compare.pairing import (
    PairedTask,
    Pairing,
    is_discriminative,
    pair,
    values,
)
from bfpo_bench.leaderboard.compare.result import (
    OVER_REFUSAL,
    Comparison,
    Difference,
    Flip,
    Kind,
    Side,
)
from bfpo_bench.leaderboard.keys import differences
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.scoring.intervals import LEVEL
from bfpo_bench.scoring.paired import Paired, paired
from bfpo_bench.scoring.paired_draws import Measure, Pairs
from bfpo_bench.scoring.paired_tests import holm
from bfpo_bench.scoring.scores import TaskScore

_MEASURES: Mapping[str, Measure] = {
    "accuracy": "higher",
    "100 - 2 |p - 50|": "distance_from_half",
    "100 - p": "complement",
}
_NAMED = 3
# A bound that is 0 but for rounding
_NOTHING = 1e-9


def compare_runs(a: FinishedRun, b: FinishedRun) -> Comparison:
    """All differences of `b` to `a`, each over the documents that both have an outcome for.

    Runs with different comparability keys are compared as well, and `key_differences` says what
    else than the model differs. A task that is worded, scored or judged in another way is not
    compared, and neither is a mean that holds it: `unscored` says why. Raises UserError as `pair`
    does.
    """
    pairing = pair(a, b)
    measures = {name: measure(a.scores.tasks[name]) for name in pairing.tasks}
    tasks = paired(_pairs(a, pairing, measures))
    found = means(a, b, tasks)
    flipped = {
        name: flips(task, a.scores.tasks[name], measures[name])
        for name, task in pairing.tasks.items()
    }
    aggregates = found.of("aggregate")
    refusals = over_refusal(a, b, pairing)
    if isinstance(refusals, Paired):
        aggregates[OVER_REFUSAL] = refusals
    else:
        found.leave_out(OVER_REFUSAL, refusals)
    scores = [
        *(as_difference(name, "aggregate", one) for name, one in aggregates.items()),
        *(as_difference(name, "cell", one) for name, one in found.of("cell").items()),
        *(as_difference(name, "family", one) for name, one in found.of("family").items()),
        *_tasks(tasks, pairing, flipped),
    ]
    keys = differences(b.manifest.comparability, a.manifest.comparability)
    return Comparison(
        a=_side(a),
        b=_side(b),
        key_differences=keys,
        warnings=list(_warnings(a, b, keys, scores)),
        scores=scores,
        unscored=found.unscored | pairing.refused,
        following=found.following,
        flips=[flip for some in flipped.values() for flip in some],
        only_a=pairing.only_a,
        only_b=pairing.only_b,
    )


def measure(task: TaskScore) -> Measure:
    """How the task's score follows from the mean of its values."""
    return _MEASURES[task.metric] if is_discriminative(task) else "points"


def _pairs(a: FinishedRun, pairing: Pairing, measures: Mapping[str, Measure]) -> list[Pairs]:
    sources = _sources(a, list(pairing.tasks))
    return [
        Pairs(
            name,
            measures[name],
            task.rows["doc_id"].to_numpy(),
            *values(task),
            source=sources[name],
            population=str(a.manifest.data.get(name, {}).get("fingerprint")),
        )
        for name, task in pairing.tasks.items()
    ]


def _sources(run: FinishedRun, tasks: Sequence[str]) -> dict[str, str]:
    """Task -> the first task of its family that draws on the same data.

    That is the same split of one repository: the hash of its columns is equal or, where tasks use
    different columns of it, that of the documents asked. What has neither hash counts as the same.
    """
    found: dict[str, str] = {}
    for task in tasks:
        known = (other for other in dict.fromkeys(found.values()) if _same_data(run, other, task))
        found[task] = next(known, task)
    return found


def _same_data(run: FinishedRun, one: str, other: str) -> bool:
    places = [(s.cell, s.family) for s in (run.scores.tasks[one], run.scores.tasks[other])]
    data = [run.manifest.data.get(task, {}) for task in (one, other)]
    if places[0] != places[1] or data[0].get("hub_id") != data[1].get("hub_id"):
        return False
    return any(data[0].get(part) == data[1].get(part) for part in ("columns_sha256", "fingerprint"))


def _tasks(
    tasks: Mapping[str, Paired], pairing: Pairing, flipped: Mapping[str, Sequence[Flip]]
) -> Iterator[Difference]:
    corrected = holm({name: one.p for name, one in tasks.items()})
    for name, one in tasks.items():
        yield as_difference(name, "task", one, corrected[name], pairing.tasks[name], flipped[name])


def as_difference(
    name: str,
    kind: Kind,
    one: Paired,
    p_holm: float | None = None,
    task: PairedTask | None = None,
    flipped: Sequence[Flip] = (),
) -> Difference:
    lower = name == OVER_REFUSAL
    p = one.p if p_holm is None else p_holm
    ways = Counter(flip.direction for flip in flipped)
    return Difference(
        name=name,
        kind=kind,
        lower_is_better=lower,
        a=one.a,
        b=one.b,
        difference=one.difference,
        low=one.low,
        high=one.high,
        p=one.p,
        p_holm=p_holm,
        test=one.test,
        better=(one.difference > 0) != lower if _shown(one, p) else None,
        n_pairs=one.n_pairs,
        left_out=one.left_out,
        bound_low=one.bound_low,
        bound_high=one.bound_high,
        unseen=one.unseen,
        unpaired_a=task.unpaired_a if task else 0,
        unpaired_b=task.unpaired_b if task else 0,
        flips_better=ways["better"],
        flips_worse=ways["worse"],
    )


def _shown(one: Paired, p: float) -> bool:
    """Whether p is below 0.05 and the interval, as wide as what it cannot see, excludes 0.

    Neither alone will do: the interval of a skewed mean and its test may disagree.
    """
    unseen = one.unseen or 0
    excluded = one.low - unseen > _NOTHING or one.high + unseen < -_NOTHING
    return excluded and p < 1 - LEVEL - _NOTHING


def _side(run: FinishedRun) -> Side:
    scores = run.scores
    return Side(
        run_id=run.run_id,
        model=run.name,
        suite=f"{scores.suite}@{scores.suite_version}",
        partial=scores.partial,
        comparability_key=scores.comparability_key,
        judges=scores.judges,
    )


def _warnings(
    a: FinishedRun, b: FinishedRun, keys: Sequence[str], scores: Sequence[Difference]
) -> Iterator[str]:
    if a.folder.path.resolve() == b.folder.path.resolve():
        yield "Both sides are the same run."
    if keys:
        yield "No difference is the models' alone: the comparability keys differ."
    tasks = [score for score in scores if score.kind == "task"]
    alone = [sum(t.unpaired_a for t in tasks), sum(t.unpaired_b for t in tasks)]
    if any(alone):
        yield (
            f"{alone[0]:,} responses of A and {alone[1]:,} of B have no partner in the other run: "
            "they count for nothing here."
        )
    lacking = [task for task in tasks if task.left_out]
    if lacking:
        told = [
            f"{t.name} {t.left_out:,} (with them {t.bound_low:+.1f} to {t.bound_high:+.1f})"
            for t in sorted(lacking, key=lambda task: -task.left_out / task.n_pairs)
        ]
        more = f" and {len(told) - _NAMED} more tasks" if len(told) > _NAMED else ""
        yield f"Pairs that are unjudged in a run and left out: {', '.join(told[:_NAMED])}{more}."
