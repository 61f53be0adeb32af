"""When to ask a server again, and when to let it be."""

from __future__ import annotations

import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from bfpo_bench.api.faults import Transient
from bfpo_bench.api.patience import Patience


def retrying(
    patience: Patience, answered: Callable[[], bool], before_again: Callable[[], None]
) -> AsyncRetrying:
    """Repeats what raises Transient, and raises the last one when the patience is at its end.

    `answered`: whether the server has ever replied. `before_again` is called before each new attempt.
    """

    def enough(state: RetryCallState) -> bool:
        error = _error(state)
        most = patience.attempts if error.pushed_back else patience.failing_attempts
        if error.unreachable and not answered():
            most = patience.unreachable_attempts
        elif error.silent and not answered():
            most = patience.silent_attempts
        return state.attempt_number >= most

    return AsyncRetrying(
        retry=retry_if_exception_type(Transient),
        stop=enough,
        wait=lambda state: pause(patience, state.attempt_number, _error(state).retry_after),
        before_sleep=lambda state: before_again(),
        reraise=True,
    )


def pause(patience: Patience, attempt: int, retry_after: float | None) -> float:
    """Seconds to wait after attempt 1, 2, ...: see Patience. The draw keeps requests that failed
    together from coming back together."""
    most = patience.longest_wait
    backed_off = min(most, patience.first_wait * 2 ** (attempt - 1))
    return min(most, retry_after or 0.0) + backed_off * random.uniform(0.5, 1.0)


def longest(patience: Patience) -> float:
    """Seconds that all attempts wait at most, together."""
    waits = (patience.first_wait * 2**n for n in range(patience.attempts - 1))
    return sum(min(patience.longest_wait, wait) for wait in waits)


def _error(state: RetryCallState) -> Transient:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, Transient)
    return error
