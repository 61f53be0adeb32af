"""One server while it is looked at: whole replies, bounded in size, and what stops the looking."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from bfpo_bench.api.address import not_askable
from bfpo_bench.api.faults import may_pass, read_failure
from bfpo_bench.api.key import Key
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.errors import UserError, first_line

READY_SECONDS = 8.0
"""How long a server is waited for that says it is loading or busy."""
_CONNECT_SECONDS = 8.0
_AGAIN_SECONDS = 0.5
_MOST_BYTES = 8 << 20
"""More than a list of models or a tiny completion takes."""
_EVERYWHERE = frozenset(("model", "prompt", "messages", "max_tokens", "temperature"))
"""Parameters of any request, which complaints of any kind name."""


@dataclass(frozen=True)
class Reply:
    """`payload` is the decoded JSON, None where it is none; `said` what the server says of a failure,
    on one line and without the key. `named`: it fails with 500 and names a parameter that it was sent:
    so llama.cpp refuses `echo`."""

    status: int
    payload: Any = None
    said: str = ""
    html: bool = False
    named: bool = False

    @property
    def ok(self) -> bool:
        return self.status == 200 and isinstance(self.payload, dict)

    @property
    def refused(self) -> bool:
        """Whether it is what was sent that the server does not take."""
        return self.status in (400, 422) or self.named

    @property
    def busy(self) -> bool:
        """Whether the server may answer later: it shows nothing of what it can do."""
        return may_pass(self.status) and not self.named

    @property
    def quoted(self) -> str:
        return f"{self.status}, {self.said!r}" if self.said else str(self.status)


class Endpoint:
    """Lives in one event loop. `url` goes up to `/v1`, `root` is what stands before that."""

    def __init__(self, url: str, key: Key) -> None:
        self.url, self.root = url, url.removesuffix("/v1")
        self.round_trip: float | None = None
        """Seconds of the fastest GET so far."""
        self._key = key
        self._http = httpx.AsyncClient(
            headers=key.headers(), timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS)
        )

    async def get(self, url: str) -> Reply:
        """Raises UserError where no connection can be had, or the key is not accepted."""
        began = time.monotonic()
        reply = await self._again("GET", url, None)
        taken = time.monotonic() - began
        self.round_trip = min(taken, self.round_trip or taken)
        return reply

    async def post(self, url: str, body: dict[str, Any]) -> Reply:
        """Raises UserError as `get` does."""
        return await self._again("POST", url, body)

    async def _again(self, method: str, url: str, body: dict[str, Any] | None) -> Reply:
        """Once more while the server says that it is busy or loading, for READY_SECONDS."""
        until = time.monotonic() + READY_SECONDS
        reply = await self._ask(method, url, body)
        while reply.busy and time.monotonic() < until:
            await asyncio.sleep(_AGAIN_SECONDS)
            reply = await self._ask(method, url, body)
        return reply

    async def _ask(self, method: str, url: str, body: dict[str, Any] | None) -> Reply:
        try:
            async with self._http.stream(method, url, json=body) as response:
                held = bytearray()
                async for part in response.aiter_bytes():
                    held += part
                    if len(held) > _MOST_BYTES:
                        return Reply(response.status_code, said="a reply without end")
                return self._read(response, bytes(held), body or {})
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise not_askable(self.url, SUBJECT, error) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if "WRONG_VERSION_NUMBER" in str(error):
                raise UserError(
                    f"The server {self.url} speaks no https: give http://{self.url.partition('://')[2]}."
                ) from None
            raise UserError(
                f"The server {self.url} cannot be reached ({self._told(error)}): start it, wait "
                "until it has loaded its model, or give its URL up to /v1."
            ) from None
        except httpx.HTTPError as error:
            return Reply(0, said=f"the connection broke: {self._told(error)}")

    def _read(self, response: httpx.Response, body: bytes, sent: dict[str, Any]) -> Reply:
        # Nothing of a reply may hold the key: versions and names of models are shown and stored
        status, text = response.status_code, self._key.redact(body.decode("utf-8", "replace"))
        payload = _decoded(text)
        html = payload is None and text.lstrip()[:1] == "<"
        failure = read_failure(status, response.headers, "" if html else text, self._key)
        if status == 401:
            raise self.refusal(status)
        if status == 402 or "insufficient_quota" in failure.code:
            raise UserError(f"The server {self.url} wants to be paid ({status}): add credit there.")
        named = status == 500 and _names(failure.message, sent.keys() - _EVERYWHERE)
        return Reply(status, payload, failure.message if status >= 400 else "", html, named)

    def refusal(self, status: int) -> UserError:
        """The server's own words are left out: they may hold a part of the key."""
        wants = "does not accept the key" if self._key.value else "wants a key"
        return UserError(
            f"The server {self.url} {wants} ({status}): set {SUBJECT.keys} "
            "to one that is valid there."
        )

    def _told(self, error: Exception) -> str:
        return self._key.redact(first_line(error))

    async def close(self) -> None:
        await self._http.aclose()


def _decoded(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _names(said: str, parameters: Iterable[str]) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", said) for name in parameters)


def no_api(endpoint: Endpoint, reply: Reply) -> UserError:
    what = "a web page" if reply.html else reply.quoted
    return UserError(
        f"The server {endpoint.url} speaks no OpenAI API (GET /models: {what}): give the URL of one "
        "that does, up to /v1."
    )
