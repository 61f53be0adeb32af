"""One of the servers that are asked: its connections, how much it takes, and whether it is there."""

from __future__ import annotations

import asyncio
import logging

import httpx
import msgspec

from bfpo_bench.api.address import not_askable
from bfpo_bench.api.faults import Transient, Unanswered, meaning, read_failure
from bfpo_bench.api.key import Key
from bfpo_bench.api.patience import Patience
from bfpo_bench.api.retry import longest, pause
from bfpo_bench.engines.server.level import Level
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.engines.server.wire import Body, Form
from bfpo_bench.errors import first_line
from bfpo_bench.progress import ALOUD

aloud = logging.getLogger(ALOUD)

_MISSES = 8
"""Requests that fail in a row before the server gets no more for a while: it fails faster than the
others answer, and would draw all requests to itself."""
_KEEP_ALIVE = 4.0
"""Seconds that a connection waits for its next request: uvicorn, which most servers run on, ends it
after five."""
_QUIET = 5.0
"""Seconds without an answer after which it is said that a server is away: less is everyday."""


class Upstream:
    """`post` only between `open` and `close`, in one event loop; what was learnt outlasts that.

    `under_way` counts the requests that are at the server now.
    """

    def __init__(self, url: str, model: str, key: Key, most: int, patience: Patience) -> None:
        self.url, self._model, self._key, self._patience = url, model, key, patience
        self.level = Level(most)
        self.form = Form()
        self.under_way = 0
        self.answered = False
        self.resent = 0
        """Requests that were sent again in another form."""
        self.failed = "it was not asked"
        """The last failure, in words."""
        self.closings = 0
        """How often in a row it was given up for a while."""
        self.closed_until = 0.0
        self._misses = 0
        self._failing_since: float | None = None
        self._told = False
        self._idle: list[httpx.AsyncClient] = []
        """Each with one connection: a pool of httpx looks through all of its own at every request."""
        self._trusted = httpx.create_ssl_context()

    def open(self) -> None:
        self.closed_until = 0.0

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    def _connection(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"Content-Type": "application/json", **self._key.headers()},
            # The answer's time is limited as a whole: a byte now and then is no sign of life
            timeout=httpx.Timeout(None, connect=self._patience.connecting),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=_KEEP_ALIVE),
            verify=self._trusted,
        )

    def room(self, now: float) -> int:
        """How many more requests it may get at `now`; one, once it failed, to see whether it is back."""
        if now < self.closed_until:
            return 0
        return (1 if self.closings else self.level.limit) - self.under_way

    @property
    def lost(self) -> bool:
        """Whether it has been away for as long as it is waited for."""
        patience = self._patience
        most = patience.attempts if self.answered else patience.unreachable_attempts
        return self.closings >= most

    @property
    def gone(self) -> bool:
        """Whether it had failed for good when it was last asked, and not at a request or two."""
        return self.closings > 0 or self._misses >= (_MISSES if self.answered else 1)

    def succeeded(self, now: float, tokens: int) -> None:
        self._replied()
        self.level.answered(now, tokens)

    def _replied(self) -> None:
        if self._told:
            aloud.warning("%s answers again", self.url)
        self.answered, self._told, self._failing_since = True, False, None
        self.closings = self._misses = 0

    def refused(self, error: Unanswered) -> None:
        """It did not answer a request. Where that is the request's own fault, the server is well."""
        if not error.fault:
            self._replied()
            return
        self.failed = str(error)
        self._misses += 1

    def missed(self, error: Transient, now: float, sent: float) -> None:
        """A request that was sent at `sent` got no answer."""
        self.failed = str(error)
        self._misses += 1
        self._tell(error, now)
        if error.pushed_back or error.silent:
            self.level.pushed_back(now, sent)
        if error.pushed_back:
            wait = min(error.retry_after or 0.0, self._patience.longest_wait)
            self.closed_until = max(self.closed_until, now + wait)
            return
        # What was sent before it was given up says nothing new
        if (error.unreachable or self._misses >= _MISSES) and sent >= self.closed_until:
            self.closings += 1
            self.closed_until = now + pause(self._patience, self.closings, None)

    def _tell(self, error: Transient, now: float) -> None:
        """Say once that it is away, while it is waited for."""
        self._failing_since = now if self._failing_since is None else self._failing_since
        if self._told or now - self._failing_since < _QUIET:
            return
        self._told = True
        wait = "for a while"
        if error.unreachable:
            wait = f"for about {longest(self._patience) / 60:.0f} minutes"
        aloud.warning(
            "%s does not answer (%s): it is tried again, %s where no other server answers",
            *(self.url, self.failed, wait),
        )

    async def post(self, path: str, body: Body) -> bytes:
        """The reply's body.

        Raises Transient where asking again may help, Unanswered where this request gets no answer,
        UserError where none would.
        """
        began = form = self.form
        while True:
            shaped = form.of(body)
            response = await self._post(path, shaped)
            if response.is_success:
                if form != began:
                    # Not before: a refusal that repeats the prompt may name a parameter by chance
                    self.form = form
                return response.content
            failure = read_failure(response.status_code, response.headers, response.text, self._key)
            other = form.after(failure, shaped)
            if other == form:
                found = meaning(
                    *(failure, SUBJECT, self.url, self._model),
                    # When it was looked at
                    answered=True,
                    fitted="prompt" in body,
                )
                if isinstance(found, Unanswered):
                    self.failed = str(found)
                raise found
            form = other
            self.resent += 1

    async def _post(self, path: str, body: Body) -> httpx.Response:
        answering = self._patience.answering
        client = self._idle.pop() if self._idle else self._connection()
        try:
            async with asyncio.timeout(answering):
                return await client.post(self.url + path, content=msgspec.json.encode(body))
        except TimeoutError:
            raise Transient(f"it was silent for {answering:g} seconds", silent=True) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise not_askable(self.url, SUBJECT, error) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = f"no connection to it ({self._said(error)})"
            raise Transient(reason, unreachable=True) from None
        except httpx.HTTPError as error:
            raise Transient(f"the connection broke ({self._said(error)})") from None
        finally:
            self._idle.append(client)

    def _said(self, error: Exception) -> str:
        return self._key.redact(first_line(error))
