"""How far labels of the same items agree: Cohen's kappa of two sources, Krippendorff's alpha of more."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bfpo_bench.scoring.intervals import LEVEL, RESAMPLES

if TYPE_CHECKING:
    import numpy as np

UNJUDGED = "unjudged"
DEGENERATE = "degenerate"


@dataclass(frozen=True)
class Agreement:
    """How far given labels agree with reference labels of the same items.

    `n` items have both; `unjudged` more lack one of them and count nowhere else. `confusion` counts
    the n: a row a reference label, a column a given one, both in the order of `labels`. `observed` is
    the share of equal labels. `kappa` is Cohen's (1960), with a 95 % percentile bootstrap interval;
    where it is undefined the three are None and `undefined` says why.
    """

    n: int
    unjudged: int
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    observed: float | None = None
    kappa: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    undefined: str | None = None

    @property
    def coverage(self) -> float | None:
        """The share of items that both labelled; None of none."""
        return self.n / (self.n + self.unjudged) if self.n + self.unjudged else None


@dataclass(frozen=True)
class Detection:
    """How well one label, `positive`, is found: n items carry it by the reference, `called` as given.

    Each of the three is None where its denominator is 0.
    """

    positive: str
    n: int
    called: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha for nominal labels over `n` items with two labels at least.

    None where it is undefined, and `undefined` says why.
    """

    n: int
    value: float | None = None
    undefined: str | None = None


def grouped(label: str, members: Sequence[str], labels: Sequence[str]) -> str:
    """The label among two: ` or `.join(members), or the same of the others in `labels`.

    A label that is none of `labels` (degenerate, unjudged) stays what it is.
    """
    if label not in labels:
        return label
    side = [one for one in labels if (one in members) == (label in members)]
    return " or ".join(side)


def agreement(
    reference: Sequence[str],
    given: Sequence[str],
    labels: Sequence[str],
    seed_text: str,
    groups: Sequence[Hashable] | None = None,
) -> Agreement:
    """How far `given` agrees with `reference`, item by item; equally long.

    `labels` is the order of the confusion table; a label that occurs besides them follows, in
    alphabetical order. Items where either is `unjudged` are left out and counted. `seed_text` fixes
    the bootstrap's draws. `groups` names what each item belongs to, such as its prompt: the
    bootstrap draws whole groups, since answers to one prompt are not independent.

    Raises ValueError for sequences of different lengths.
    """
    import numpy as np

    cells = list(zip(reference, given, strict=True))
    names: Sequence[Hashable] = range(len(cells)) if groups is None else groups
    kept = [(cell, name) for cell, name in zip(cells, names, strict=True) if UNJUDGED not in cell]
    others = {label for cell, _ in kept for label in cell} - set(labels)
    order = (*labels, *sorted(others))
    of_groups = _tables(kept, order)
    table = of_groups.sum(axis=0)
    square = table.reshape(len(order), len(order))
    base = Agreement(
        n=len(kept),
        unjudged=len(cells) - len(kept),
        labels=order,
        confusion=tuple(tuple(row) for row in square.tolist()),
    )
    if not kept:
        return replace(base, undefined="no item has a label from both")
    observed = float(np.trace(square)) / len(kept)
    if _is_one_label(table):
        only = kept[0][0][0]
        return replace(base, observed=observed, undefined=f"both say {only} of every item")
    kappa = _kappa(table)
    low, high = _bounds(of_groups, seed_text)
    return replace(
        base, observed=observed, kappa=kappa, ci_low=min(low, kappa), ci_high=max(high, kappa)
    )


def _tables(kept: Sequence[tuple[tuple[str, str], Hashable]], order: Sequence[str]) -> np.ndarray:
    """Counts a group, in order of appearance, its confusion table flat: [groups, cells]."""
    import numpy as np

    places = {label: place for place, label in enumerate(order)}
    numbers: dict[Hashable, int] = {}
    rows = [numbers.setdefault(name, len(numbers)) for _, name in kept]
    flat = [places[one] * len(order) + places[other] for (one, other), _ in kept]
    found = np.zeros((len(numbers), len(order) ** 2), dtype=np.int64)
    np.add.at(found, (rows, flat), 1)
    return found


def _kappa(table: np.ndarray) -> float:
    """Of a table of counts, given flat."""
    from statsmodels.stats.inter_rater import cohens_kappa

    width = round(len(table) ** 0.5)
    return float(cohens_kappa(table.reshape(width, width), return_results=False))


def _is_one_label(table: np.ndarray) -> bool:
    """Whether all items lie in one cell of the diagonal, where chance alone would put them."""
    width = round(len(table) ** 0.5)
    return bool(table[:: width + 1].max() == table.sum())


def _bounds(of_groups: np.ndarray, seed_text: str) -> tuple[float, float]:
    """The bootstrap's 95 % bounds from a flat table a group [groups, cells].

    Groups with equal tables are drawn together, as a multinomial: the same draws, less work. Draws
    whose kappa is undefined are left out. One group says nothing of the spread: then the bounds are
    all that kappa can be.
    """
    import numpy as np

    if len(of_groups) == 1:
        return -1.0, 1.0
    kinds, times = np.unique(of_groups, axis=0, return_counts=True)
    seed = int.from_bytes(hashlib.sha256(seed_text.encode()).digest()[:8], "big")
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(of_groups), times / times.sum(), size=RESAMPLES) @ kinds
    found = [_kappa(table) for table in drawn if not _is_one_label(table)]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def detection(found: Agreement, positive: str) -> Detection:
    """Precision, recall and F1 of `positive`, one of the agreement's labels."""
    place = found.labels.index(positive)
    hits = found.confusion[place][place]
    n = sum(found.confusion[place])
    called = sum(row[place] for row in found.confusion)
    return Detection(
        positive=positive,
        n=n,
        called=called,
        precision=hits / called if called else None,
        recall=hits / n if n else None,
        f1=2 * hits / (n + called) if n + called else None,
    )


def krippendorff_alpha(labels: Mapping[str, Mapping[Hashable, str]]) -> Alpha:
    """Alpha over what each source (a judge, a person) says of each item, nominal distance.

    Sources may lack items: what is missing or `unjudged` is left out, and with it items that fewer
    than two sources labelled (Krippendorff 2004, ch. 11; NLTK's AnnotationTask).
    """
    from collections import Counter

    said = [
        (source, item, label)
        for source, items in labels.items()
        for item, label in items.items()
        if label != UNJUDGED
    ]
    times = Counter(item for _, item, _ in said)
    paired = [entry for entry in said if times[entry[1]] > 1]
    n = len({item for _, item, _ in paired})
    if n == 0:
        return Alpha(0, undefined="no item has labels from two")
    values = {label for _, _, label in paired}
    if len(values) == 1:
        return Alpha(n, undefined=f"all say {values.pop()} of every item")
    from nltk.metrics.agreement import AnnotationTask

    # Items by number: NLTK sorts them, and not all hashable things can be
    numbers = {item: number for number, item in enumerate(times)}
    task = AnnotationTask([(source, numbers[item], label) for source, item, label in paired])
    return Alpha(n, float(task.alpha()))
