"""Batches that fail are taken apart: the requests that fail alone are named, all others answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.batching import attempt, is_out_of_memory
from bfpo_bench.errors import first_line

R = TypeVar("R")
Run = Callable[[Sequence[int]], list[R]]


class Limits(Protocol):
    """How large a batch may be: `cut` obeys what `halve` has learnt, also in the midst of cutting."""

    def cut(self, order: Sequence[int]) -> Iterator[Sequence[int]]: ...

    def halve(self, batch: Sequence[int]) -> None: ...


def answers(order: Sequence[int], limits: Limits, run: Run[R]) -> Iterator[tuple[int, R | Failure]]:
    """`run(positions)` over batches of `order`, each position with its result or its Failure.

    A batch that does not fit into memory is halved; one that raises anything else is bisected. Where
    nothing has succeeded and the first request that fails alone and the last of `order` fail alike,
    the fault is not the requests', and their error is raised. So it is where a request that was
    answered no longer is: one is asked again once two have failed alone with nothing answered
    between them, or one at the very end, and until then they are not called Failures. A UserError
    and the loss of the device are raised at once, since they concern every request.
    """
    todo = set(order)
    probed = len(order) == 1
    answered: int | None = None
    held: dict[int, Failure] = {}
    for batch in limits.cut(order):
        pending = [batch]
        while pending:
            rows = [position for position in pending.pop() if position in todo]
            if not rows:
                continue
            found = attempt(run, rows)
            if not isinstance(found, Exception):
                answered = rows[-1]
                todo.difference_update(rows)
                yield from zip(rows, found, strict=True)
                yield from _emptied(held)
            elif len(rows) > 1:
                pending = _smaller(rows, pending, found, limits)
            else:
                todo.discard(rows[0])
                held[rows[0]] = Failure(_reason(found))
                if answered is not None:
                    if len(held) == 1:
                        continue
                    _ask_again(answered, run)
                elif not probed:
                    probed = True
                    for answered, result in _probe(rows[0], order, found, run, todo):
                        yield answered, result
                yield from _emptied(held)
    if held and answered is not None:
        _ask_again(answered, run)
        yield from _emptied(held)


def _smaller(
    rows: Sequence[int], pending: list[Sequence[int]], error: Exception, limits: Limits
) -> list[Sequence[int]]:
    """What is to be tried in place of `rows`, on the pile of what waited below them."""
    half = len(rows) // 2
    if not is_out_of_memory(error):
        return [*pending, rows[half:], rows[:half]]
    limits.halve(rows)
    parts = list(limits.cut([*rows, *(p for part in reversed(pending) for p in part)]))
    if len(parts[0]) >= len(rows):
        parts[:1] = [parts[0][:half], parts[0][half:]]
    return parts[::-1]


def _probe(
    failed: int, order: Sequence[int], error: Exception, run: Run[R], todo: set[int]
) -> Iterator[tuple[int, R]]:
    """Nothing has succeeded yet: ask the last of `order`, which should be the easiest, alone.

    Yields its result. Raises the error where it fails as `failed` did.
    """
    other = order[-1] if order[-1] != failed else order[0]
    found = attempt(run, [other])
    if not isinstance(found, Exception):
        todo.discard(other)
        yield other, found[0]
    elif type(found) is type(error):
        raise error


def _ask_again(answered: int, run: Run[R]) -> None:
    """Raises the error of a request that was answered before."""
    found = attempt(run, [answered])
    if isinstance(found, Exception):
        raise found


def _emptied(held: dict[int, Failure]) -> Iterator[tuple[int, Failure]]:
    """What is held, which are Failures now, since something was answered after them."""
    while held:
        position = next(iter(held))
        yield position, held.pop(position)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
