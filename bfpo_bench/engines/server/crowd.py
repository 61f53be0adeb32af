"""Many requests to some servers: each to the one with most room, again where that may help."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bfpo_bench.api.faults import Transient, Unanswered
from bfpo_bench.api.patience import Patience
from bfpo_bench.api.retry import retrying
from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.server.upstream import Upstream
from bfpo_bench.engines.server.wire import Body, Got
from bfpo_bench.errors import UserError

_TICK = 0.001
"""Seconds by which timers may be early."""

K = TypeVar("K")
T = TypeVar("T")


class ServersLost(Exception):
    """No server answers any more. What came before is good; asking again later may succeed."""


@dataclass(frozen=True)
class Ask(Generic[K, T]):
    """`read` makes of a reply's body what is wanted of it, and raises Transient or Unanswered."""

    key: K
    path: str
    body: Body
    read: Callable[[bytes], Got[T]]


class Crowd:
    """The servers, and what was learnt of them."""

    def __init__(self, upstreams: Sequence[Upstream], patience: Patience) -> None:
        self.upstreams, self._patience = upstreams, patience
        self.repeated = 0
        self.answering = False
        """Whether they ever answered: until then one is asked at a time."""
        self.known: Ask[Any, Any] | None = None
        """A request that was answered before: whether it still is tells servers from requests."""

    @property
    def retries(self) -> int:
        """How many requests were sent again."""
        return self.repeated + sum(u.resent for u in self.upstreams)

    def stream(
        self, asks: Iterable[Ask[K, T]], control: Callable[[K], Ask[Any, Any]]
    ) -> Generator[tuple[K, T | Failure], None, None]:
        """Each key with what came of it, as it comes; `asks` is read no further than there is room.
        `control(key)` is asked in the place of a request that was answered, while none was.

        The first request goes alone: a wrong key, model or address shows at it. Raises UserError for
        what no further request would mend, and ServersLost when all servers are gone, after what came
        before. Whoever stops iterating early leaves nothing behind.
        """
        waiting = iter(asks)
        with asyncio.Runner() as runner:
            stream: _Stream[K, T] = _Stream(self, self._patience, waiting, control)
            try:
                while done := runner.run(stream.step()):
                    yield from stream.settled(done)
            finally:
                runner.run(stream.close())


