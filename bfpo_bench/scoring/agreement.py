"""How far labels of the same items agree: Cohen's kappa of two sources, Krippendorff's alpha of more."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
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

    if len(reference) != len(given) or (groups is not None and len(groups) != len(given)):
        raise ValueError("reference, given and groups differ in number")
    codes = {label: n for n, label in enumerate(dict.fromkeys((*reference, *given)))}
    return agreement_of_codes(
        np.array([codes[label] for label in reference], dtype=np.intp),
        np.array([codes[label] for label in given], dtype=np.intp),
        list(codes),
        labels,
        seed_text,
        None if groups is None else _numbered(groups),
    )


def agreement_of_codes(
    reference: np.ndarray,
    given: np.ndarray,
    names: Sequence[str],
    labels: Sequence[str],
    seed_text: str,
    groups: np.ndarray | None,
) -> Agreement:
    """The same of arrays [items]: `names` are the labels by code, `groups` numbers."""
    import numpy as np

    unjudged = names.index(UNJUDGED) if UNJUDGED in names else -1
    judged = (reference != unjudged) & (given != unjudged)
    reference, given = reference[judged], given[judged]
    present = {names[code] for code in np.union1d(reference, given).tolist()}
    order = (*labels, *sorted(present - set(labels)))
    places = np.array([order.index(n) if n in order else -1 for n in names], dtype=np.intp)
    flat = places[reference] * len(order) + places[given]
    table = np.bincount(flat, minlength=len(order) ** 2)
    square = table.reshape(len(order), len(order))
    base = Agreement(
        n=len(flat),
        unjudged=len(judged) - len(flat),
        labels=order,
        confusion=tuple(tuple(row) for row in square.tolist()),
    )
    if not len(flat):
        return replace(base, undefined="no item has a label from both")
    observed = float(np.trace(square)) / len(flat)
    if _is_one_label(table):
        only = order[int(square.diagonal().argmax())]
        return replace(base, observed=observed, undefined=f"both say {only} of every item")
    kappa = _kappa(table)
    low, high = _bounds(*_kinds(flat, None if groups is None else groups[judged], table), seed_text)
    return replace(
        base, observed=observed, kappa=kappa, ci_low=min(low, kappa), ci_high=max(high, kappa)
    )


def _numbered(groups: Sequence[Hashable]) -> np.ndarray:
    """Equal groups as equal numbers."""
    import numpy as np

    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in groups], dtype=np.int64)


def _kinds(
    flat: np.ndarray, groups: np.ndarray | None, table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The groups' confusion tables, each kind once: tables [kinds, cells], and how many groups have it.

    `flat` [items] is each item's cell, `table` what all of them make together. Groups of one size are
    rows of a matrix, so that a million of them take no more than their cells.
    """
    import numpy as np

    if groups is None:
        groups = np.arange(len(flat))
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    cells = flat[np.lexsort((flat, number))]
    starts = np.cumsum(sizes) - sizes
    tables, times = [], []
    for size in np.unique(sizes):
        rows = cells[starts[sizes == size][:, None] + np.arange(size)]
        kinds, often = np.unique(rows, axis=0, return_counts=True)
        counts = np.zeros((len(kinds), len(table)), dtype=np.int64)
        np.add.at(counts, (np.arange(len(kinds))[:, None], kinds), 1)
        tables.append(counts)
        times.append(often)
    stacked = np.concatenate(tables)
    # In the order of the tables, which the draws go by
    ascending = np.lexsort(stacked.T[::-1])
    return stacked[ascending], np.concatenate(times)[ascending]


def _kappa(table: np.ndarray) -> float:
    """Of a table of counts, given flat."""
    from statsmodels.stats.inter_rater import cohens_kappa

    width = round(len(table) ** 0.5)
    return float(cohens_kappa(table.reshape(width, width), return_results=False))


def _is_one_label(table: np.ndarray) -> bool:
    """Whether all items lie in one cell of the diagonal, where chance alone would put them."""
    width = round(len(table) ** 0.5)
    return bool(table[:: width + 1].max() == table.sum())


def _bounds(kinds: np.ndarray, times: np.ndarray, seed_text: str) -> tuple[float, float]:
    """The bootstrap's 95 % bounds from the tables of `_kinds`.

    Groups with equal tables are drawn together, as a multinomial: the same draws, less work. Draws
    whose kappa is undefined are left out. One group says nothing of the spread: then the bounds are
    all that kappa can be.
    """
    import numpy as np

    groups = int(times.sum())
    if groups == 1:
        return -1.0, 1.0
    seed = int.from_bytes(hashlib.sha256(seed_text.encode()).digest()[:8], "big")
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(groups, times / groups, size=RESAMPLES) @ kinds
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


def krippendorff_alpha(rows: Iterable[tuple[Sequence[str | None], int]]) -> Alpha:
    """Alpha of labels with the nominal distance. `rows`: what the sources (judges, people) say of an
    item, a label each, and of how many items they say it.

    Sources may lack items: what is missing (None) or `unjudged` is left out, and with it items that
    fewer than two sources labelled. With o the number of ordered pairs of unequal labels within
    items, one of m labels weighing 1 / (m - 1), and e the same of all n labels together: alpha is
    1 - o / e (Krippendorff 2004, ch. 11, as NLTK's AnnotationTask computes it).
    """
    total, n = 0.0, 0
    values: Counter[str] = Counter()
    for row, times in rows:
        said = Counter(label for label in row if label is not None and label != UNJUDGED)
        if said.total() > 1 and times:
            n += times
            total += times * (_disagreement(said) * said.total())
            for label, often in said.items():
                values[label] += times * often
    if n == 0:
        return Alpha(0, undefined="no item has labels from two")
    if len(values) == 1:
        return Alpha(n, undefined=f"all say {next(iter(values))} of every item")
    return Alpha(n, 1.0 - total / values.total() / _disagreement(values))


def _disagreement(labels: Counter[str]) -> float:
    """The share of unequal ones among the ordered pairs of labels; at least two labels."""
    count = labels.total()
    alike = sum(often * often for often in labels.values())
    return (count * count - alike) / (count * (count - 1))
