"""Which requests share a row and which rows a stem: nothing is lost, and what is shared is fed once."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.engines.packed import pack
from bfpo_bench.engines.prefix import FAMILY, STEM, Query, Tree, plan

ALWAYS = 10**9
"""Attention that costs nothing: whatever shares a token shares a row."""


def query(tokens: tuple[int, ...], asked: int = 1) -> Query:
    """The last `asked` places, each with a target of its own."""
    places = tuple(range(len(tokens) - asked, len(tokens)))
    return Query(tokens, places, tuple(100 + p for p in places))


def share(*queries: Query, attention: float = ALWAYS, most: int = 2048) -> list[Tree]:
    return plan(queries, attention, most, sys.maxsize)


TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple)
QUERIES = st.lists(
    TOKENS.flatmap(lambda t: st.integers(1, len(t)).map(lambda asked: query(t, asked))),
    min_size=1,
    max_size=12,
)


class TestPlan:
    def test_one_context_and_two_choices(self) -> None:
        """Fed: 7 8 9 once, then 1 2 and 3: six tokens. Asked about: 9, 1, 2 and 9, 3: four places."""
        trees = share(query((7, 8, 9, 1, 2), 3), query((7, 8, 9, 3), 2))
        assert trees == [Tree(members=(0, 1), stem=0, tokens=6, places=4)]

    def test_what_shares_nothing_has_rows_of_its_own(self) -> None:
        trees = share(query((1, 2)), query((3, 4, 5)))
        assert [tree.members for tree in trees] == [(1,), (0,)]

    def test_equals_are_one_line(self) -> None:
        """As two choices of one token are: it is only predicted."""
        assert share(query((1, 2)), query((1, 2)), attention=0) == [
            Tree((0, 1), 0, 2, 1, plain=True)
        ]

    def test_a_tree_ends_where_attention_outweighs_what_is_saved(self) -> None:
        """One token of 11 is shared. Apart: 11^2 + 11^2 = 242 pairs; together 21^2 = 441: 199 more."""
        queries = query((1, *range(10, 20))), query((1, *range(30, 40)))
        assert len(share(*queries, attention=199)) == 1
        assert len(share(*queries, attention=198)) == 2

    def test_a_row_stays_within_its_room(self) -> None:
        """Four tokens shared and three more each: 7, 10, 13."""
        queries = [query((1, 2, 3, 4, n, n, n)) for n in (5, 6, 7)]
        assert [len(t.members) for t in share(*queries, most=13)] == [3]
        assert sorted(len(t.members) for t in share(*queries, most=12)) == [1, 2]

    def test_places_that_only_the_second_asks_about(self) -> None:
        """4 after 1 2 3, then 2, 3, 4 and 5: the first's own place once, and three more."""
        assert share(query((1, 2, 3)), query((1, 2, 3, 4), 4)) == [Tree((0, 1), 0, 4, 4)]

    def test_a_plain_one_is_a_single_line(self) -> None:
        """Equals are one; of two of which one goes on, the longer needs columns of its own. Plain ones
        come after the others, and each kind by what it takes."""
        equals = query((1, 2, 3, 4, 5)), query((1, 2, 3, 4, 5))
        trees = share(*equals, query((6, 7)), query((8, 9)), query((8, 9, 10)))
        assert [(tree.members, tree.plain) for tree in trees] == [
            ((3, 4), False),
            ((0, 1), True),
            ((2,), True),
        ]

    def test_a_long_one_shares_with_its_equals_alone(self) -> None:
        queries = [query((1, 2, 3, 4)), query((1, 2, 3, 4)), query((1, 2, 3, 5)), query((1, 2, 6))]
        trees = plan(queries, ALWAYS, 2048, longest=3)
        assert sorted(tree.members for tree in trees) == [(0, 1), (2,), (3,)]

    @given(QUERIES, st.sampled_from([0, 5, ALWAYS]), st.integers(1, 40), st.integers(0, 12))
    def test_every_query_is_in_one_tree(
        self, queries: list[Query], attention: float, most: int, longest: int
    ) -> None:
        trees = plan(queries, attention, most, longest)
        assert sorted(i for tree in trees for i in tree.members) == list(range(len(queries)))
        for tree in trees:
            rows = [queries[i].tokens for i in tree.members]
            assert rows == sorted(rows)
            beginnings = {row[:n] for row in rows for n in range(1, len(row) + 1)}
            asked = {queries[i].tokens[: p + 1] for i in tree.members for p in queries[i].places}
            assert tree.tokens == len(beginnings)
            assert tree.plain == (pack([[queries[i] for i in tree.members]], 0).visible is None)
            assert len(asked) <= tree.places <= sum(len(queries[i].places) for i in tree.members)