class _Stream(Generic[K, T]):
    """The requests under way."""

    def __init__(
        self,
        crowd: Crowd,
        patience: Patience,
        waiting: Iterator[Ask[K, T]],
        control: Callable[[K], Ask[Any, Any]],
    ) -> None:
        self._crowd, self._waiting, self._control = crowd, waiting, control
        self._upstreams = crowd.upstreams
        # Whether a server is there is seen to by `_reached`
        self._again = retrying(patience, lambda: False, self._count)
        self._tasks: dict[asyncio.Task[T | Failure], K] = {}
        self._done: list[asyncio.Task[T | Failure]] = []
        self._queue: deque[asyncio.Future[None]] = deque()
        self._opened = False
        self._proved = 0.0
        """When the last proof that the servers answer was asked for."""

    def _count(self) -> None:
        self._crowd.repeated += 1

    async def step(self) -> list[asyncio.Task[T | Failure]]:
        """Send what may be sent, and wait until something is over; -> that, nothing at the end."""
        if not self._opened:
            self._opened = True
            self._progress = asyncio.Event()
            self._proving = asyncio.Lock()
            for upstream in self._upstreams:
                upstream.open()
        while len(self._tasks) < self._room() and (ask := next(self._waiting, None)) is not None:
            task = asyncio.create_task(self._ask(ask))
            self._tasks[task] = ask.key
            task.add_done_callback(self._over)
        if not self._tasks:
            return []
        await self._progress.wait()
        self._progress.clear()
        done, self._done = self._done, []
        return done

    def _over(self, task: asyncio.Task[T | Failure]) -> None:
        self._done.append(task)
        self._progress.set()

    def _room(self) -> int:
        if not self._crowd.answering:
            return 1
        return sum(u.level.limit for u in self._upstreams)

    def settled(self, done: Sequence[asyncio.Task[T | Failure]]) -> Iterator[tuple[K, T | Failure]]:
        """What came of them. Raises what stops everything, after the rest was handed out."""
        fatal: BaseException | None = None
        for task in done:
            key = self._tasks.pop(task)
            error = task.exception()
            if error is None:
                yield key, task.result()
            else:
                fatal = fatal or error
        if fatal is not None:
            raise fatal

    async def _ask(self, ask: Ask[K, T]) -> T | Failure:
        """Raises UserError and ServersLost."""
        try:
            value: T = await self._again(self._reached, ask, set())
        except Unanswered as error:
            if error.fault or not self._crowd.answering:
                await self._prove(ask.key, error)
            return Failure(str(error), fault=error.fault)
        except Transient as error:
            await self._prove(ask.key, error)
            return Failure(f"the server gave no answer: {error}", fault=True)
        self._crowd.answering = True
        if self._crowd.known is None:
            self._crowd.known = ask
        return value

    async def _reached(self, ask: Ask[K, T], tried: set[Upstream], *, proof: bool = False) -> T:
        """The answer of one server. One that is not there is no attempt: the next is asked. Who fails
        joins `tried`, and is not asked again while there are others.

        One that was given up for a while is asked for a proof first, since it may fail at `ask` alone.
        Raises Transient and Unanswered of this request, UserError and ServersLost of them all.
        """
        while True:
            upstream = await self._free(tried)
            try:
                if upstream.closings and not proof:
                    await self._back(upstream, self._proof(ask.key))
                return await self._sent(upstream, ask)
            except Transient as error:
                tried.add(upstream)
                if not error.unreachable:
                    raise
            except Unanswered as error:
                tried.add(upstream)
                if not error.fault or not self._others(tried):
                    raise
            self._count()

    async def _sent(self, upstream: Upstream, ask: Ask[K, T]) -> T:
        upstream.under_way += 1
        sent = _now()
        try:
            got = ask.read(await upstream.post(ask.path, ask.body))
        except Transient as error:
            upstream.missed(error, _now(), sent)
            asyncio.get_running_loop().call_at(upstream.closed_until + _TICK, self._wake)
            raise
        except Unanswered as error:
            upstream.refused(error)
            raise
        else:
            upstream.succeeded(_now(), got.tokens)
            return got.value
        finally:
            upstream.under_way -= 1
            self._wake()

    async def _back(self, upstream: Upstream, proof: Ask[Any, Any]) -> None:
        """Raises Transient where a server that was given up fails at the proof as well."""
        try:
            await self._sent(upstream, proof)
        except Unanswered as error:
            if error.fault:
                raise Transient(str(error)) from None

    def _proof(self, key: K) -> Ask[Any, Any]:
        return self._crowd.known or self._control(key)

    async def _free(self, tried: set[Upstream]) -> Upstream:
        """The server with most room, once there is one. Raises when all are lost."""
        while True:
            if all(u.lost for u in self._upstreams):
                raise self._lost()
            now = _now()
            best = max(self._others(tried) or self._upstreams, key=lambda u: u.room(now))
            if best.room(now) > 0:
                return best
            future = asyncio.get_running_loop().create_future()
            self._queue.append(future)
            await future

    def _others(self, tried: set[Upstream]) -> list[Upstream]:
        """Servers that are there and have not failed at this request."""
        now = _now()
        return [u for u in self._upstreams if u not in tried and u.closed_until <= now]

    def _wake(self) -> None:
        """There may be room for the one that waits longest."""
        lost, now = all(u.lost for u in self._upstreams), _now()
        room = sum(max(0, u.room(now)) for u in self._upstreams)
        while self._queue and (lost or room > 0):
            future = self._queue.popleft()
            if not future.done():
                future.set_result(None)
                room -= 1

    async def _prove(self, key: K, error: Exception) -> None:
        """That the servers answer, so that the `error` is this request's. Raises UserError and
        ServersLost where they fail at what they answered before as well."""
        failed = _now()
        async with self._proving:
            if self._proved > failed:
                return
            asked = _now()
            try:
                await self._again(self._reached, self._proof(key), set(), proof=True)
            except (Transient, Unanswered):
                raise self._lost(str(error)) from None
            self._proved, self._crowd.answering = asked, True

    def _lost(self, reason: str = "") -> Exception:
        if not self._crowd.answering:
            first = self._upstreams[0]
            return UserError(
                f"The server {first.url} cannot be used ({reason or first.failed}): see to it, or name "
                "another with --server."
            )
        named = "; ".join(f"{u.url}: {u.failed}" for u in self._upstreams)
        servers = "server does" if len(self._upstreams) == 1 else "servers do"
        return ServersLost(f"the {servers} not answer any more ({named})")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for upstream in self._upstreams:
            await upstream.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
