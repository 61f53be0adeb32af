"""Asks an OpenAI-compatible server about one text, again where that may help."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from bfpo_bench.api.address import not_askable
from bfpo_bench.api.faults import Failure, Transient, Unanswered, meaning, read_failure
from bfpo_bench.api.key import Key
from bfpo_bench.api.retry import retrying
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judges.api.adapting import adapted
from bfpo_bench.judges.api.cost import Ledger, Tokens, at_most
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.api.server import JUDGE, Server
from bfpo_bench.judges.api.wire import Decoding, read_reply, read_usage, request_body


class Client:
    """Lives in one event loop. `requests` counts what was sent, `retries` the part of it that was
    sent again; what was sent in vain is booked in `ledger`."""

    def __init__(self, server: Server, decoding: Decoding, key: Key, ledger: Ledger) -> None:
        self._server, self._key, self._ledger = server, key, ledger
        self.decoding = decoding
        """As the server takes it: see `adapted`."""
        self._http = httpx.AsyncClient(
            headers=key.headers(),
            # The answer's time is limited as a whole: a byte now and then is no sign of life
            timeout=httpx.Timeout(None, connect=server.patience.connecting),
            limits=httpx.Limits(
                max_connections=server.concurrency, max_keepalive_connections=server.concurrency
            ),
        )
        self.requests = 0
        self.retries = 0
        self.answered = False
        """Whether the server has ever replied to a request."""

    async def ask(self, text: str) -> Reply:
        """The model's reply.

        Raises Unanswered where this text gets none, UserError where none would.
        """
        try:
            again = retrying(self._server.patience, lambda: self.answered, self._count_retry)
            reply: Reply = await again(self._attempt, text)
        except Transient as error:
            raise Unanswered(
                f"the judge's server gave no answer: {error}",
                fault=True,
                unreachable=error.unreachable or error.silent,
            ) from None
        self.answered = True
        return reply

    def _count_retry(self) -> None:
        self.retries += 1

    async def _attempt(self, text: str) -> Reply:
        """Sent again at once, and not counted as an attempt, where the request's form was wrong."""
        while True:
            sent = self.decoding
            response = await self._post(text)
            if response.is_success:
                return self._read(response, text)
            failure = read_failure(response.status_code, response.headers, response.text, self._key)
            self.decoding = adapted(self.decoding, failure)
            if self.decoding == sent:
                raise self._meaning(failure)
            self._count_retry()

    async def _post(self, text: str) -> httpx.Response:
        self.requests += 1
        patience = self._server.patience
        try:
            async with asyncio.timeout(patience.answering):
                return await self._http.post(
                    self._server.chat_url, json=request_body(self.decoding, text)
                )
        except TimeoutError:
            error = Transient(f"it was silent for {patience.answering:g} seconds", silent=True)
            raise self._in_vain(error, text) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise not_askable(self._server.url, JUDGE, error) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Transient(
                f"no connection to it ({self._said(error)})", unreachable=True
            ) from None
        except httpx.HTTPError as error:
            broken = Transient(f"the connection broke ({self._said(error)})")
            raise self._in_vain(broken, text) from None

    def _said(self, error: Exception) -> str:
        return self._key.redact(first_line(error))

    def _read(self, response: httpx.Response, text: str) -> Reply:
        payload = None
        try:
            payload = _decoded(response)
            return read_reply(payload, text, self._key)
        except Transient as error:
            raise self._in_vain(error, text, read_usage(payload)) from None

    def _in_vain(
        self, error: Transient, text: str, counted: Tokens | None = None
    ) -> Transient | Unanswered:
        """What to raise after an attempt that the server may charge for, though nothing came of it."""
        tokens = counted or at_most(text, self.decoding.max_new_tokens)
        self._ledger.book(tokens, counted is not None)
        if self._ledger.allows(Tokens()):
            return error
        return Unanswered(
            f"the judge's server gave no answer: {error}; asking again may pass --max-cost "
            f"{self._server.max_cost:g}",
            fault=True,
        )

    def _meaning(self, failure: Failure) -> Transient | Unanswered | UserError:
        found = meaning(
            failure, JUDGE, self._server.url, self.decoding.model, answered=self.answered
        )
        if isinstance(found, Unanswered) and not found.fault:
            self.answered = True
        return found

    async def close(self) -> None:
        await self._http.aclose()


def _decoded(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise Transient("its reply is no JSON") from None
