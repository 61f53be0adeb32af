"""The queries of one call as trees: which are scored together, and that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from bfpo_bench.engines.batching import Room
from bfpo_bench.engines.prefix import Query, Tree, plan
from bfpo_bench.engines.trees import Score, TreeReader


class Forest:
    """Positions are those of `queries`. Trees are planned anew, and smaller, once a batch of them did
    not fit."""

    def __init__(self, queries: Sequence[Query], reader: TreeReader, room: Room) -> None:
        self.queries = queries
        self.reader = reader
        self.room = room
        self._trees: dict[int, Tree] = {}

    def cut(self, order: Sequence[int]) -> Iterator[Sequence[int]]:
        """`order` in batches of whole trees, in the order of `plan`."""
        queries = [self.queries[position] for position in order]
        trees = plan(queries, self.reader.attention, self.room.tokens, self.reader.longest)
        for batch in self.room.cut(trees):
            members = []
            for tree in batch:
                own = [order[i] for i in tree.members]
                self._trees.update(dict.fromkeys(own, tree))
                members += own
            yield members

    def halve(self, batch: Sequence[int]) -> None:
        self.room.halve([tree for tree, _ in self._by_tree(batch)])

    def score(self, batch: Sequence[int]) -> list[Score]:
        """A batch, a part of one, or a query that is in none yet."""
        trees = self._by_tree(batch)
        return self.reader.score(
            [[self.queries[i] for i in members] for _, members in trees], trees[0][0].stem
        )

    def _by_tree(self, batch: Sequence[int]) -> list[tuple[Tree, list[int]]]:
        for position in batch:
            if position not in self._trees:
                query = self.queries[position]
                alone = Tree((position,), 0, len(query.tokens), len(query.places), plain=True)
                self._trees[position] = alone
        groups = groupby(batch, key=lambda position: id(self._trees[position]))
        found = [list(members) for _, members in groups]
        return [(self._trees[members[0]], members) for members in found]
