"""Many texts, so many at a time: an event loop that runs only while somebody waits for a reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator

from bfpo_bench.api.faults import Unanswered
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.client import Client
from bfpo_bench.judges.api.cost import Ledger, Tokens
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.api.server import Server

_FIRST_MISSES = 3
"""Texts without an answer, before there ever was one, after which the server is called unusable."""

Asked = tuple[int, Reply | Unanswered]


def replies(
    client: Client,
    server: Server,
    ledger: Ledger,
    texts: Callable[[int], str],
    limits: Callable[[str], Tokens],
    count: int,
) -> Generator[Asked, None, None]:
    """(number, reply or why there is none) of texts 0 to count - 1, as they come; asked in order.

    `texts(number)` makes a text, `limits(text)` says what asking takes at most. The first request
    goes alone: a wrong key, model or address shows at it. When `server.max_cost` is reached, or the
    server has failed twice `server.concurrency` texts in a row, the rest is Unanswered with a fault,
    unasked.

    Raises UserError for what no further request would mend. Whoever stops iterating early leaves
    nothing behind: what is under way is cancelled and all connections are closed.
    """
    with asyncio.Runner() as runner:
        crowd = _Crowd(client, server, ledger, texts, limits)
        try:
            while crowd.started < count or crowd.under_way:
                if crowd.stopped and not crowd.under_way:
                    break
                yield from crowd.settled(runner.run(crowd.step(count)))
        finally:
            runner.run(crowd.close())
    for number in range(crowd.started, count):
        yield number, Unanswered(crowd.stopped or "", fault=True)


class _Crowd:
    """The requests under way."""

    def __init__(
        self,
        client: Client,
        server: Server,
        ledger: Ledger,
        texts: Callable[[int], str],
        limits: Callable[[str], Tokens],
    ) -> None:
        self._client, self._server, self._ledger = client, server, ledger
        self._texts, self._limits = texts, limits
        self._waiting: tuple[str, Tokens] | None = None
        self._misses = 0
        self.under_way: dict[asyncio.Task[Reply], tuple[int, Tokens]] = {}
        self.started = 0
        self.stopped: str | None = None
        """Why nothing more is asked."""

    async def step(self, count: int) -> list[asyncio.Task[Reply]]:
        """Send what may be sent, and wait until something is over; -> that, in the order sent."""
        room = self._server.concurrency if self._client.answered else 1
        while self.stopped is None and self.started < count and len(self.under_way) < room:
            text, tokens = self._next()
            if not self._ledger.allows(tokens):
                if not self.under_way:
                    self.stopped = f"--max-cost {self._server.max_cost:g} is reached"
                break
            self._waiting = None
            self._ledger.reserve(tokens)
            self.under_way[asyncio.create_task(self._client.ask(text))] = self.started, tokens
            self.started += 1
        if not self.under_way:
            return []
        done, _ = await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)
        return [task for task in self.under_way if task in done]

    def _next(self) -> tuple[str, Tokens]:
        if self._waiting is None:
            text = self._texts(self.started)
            self._waiting = text, self._limits(text)
        return self._waiting

    def settled(self, done: list[asyncio.Task[Reply]]) -> Iterator[Asked]:
        """What came of them. Raises what stops everything, after the rest was handed out."""
        fatal: BaseException | None = None
        for task in done:
            number, tokens = self.under_way.pop(task)
            error = task.exception()
            self._ledger.settle(tokens, task.result() if error is None else None)
            if error is None:
                self._misses = 0
                yield number, task.result()
            elif isinstance(error, Unanswered):
                fatal = fatal or self._missed(error)
                yield number, error
            else:
                fatal = error
        if fatal is not None:
            raise fatal

    def _missed(self, error: Unanswered) -> UserError | None:
        if not error.fault:
            self._misses = 0
            return None
        self._misses += 1
        if not self._client.answered:
            if error.unreachable or self._misses >= _FIRST_MISSES:
                return UserError(
                    f"The judge's server {self._server.url} cannot be used ({error}): see to it, "
                    "or name another with --judge-url."
                )
        elif self._misses >= 2 * self._server.concurrency and self.stopped is None:
            self.stopped = f"the server failed {self._misses} times in a row, last: {error}"
        return None

    async def close(self) -> None:
        for task in self.under_way:
            task.cancel()
        await asyncio.gather(*self.under_way, return_exceptions=True)
        await self._client.close()
