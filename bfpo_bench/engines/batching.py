"""Batch sizes that find themselves: a first guess from free memory, halved whenever it runs out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bfpo_bench.engines.prefix import Tree
from bfpo_bench.errors import UserError

R = TypeVar("R")

_LOGIT_COPIES = 3
"""Float32 copies of a row's logits that are alive at once: as they come, as floats, as log-softmax."""
_ACTIVATIONS = 16
"""Hidden-size vectors alive a token in one layer: attention and the wider feed-forward part."""
_TOKENS = {"cpu": 2048, "gpu": 16384}
"""Tokens of a batch of trees: on a CPU more do not stay in its cache."""
_LOGITS = {"cpu": 3 * 2**24, "gpu": 3 * 2**31}
"""Bytes of the logits of such a batch, with their copies."""
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What a RuntimeError over memory says: the CPU allocator's, the driver's, cuBLAS's."""


@dataclass(frozen=True)
class RowSize:
    """What one row of a batch takes, and what there is: the first guess at a batch's size."""

    free: int
    token: int
    logits: int

    @classmethod
    def of(cls, model: Any) -> RowSize:
        """Half of the memory that is free now, bytes a token (cache and activations), bytes of logits."""
        import psutil
        import torch

        config = model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        cache = 2 * config.num_hidden_layers * heads * size
        if model.device.type == "cuda":
            free = torch.cuda.mem_get_info(model.device)[0]
        else:
            free = psutil.virtual_memory().available
        token = (cache + _ACTIVATIONS * config.hidden_size) * model.dtype.itemsize
        return cls(free // 2, token, config.vocab_size * 4 * _LOGIT_COPIES)

    def rows(self, tokens: int, predicted: int) -> int:
        """Rows of `tokens` tokens, of which `predicted` positions have logits; at least 1."""
        return max(1, self.free // (tokens * self.token + predicted * self.logits))


def by_length(lengths: Sequence[int]) -> list[int]:
    """Positions, the longest first; equals keep their order."""
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def is_out_of_memory(error: BaseException) -> bool:
    """PyTorch's CUDA allocator has a class for it; the CPU's, the driver and cuBLAS say it in words."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def attempt(run: Callable[[Sequence[int]], list[R]], batch: Sequence[int]) -> list[R] | Exception:
    """`run(batch)`, or the error that it raises, without its traceback, which holds the batch's tensors.

    Raises what no other batch can mend: a UserError, or a device that is lost, memory aside.
    """
    import gc

    import torch

    try:
        return run(batch)
    except Exception as error:
        # Older releases of torch have no such class: there a lost device is a plain RuntimeError
        lost = getattr(torch, "AcceleratorError", ())
        if isinstance(error, (UserError, lost)) and not is_out_of_memory(error):
            raise
        caught = error.with_traceback(None)
    if is_out_of_memory(caught):
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return caught


class Halving:
    """Batches of at most `rows` rows, which halve, for good, each time that one does not fit."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.halved = 0

    def cut(
        self, order: Sequence[int], fitting: Callable[[int], int] = lambda position: sys.maxsize
    ) -> Iterator[Sequence[int]]:
        """`order` in batches, each as large as allowed when it is taken.

        `fitting(position)` says how many rows like that of a batch's first position may fit; `order`
        has the longest first, so the others need no more.
        """
        start = 0
        while start < len(order):
            batch = order[start : start + min(self.rows, fitting(order[start]))]
            yield batch
            start += len(batch)

    def halve(self, batch: Sequence[int]) -> None:
        """`batch` did not fit."""
        self.rows = max(1, len(batch) // 2)
        self.halved += 1


@dataclass
class Fitting:
    """`Halving` with what may fit by a row's size; see there."""

    limit: Halving
    fitting: Callable[[int], int]

    def cut(self, order: Sequence[int]) -> Iterator[Sequence[int]]:
        return self.limit.cut(order, self.fitting)

    def halve(self, batch: Sequence[int]) -> None:
        self.limit.halve(batch)


@dataclass
class Room:
    """What a batch of trees may hold: padded tokens, those with a stem for each row, places asked about,
    rows. Halved as in `Halving`."""

    tokens: int
    held: int
    places: int
    rows: int
    halved: int = 0

    @classmethod
    def of(cls, model: Any, size: RowSize, rows: int) -> Room:
        """As much as keeps the device busy, or what is free holds."""
        kind = "cpu" if model.device.type == "cpu" else "gpu"
        held = max(1, size.free // 2 // size.token)
        places = max(1, min(_LOGITS[kind], size.free // 2) // size.logits)
        return cls(min(_TOKENS[kind], held), held, places, rows)

    def cut(self, trees: Sequence[Tree]) -> Iterator[Sequence[Tree]]:
        """Consecutive trees of a kind, each batch as large as allowed when it is taken; it ends early
        where padding would be a fifth of it, once an eighth of the room is filled."""
        start = 0
        while start < len(trees):
            width, stem = trees[start].tokens, trees[start].stem
            end, real, places = start, 0, 0
            while end < len(trees) and trees[end].kind == trees[start].kind:
                tree, rows = trees[end], end + 1 - start
                padded = rows * width
                full = padded > self.tokens or padded + rows * stem > self.held
                full = full or places + tree.places > self.places or rows > self.rows
                loose = real * 8 > self.tokens and real + tree.tokens < 0.8 * padded
                if rows > 1 and (full or loose):
                    break
                end, real, places = end + 1, real + tree.tokens, places + tree.places
            yield trees[start:end]
            start = end

    def halve(self, trees: Sequence[Tree]) -> None:
        """A batch of these did not fit. One tree alone may be larger than the room for a batch, and
        says nothing of how many smaller ones go together."""
        padded = len(trees) * max(tree.tokens for tree in trees)
        self.tokens = max(1, min(self.tokens, padded) // 2)
        self.held = max(1, min(self.held, padded + len(trees) * trees[0].stem) // 2)
        if len(trees) > 1:
            self.places = max(1, min(self.places, sum(tree.places for tree in trees)) // 2)
            self.rows = max(1, min(self.rows, len(trees)) // 2)
        self.halved += 1
