"""An OpenAI-compatible server on 127.0.0.1 that says, and fails, as a test wants.

    with JudgeServer(lambda asked: says("rating: 7")) as server: ...

`respond` is called for each request and returns what to send. HTTP/1.1 by hand on asyncio in a
thread: only so can a connection be cut in the middle of a body.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request: which one it is (from 0), its headers in lower case, its decoded body (empty for a
    GET), and its path."""

    number: int
    headers: Mapping[str, str]
    body: dict[str, Any]
    path: str = "/v1/chat/completions"

    @property
    def text(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Sent:
    """A response. `cut` ends the connection after so many bytes of the body, `hang` sends nothing for
    ever, `delay` waits so many seconds first."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: bool = False
    delay: float = 0.0


Respond = Callable[[Asked], Sent]


def says(
    text: str | None,
    *,
    finish: str | None = "stop",
    top: Mapping[str, float] | None = None,
    usage: tuple[int, int] | None = (100, 20),
    **message: Any,
) -> Sent:
    """A chat completion; `top`: log-probabilities of the likeliest first tokens."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text} | message,
        "finish_reason": finish,
    }
    if top is not None:
        tops = [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in top.items()]
        choice["logprobs"] = {"content": [{"token": text, "logprob": 0.0, "top_logprobs": tops}]}
    payload: dict[str, Any] = {"id": "x", "object": "chat.completion", "choices": [choice]}
    if usage is not None:
        payload["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return sends(payload)


def sends(payload: Any, status: int = 200, **headers: str) -> Sent:
    """Any JSON; header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sent(status, json.dumps(payload).encode(), named)


def fails(status: int, message: str = "no", code: str | None = None, **headers: str) -> Sent:
    """An error as OpenAI's API gives it."""
    return sends({"error": {"message": message, "code": code}}, status, **headers)


HANGS = Sent(hang=True)
BROKEN_JSON = Sent(body=b'{"choices": [{"message": {"content": "rating: 3"')
NO_CHOICES = sends({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
CUT = Sent(body=says("rating: 3").body, cut=30)


class JudgeServer:
    """Up between `with` and its end. `asked` holds every request that came, `most_at_once` how many
    were under way together, `open_connections` how many clients are connected."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0
        self.connections = 0
        self.open_connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> JudgeServer:
        self._loop = asyncio.new_event_loop()
        up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(up,), daemon=True)
        self._thread.start()
        up.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def _run(self, up: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._serve(up))
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            rest = asyncio.all_tasks(self._loop)
            for task in rest:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            self._loop.close()

    async def _serve(self, up: threading.Event) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        await asyncio.Event().wait()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while (asked := await self._read(reader)) is not None:
                if not await self._answer(asked, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self.open_connections -= 1
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(len(self.asked), headers, json.loads(body or b"{}"), first.split()[1])
        self.asked.append(asked)
        return asked

    async def _answer(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection lives on."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            sent = self._respond(asked)
            if (sent.hang or sent.delay) and await _left(reader, sent.delay or None):
                return False
        finally:
            self._at_once -= 1
        headers = {"Content-Type": "application/json", "Content-Length": str(len(sent.body))}
        head = "".join(f"{n}: {v}\r\n" for n, v in (headers | dict(sent.headers)).items())
        writer.write(f"HTTP/1.1 {sent.status} X\r\n{head}\r\n".encode() + sent.body[: sent.cut])
        await writer.drain()
        return sent.cut is None


async def _left(reader: asyncio.StreamReader, seconds: float | None) -> bool:
    """Wait so long (None: for ever); whether the client has gone before that."""
    try:
        await asyncio.wait_for(reader.read(1), seconds)
    except TimeoutError:
        return False
    return True
