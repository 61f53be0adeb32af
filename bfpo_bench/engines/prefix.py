"""Requests that begin alike, as trees: what they share goes through the model once.

Nothing is known of documents here: what is shared is found from token ids alone. Requests in
lexicographic order are a depth-first walk through the tree of their tokens, so that each only adds the
tokens that it does not share with the one before. A tree becomes one row: every token is fed once, at
its own depth, and attends to its ancestors alone. A prefix that very many requests share, such as the
examples of a few-shot prompt, is no part of the rows: it is their stem, fed once and kept as keys and
values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

STEM = 32
"""Tokens from which on a prefix may be a stem: a shorter one costs more in calls than it saves."""
FAMILY = 2048
"""Tokens that the requests on a stem must have beyond it: fewer fit into a row or two."""


@dataclass(frozen=True)
class Query:
    """Feed `tokens`; how probable is each of `targets` right after the token at its place?

    `places` are indices into `tokens`, one for each target, in ascending order.
    """

    tokens: tuple[int, ...]
    places: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """Queries by their positions, in lexicographic order, and what their row takes.

    The first `stem` tokens of each are kept out of the row, which has `tokens` tokens; at no more than
    `places` of them a next token is asked about. Trees of one `family` have the same stem. A `plain`
    one is a single line without a stem, which needs no mask of ours.
    """

    members: tuple[int, ...]
    stem: int
    tokens: int
    places: int
    family: int = 0
    plain: bool = False

    @property
    def kind(self) -> tuple[int, int, bool]:
        """Trees that differ here may share no batch.

        It has one stem; and where one of its rows has a mask of ours all do, which would open the
        sliding window of a long line.
        """
        return self.stem, self.family, self.plain


@dataclass(frozen=True)
class _Walk:
    """Queries in lexicographic order: their positions and sizes, the first place of each that is asked
    about, and how many leading tokens each shares with the one before."""

    order: Sequence[int]
    sizes: Sequence[int]
    asked: Sequence[int]
    shared: Sequence[int]

    def stretches(self) -> Iterator[tuple[int, int, int]]:
        """All queries as (start, end, stem), those without a stem between two that have one together."""
        plain = start = 0
        for end in range(1, len(self.order) + 1):
            if end < len(self.order) and self.shared[end] >= STEM:
                continue
            if stem := self._stem(start, end):
                yield from [(plain, start, 0)] if plain < start else []
                yield start, end, stem
                plain = end
            start = end
        if plain < len(self.order):
            yield plain, len(self.order), 0

    def _stem(self, start: int, end: int) -> int:
        """What all of these share before the first place that is asked about; 0 for no stem."""
        if end - start == 1:
            return 0
        common = self.shared[start + 1 : end]
        stem = min(*common, *self.asked[start:end])
        beyond = sum(size - c for size, c in zip(self.sizes[start + 1 : end], common, strict=True))
        return stem if stem >= STEM and beyond >= FAMILY else 0

    def spans(
        self, start: int, end: int, stem: int, attention: float, most: int
    ) -> Iterator[tuple[int, int]]:
        """The trees of a stretch; the parameters are those of `plan`."""
        low, width = start, self.sizes[start] - stem
        for i in range(start + 1, end):
            saved, new = self.shared[i] - stem, self.sizes[i] - self.shared[i]
            wider = 2 * width * new - saved * (saved + 2 * new)
            if new == 0 or (width + new <= most and saved * attention >= wider):
                width += new
            else:
                yield low, i
                low, width = i, self.sizes[i] - stem
        yield low, end

    def tree(self, low: int, high: int, stem: int, family: int) -> Tree:
        tokens, places = self.sizes[low] - stem, self.sizes[low] - self.asked[low]
        for i in range(low + 1, high):
            size, common, asked = self.sizes[i], self.shared[i], self.asked[i]
            tokens += size - common
            # In what both share, the query before has asked from its own first place on
            places += size - max(common, asked) + max(0, min(common, self.asked[i - 1]) - asked)
        plain = not stem and tokens == self.sizes[low]
        return Tree(tuple(self.order[low:high]), stem, tokens, places, family, plain)


def plan(queries: Sequence[Query], attention: float, most: int, longest: int) -> list[Tree]:
    """Which queries share a row, and which rows a stem; trees of a kind lie together, the longest stem
    first, and of those the ones that take most.

    `attention` is how many pairs of tokens cost as much to attend as everything else costs for one
    token: a query joins a tree where the tokens that it saves outweigh the wider attention, and the
    row stays within `most` tokens. Queries of more than `longest` tokens share nothing with others
    than their equals.
    """
    order = sorted(range(len(queries)), key=lambda i: queries[i].tokens)
    walk = _Walk(
        order,
        [len(queries[i].tokens) for i in order],
        [queries[i].places[0] for i in order],
        [0, *_shared([queries[i].tokens for i in order], longest)],
    )
    trees = []
    for start, end, stem in walk.stretches():
        for low, high in walk.spans(start, end, stem, attention, most):
            trees.append(walk.tree(low, high, stem, family=start if stem else 0))
    return sorted(trees, key=lambda tree: (-tree.stem, tree.family, tree.plain, -tree.tokens))


def _shared(rows: Sequence[tuple[int, ...]], longest: int) -> Iterator[int]:
    """How many leading tokens each row shares with the one before it."""
    for before, row in pairwise(map(np.asarray, rows)):
        size = min(len(before), len(row))
        differ = np.flatnonzero(before[:size] != row[:size])
        common = int(differ[0]) if len(differ) else size
        alone = max(len(before), len(row)) > longest and common < len(row)
        yield 0 if alone else common
