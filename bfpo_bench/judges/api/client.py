"""Asks an OpenAI-compatible server about one text, again where that may help."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judges.api.faults import Transient, Unanswered, meaning, read_failure
from bfpo_bench.judges.api.key import Key
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.api.retry import retrying
from bfpo_bench.judges.api.server import Server
from bfpo_bench.judges.api.wire import Decoding, read_reply, request_body


class Client:
    """Lives in one event loop. `requests` counts what was sent, `retries` the part of it that was
    sent again."""

    def __init__(self, server: Server, decoding: Decoding, key: Key) -> None:
        self._server, self._decoding, self._key = server, decoding, key
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
                unreachable=error.unreachable,
            ) from None
        self.answered = True
        return reply

    def _count_retry(self) -> None:
        self.retries += 1

    async def _attempt(self, text: str) -> Reply:
        self.requests += 1
        patience = self._server.patience
        try:
            async with asyncio.timeout(patience.answering):
                response = await self._http.post(
                    self._server.chat_url, json=request_body(self._decoding, text)
                )
        except TimeoutError:
            raise Transient(f"it was silent for {patience.answering:g} seconds") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise UserError(
                f"The judge's URL {self._server.url} cannot be asked ({first_line(error)}): give "
                "one like http://127.0.0.1:8000/v1."
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Transient(
                f"no connection to it ({self._said(error)})", unreachable=True
            ) from None
        except httpx.HTTPError as error:
            raise Transient(f"the connection broke ({self._said(error)})") from None
        return self._read(response, text)

    def _said(self, error: Exception) -> str:
        return self._key.redact(first_line(error))

    def _read(self, response: httpx.Response, text: str) -> Reply:
        if not response.is_success:
            failure = read_failure(response.status_code, response.headers, response.text, self._key)
            found = meaning(failure, self._server.url, self._decoding.model)
            if isinstance(found, Unanswered) and not found.fault:
                self.answered = True
            raise found
        return read_reply(_decoded(response), text, self._key)

    async def close(self) -> None:
        await self._http.aclose()


def _decoded(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise Transient("its reply is no JSON") from None
