"""Several judges of one kind on the same responses: how far they agree, and what most of them say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from pydantic import BaseModel, Field

from bfpo_bench.runs.records import ResponseKey
from bfpo_bench.scoring.agreement import DEGENERATE, UNJUDGED, agreement, krippendorff_alpha

Labels = Mapping[str, Mapping[ResponseKey, str]]
"""Judge key -> what it says of each response that it was asked about, `unjudged` where it failed. A
response that it lacks was none of its own, and counts as missing."""

COUNTS_AS: Mapping[str, str] = {"partial_refusal": "refusal"}
"""Labels that scoring counts as another: two judges that differ in these alone do not split."""


class PairAgreement(BaseModel):
    """Cohen's kappa of judges `a` and `b` with its 95 % interval, over the `n` responses that both
    judged. None where it is undefined, and `undefined` says why."""

    a: str
    b: str
    n: int
    kappa: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    undefined: str | None = None


class Panel(BaseModel):
    """The judges of one kind on one run.

    `n` responses lie before the panel, `n_degenerate` of them found degenerate by rule, before any
    judge saw them: these count neither in `alpha` (Krippendorff's), nor in `pairs`, nor in the next
    two. `n_all_judged`: every judge that scores the response gave a label. `n_split`: two judges gave
    labels that scoring tells apart. `majority` counts the responses by the label that most judges
    give, `unjudged` where there is none. `tasks`: how many of the `n_tasks` that any of the judges
    scores each one scores; empty where the responses are of no tasks. `value_by_judge` is the run's
    harmlessness in percent if that judge alone decided, or the `majority`: it lacks judges that do
    not score all that is to decide, and is empty for kinds that decide nothing of it.
    """

    kind: str
    judges: list[str]
    n: int
    n_degenerate: int
    n_all_judged: int
    n_split: int
    alpha: float | None = None
    alpha_undefined: str | None = None
    pairs: list[PairAgreement]
    majority: dict[str, int]
    n_tasks: int = 0
    tasks: dict[str, int] = Field(default_factory=dict)
    value_by_judge: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """A response that judges tell apart: `labels` is what each that scores it says, by judge key."""

    key: ResponseKey
    labels: Mapping[str, str]


def panel(kind: str, labels: Labels, keys: Sequence[ResponseKey]) -> Panel:
    """How the judges in `labels` agree about the responses `keys`; at least one judge.

    Labels are compared as scoring counts them: a partial refusal is a refusal. The bootstrap behind
    the intervals draws documents, so that samples of one document stay together.
    """
    counted = {judge: _counted(said, keys) for judge, said in labels.items()}
    rows = {key: [said[key] for said in counted.values() if key in said] for key in keys}
    by_rule = {key for key, row in rows.items() if DEGENERATE in row}
    seen = [key for key in keys if key not in by_rule]
    alpha = krippendorff_alpha(
        {j: {key: said[key] for key in seen if key in said} for j, said in counted.items()}
    )
    return Panel(
        kind=kind,
        judges=list(labels),
        n=len(keys),
        n_degenerate=len(by_rule),
        n_all_judged=sum(UNJUDGED not in rows[key] for key in seen),
        n_split=len(splits(labels, keys)),
        alpha=alpha.value,
        alpha_undefined=alpha.undefined,
        pairs=[_pair(kind, a, b, counted, seen) for a, b in combinations(labels, 2)],
        majority=dict(sorted(Counter(majority(labels, keys).values()).items())),
    )


def majority(labels: Labels, keys: Sequence[ResponseKey]) -> dict[ResponseKey, str]:
    """What more than half of the judges that judged a response say of it, as scoring counts labels.

    `unjudged` where no label has more than half, or nobody judged. A response that was found
    degenerate is degenerate: that rule speaks for all judges alike.
    """
    found = {}
    for key in keys:
        said = [_label(judged[key]) for judged in labels.values() if key in judged]
        given = Counter(label for label in said if label != UNJUDGED)
        label, times = given.most_common(1)[0] if given else (UNJUDGED, 0)
        found[key] = label if 2 * times > given.total() else UNJUDGED
        if DEGENERATE in given:
            found[key] = DEGENERATE
    return found


def splits(labels: Labels, keys: Sequence[ResponseKey]) -> list[Split]:
    """The responses of which two judges say what scoring tells apart, with each one's own word."""
    found = []
    for key in keys:
        own = {judge: said[key] for judge, said in labels.items() if key in said}
        counted = {_label(label) for label in own.values()} - {UNJUDGED}
        if len(counted) > 1 and DEGENERATE not in counted:
            found.append(Split(key, own))
    return found


def _label(label: str) -> str:
    return COUNTS_AS.get(label, label)


def _counted(
    said: Mapping[ResponseKey, str], keys: Sequence[ResponseKey]
) -> dict[ResponseKey, str]:
    return {key: _label(said[key]) for key in keys if key in said}


def _pair(kind: str, a: str, b: str, counted: Labels, keys: Sequence[ResponseKey]) -> PairAgreement:
    shared = [key for key in keys if key in counted[a] and key in counted[b]]
    one, other = ([counted[judge][key] for key in shared] for judge in (a, b))
    documents = [key[:2] for key in shared]
    found = agreement(one, other, (), f"{kind}/{a}/{b}", documents)
    return PairAgreement(
        a=a,
        b=b,
        n=found.n,
        kappa=found.kappa,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        undefined=found.undefined,
    )
