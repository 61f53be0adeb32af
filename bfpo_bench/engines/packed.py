"""Trees of queries as one batch of rows: token ids, depths, who attends to whom, where to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bfpo_bench.engines.prefix import Query

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Packed:
    """A batch of B rows of at most L tokens, after a stem of S tokens that all of them share.

    `ids` and `depths` are [B, L], padded on the right with zeros. `visible` is [B, L, S + L], None
    where every row is a single line without a stem, which plain causal attention computes. `rows` and
    `columns` are the places asked about, each once. `at` and `targets` are those of all queries after
    one another: which of those places, and which token there; `counts` are how many a query has.
    """

    ids: Array
    depths: Array
    visible: Array | None
    rows: Array
    columns: Array
    at: Array
    targets: Array
    counts: list[int]


@dataclass
class _Row:
    """One tree being laid out: a depth-first walk, so that a branch's columns follow each other.

    `branches` are (first column, columns of the ancestors, how many tokens).
    """

    stem: int
    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    branches: list[tuple[int, Array, int]] = field(default_factory=list)
    path: Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    last: tuple[int, ...] = ()

    def add(self, tokens: tuple[int, ...]) -> None:
        """Lay out what `tokens` do not share with the query before; `path` has the column of each."""
        common = self.stem
        while common < min(len(self.last), len(tokens)) and self.last[common] == tokens[common]:
            common += 1
        kept, column, new = self.path[: common - self.stem], len(self.ids), len(tokens) - common
        if new:
            self.ids += tokens[common:]
            self.depths += range(common, len(tokens))
            self.branches.append((column, kept, new))
        self.path = np.concatenate([kept, np.arange(column, column + new)])
        self.last = tokens


def pack(trees: Sequence[Sequence[Query]], stem: int) -> Packed:
    """One row a tree; each tree's queries are in lexicographic order and begin with the same `stem`
    tokens, none of which is a place."""
    laid: list[_Row] = []
    found: dict[tuple[int, int], int] = {}
    at: list[int] = []
    for number, tree in enumerate(trees):
        row = _Row(stem)
        for query in tree:
            row.add(query.tokens)
            columns = row.path[np.asarray(query.places) - stem].tolist()
            at += [found.setdefault((number, column), len(found)) for column in columns]
        laid.append(row)
    width = max(len(row.ids) for row in laid)
    rows, columns = np.array(list(found)).T
    return Packed(
        ids=_padded([row.ids for row in laid], width),
        depths=_padded([row.depths for row in laid], width),
        visible=_visible(laid, stem, width),
        rows=rows,
        columns=columns,
        at=np.array(at),
        targets=np.array([token for tree in trees for query in tree for token in query.targets]),
        counts=[len(query.targets) for tree in trees for query in tree],
    )


def _padded(rows: Sequence[Sequence[int]], width: int) -> Array:
    padded = np.zeros((len(rows), width), dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded


def _visible(laid: Sequence[_Row], stem: int, width: int) -> Array | None:
    """Each token sees the stem, its ancestors and itself; padding sees something, lest it be NaN."""
    if not stem and all(len(row.branches) == 1 for row in laid):
        return None
    visible = np.zeros((len(laid), width, stem + width), dtype=bool)
    visible[:, :, :stem] = True
    visible[:, np.arange(width), stem + np.arange(width)] = True
    for number, row in enumerate(laid):
        for column, ancestors, new in row.branches:
            branch = visible[number, column : column + new, stem:]
            branch[:, ancestors] = True
            branch[:, column : column + new] |= np.tri(new, dtype=bool)
    return visible