class TestStem:
    def family(self, stem: int, count: int, asked: int = 1, seed: int = 0) -> list[Query]:
        draw = random.Random(seed)
        begin = tuple(draw.randrange(50) for _ in range(stem))
        return [
            query((*begin, n, *(draw.randrange(50) for _ in range(40))), asked)
            for n in range(count)
        ]

    def test_what_very_many_share(self) -> None:
        """60 x 41 tokens beyond 32: more than a row or two."""
        trees = share(*self.family(STEM, 60), attention=0)
        assert [(tree.stem, tree.tokens) for tree in trees] == [(STEM, 41)] * 60

    def test_those_on_one_stem_lie_together(self) -> None:
        """Two prefixes of equal length, with requests of 73 and 113 tokens on each, taken in turns."""
        families = self.family(STEM, 60), self.family(STEM, 60, seed=1)
        queries = [
            query(q.tokens + (9,) * 40 * (i % 2))
            for i, pair in enumerate(zip(*families, strict=True))
            for q in pair
        ]
        trees = share(*queries, attention=0)
        kinds = [tree.kind for tree in trees]
        assert {stem for stem, _, _ in kinds} == {STEM}
        assert [kinds.count(kind) for kind in dict.fromkeys(kinds)] == [60, 60]
        assert sorted(kinds) == kinds
        for kind in set(kinds):
            members = [i for tree in trees if tree.kind == kind for i in tree.members]
            assert len({queries[i].tokens[:STEM] for i in members}) == 1

    def test_few_share_a_row_instead(self) -> None:
        count = FAMILY // 41
        assert {tree.stem for tree in share(*self.family(STEM, count), attention=0)} == {0}

    def test_a_short_prefix_is_none(self) -> None:
        assert {tree.stem for tree in share(*self.family(STEM - 1, 60), attention=0)} == {0}

    def test_it_ends_before_what_is_asked_about(self) -> None:
        """Of 73 tokens the last 36 are asked about, the first of them at place 37 of a prefix of 40;
        with 44 asked about, the place is 29: too short for a stem."""
        assert {t.stem for t in share(*self.family(40, 60, asked=44), attention=0)} == {37}
        assert {t.stem for t in share(*self.family(40, 60, asked=52), attention=0)} == {0}

    def test_neighbours_without_one_keep_sharing(self) -> None:
        few = [query((60, 61, 62)), query((60, 61, 63))]
        trees = share(*few, *self.family(STEM, 60), attention=3)
        assert Tree((0, 1), 0, 4, 2) in trees
        assert sum(tree.stem == STEM for tree in trees) == 60


class TestPacked:
    def test_by_hand(self) -> None:
        """The row is 7 8 1 2 3: depth 0 1, then the branches 2 3 and 2. Columns 3 and 4 are asked about,
        and 3 sees 2 but not 4."""
        packed = pack([[query((7, 8, 1, 2)), query((7, 8, 3))]], 0)
        assert packed.ids.tolist() == [[7, 8, 1, 2, 3]]
        assert packed.depths.tolist() == [[0, 1, 2, 3, 2]]
        assert packed.visible is not None
        assert packed.visible[0].astype(int).tolist() == [
            [1, 0, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [1, 1, 1, 0, 0],
            [1, 1, 1, 1, 0],
            [1, 1, 0, 0, 1],
        ]
        assert (packed.rows.tolist(), packed.columns.tolist()) == ([0, 0], [3, 4])
        assert (packed.at.tolist(), packed.targets.tolist()) == ([0, 1], [103, 102])
        assert packed.counts == [1, 1]

    def test_lines_need_no_mask(self) -> None:
        """Two rows of different lengths, one of which is asked twice: causal attention and padding."""
        packed = pack([[query((1, 2, 3)), query((1, 2, 3))], [query((4,))]], 0)
        assert packed.visible is None
        assert packed.ids.tolist() == [[1, 2, 3], [4, 0, 0]]
        assert packed.at.tolist() == [0, 0, 1]

    def test_a_stem_is_seen_by_all_and_is_in_no_row(self) -> None:
        packed = pack([[query((7, 8, 1)), query((7, 8, 2))]], 2)
        assert packed.ids.tolist() == [[1, 2]]
        assert packed.depths.tolist() == [[2, 2]]
        assert packed.visible is not None
        assert packed.visible[0].astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 1]]

    @given(QUERIES)
    def test_a_place_sees_its_own_beginning_and_nothing_else(self, queries: list[Query]) -> None:
        """For every target: the tokens seen from its place, by depth, are the query's up to there."""
        trees = plan(queries, ALWAYS, 2048, sys.maxsize)
        packed = pack([[queries[i] for i in tree.members] for tree in trees], 0)
        members = [queries[i] for tree in trees for i in tree.members]
        asked = [
            (q.tokens[: p + 1], t)
            for q in members
            for p, t in zip(q.places, q.targets, strict=True)
        ]
        for (tokens, target), at, found in zip(asked, packed.at, packed.targets, strict=True):
            row, column = packed.rows[at], packed.columns[at]
            if packed.visible is None:
                seen = np.arange(column + 1)
            else:
                seen = np.flatnonzero(packed.visible[row, column])
            assert packed.ids[row, seen].tolist() == list(tokens)
            assert packed.depths[row, seen].tolist() == list(range(len(tokens)))
            assert found == target


@pytest.mark.parametrize("places", [1, 3])
def test_places_count_once_in_a_batch(places: int) -> None:
    """Two equal queries ask about the same places."""
    same = query((1, 2, 3, 4), places)
    assert len(pack([[same, same]], 0).rows) == places
