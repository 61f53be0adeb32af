"""Batches that do not fit are halved, and nothing is lost or said twice on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bfpo_bench.engines.batching import (
    Fitting,
    Halving,
    Room,
    RowSize,
    attempt,
    by_length,
    is_out_of_memory,
)
from bfpo_bench.engines.isolation import answers
from bfpo_bench.engines.prefix import Tree


def device(holds: int, error: Exception, tried: list[int]) -> Callable[[Sequence[int]], list[str]]:
    """A run function whose memory holds `holds` rows."""

    def run(rows: Sequence[int]) -> list[str]:
        tried.append(len(rows))
        if len(rows) > holds:
            raise error
        return [f"answer {row}" for row in rows]

    return run


def everything(
    halving: Halving, count: int, run: Callable[[Sequence[int]], list[str]]
) -> list[tuple[int, str]]:
    found = answers(range(count), Fitting(halving, lambda position: count), run)
    return sorted((position, str(answer)) for position, answer in found)


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_the_longest_come_first_and_equals_keep_their_order() -> None:
    assert by_length([3, 9, 3, 9, 1]) == [1, 3, 0, 2, 4]


def test_halves_stay_halved() -> None:
    tried: list[int] = []
    found = everything(Halving(16), 20, device(5, OUT_OF_MEMORY, tried))
    assert found == [(i, f"answer {i}") for i in range(20)]
    assert tried == [16, 8, 4, 4, 4, 4, 4]


@settings(max_examples=20, deadline=None)  # each halving collects garbage, which takes its time
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70))
def test_every_request_is_answered_once(holds: int, rows: int, count: int) -> None:
    found = everything(Halving(rows), count, device(holds, OUT_OF_MEMORY, []))
    assert found == [(i, f"answer {i}") for i in range(count)]


def test_one_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        everything(Halving(4), 4, device(0, OUT_OF_MEMORY, []))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OUT_OF_MEMORY, True),
        (MemoryError(), True),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
            ),
            True,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might"), True),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("shape mismatch"), False),
        (OSError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_cpus_own_error_is_recognised() -> None:
    """Not a made-up message: 2**60 bytes are more than any machine gives."""
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(error.value)


def test_memory_of_an_accelerator_is_not_a_lost_device() -> None:
    found = everything(
        Halving(4), 6, device(2, torch.AcceleratorError("CUDA error: out of memory"), [])
    )
    assert found == [(i, f"answer {i}") for i in range(6)]


def test_a_torch_without_accelerator_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the oldest that is allowed: an error is handed back as ever."""
    monkeypatch.delattr(torch, "AcceleratorError")
    error = ValueError("shape")
    assert attempt(device(1, error, []), [0, 1]) is error


def test_rows_by_memory() -> None:
    """1,000 bytes free, 2 a token, 50 a position's logits. Ten tokens that predict one position take
    20 + 50 = 70, so 14 rows fit; where all ten are scored, 20 + 500 = 520: one; never none."""
    size = RowSize(free=1000, token=2, logits=50)
    assert size.rows(10, predicted=1) == 14
    assert size.rows(10, predicted=10) == 1
    assert size.rows(10_000, predicted=10_000) == 1


def test_a_batch_is_no_larger_than_its_longest_row_allows() -> None:
    """Lengths 9, 5, 2, 1 and room for 10: nine alone, two rows of up to five, then the rest."""
    lengths = [9, 5, 2, 1]
    halving = Halving(8)
    batches = halving.cut(range(4), lambda i: 10 // lengths[i])
    assert [list(batch) for batch in batches] == [[0], [1, 2], [3]]


class TestRoom:
    """Batches of trees."""

    def trees(self, *tokens: int, stem: int = 0, places: int = 1) -> list[Tree]:
        return [Tree((i,), stem, size, places) for i, size in enumerate(tokens)]

    def sizes(self, room: Room, trees: Sequence[Tree]) -> list[list[int]]:
        return [[tree.tokens for tree in batch] for batch in room.cut(trees)]

    def test_by_padded_tokens(self) -> None:
        """Rows of 10: two fill 20 and a third would make 30."""
        room = Room(tokens=29, held=999, places=99, rows=99)
        assert self.sizes(room, self.trees(10, 10, 9, 9)) == [[10, 10], [9, 9]]

    def test_by_what_the_stem_takes_in_each_row(self) -> None:
        """Two rows of 10 after 50 tokens hold 120."""
        room = Room(tokens=999, held=120, places=99, rows=99)
        assert self.sizes(room, self.trees(10, 10, 10, stem=50)) == [[10, 10], [10]]

    def test_by_places_and_by_rows(self) -> None:
        assert self.sizes(Room(999, 999, 7, 99), self.trees(9, 9, 9, places=3)) == [[9, 9], [9]]
        assert self.sizes(Room(999, 999, 99, 1), self.trees(9, 9)) == [[9], [9]]

    def test_one_tree_at_least(self) -> None:
        assert self.sizes(Room(1, 1, 1, 1), self.trees(9, 8, places=5)) == [[9], [8]]

    def test_another_stem_is_another_batch(self) -> None:
        room = Room(999, 999, 99, 99)
        assert self.sizes(room, [*self.trees(9, stem=40), *self.trees(9, 9)]) == [[9], [9, 9]]

    def test_another_stem_of_the_same_length_is_another_batch(self) -> None:
        room = Room(999, 999, 99, 99)
        trees = [Tree((i,), 40, size, 1, family=i // 2) for i, size in enumerate((9, 8, 7, 6))]
        assert self.sizes(room, trees) == [[9, 8], [7, 6]]

    def test_a_line_goes_with_lines_alone(self) -> None:
        """A branching tree has a mask, which would open the sliding window of a long line."""
        room = Room(999, 999, 99, 99)
        lines = [Tree((i,), 0, 9, 1, plain=True) for i in range(2)]
        assert self.sizes(room, [*self.trees(9, 8, 7), *lines]) == [[9, 8, 7], [9, 9]]

    def test_little_of_a_batch_is_padding(self) -> None:
        """Of 80 tokens an eighth is 10: 11 and 9 go together, and a third row of 5 would make 25 of
        33; with room for 800 it may."""
        assert self.sizes(Room(80, 999, 99, 99), self.trees(11, 9, 5)) == [[11, 9], [5]]
        assert self.sizes(Room(800, 999, 99, 99), self.trees(11, 9, 5)) == [[11, 9, 5]]

    def test_half_of_what_did_not_fit(self) -> None:
        """Three rows of at most 9 after 4: 27 tokens, 39 with the stem, 6 places."""
        room = Room(999, 999, 99, 99)
        room.halve(self.trees(9, 8, 8, stem=4, places=2))
        assert room == Room(tokens=13, held=19, places=3, rows=1, halved=1)

    def test_one_tree_larger_than_the_room_does_not_widen_it(self) -> None:
        """8,000 tokens where 2,048 are a batch: half of those, and as many rows and places as before."""
        room = Room(2048, 100_000, 1000, 64)
        room.halve(self.trees(8000, places=2))
        assert room == Room(tokens=1024, held=4000, places=1000, rows=64, halved=1)
        room.halve(self.trees(8000, places=2))
        assert room == Room(tokens=512, held=2000, places=1000, rows=64, halved=2)
