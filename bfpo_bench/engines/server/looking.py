"""What one endpoint shows that it can do with one model, probe by probe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bfpo_bench.engines.server import probes
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.endpoint import Endpoint, Reply, no_api
from bfpo_bench.engines.server.probes import Card
from bfpo_bench.errors import UserError

_VERSIONS = {
    "vllm": ("/version", "version"),
    "sglang": ("/get_server_info", "version"),
    "llamacpp": ("/props", "build_info"),
}
"""Who serves, as GET /models says it -> where the version stands."""
_LONGEST_VERSION = 40
_NO_COMPLETION = "output limit was reached"
"""What OpenAI's reasoning models say of a limit too small to think in: they chat all the same."""


class Looking:
    """One endpoint, one model: the probes, each of which may stay unanswered (`unsaid`). All of them
    end at `until`, on the loop's clock; `seconds` is how long that was from the start."""

    def __init__(
        self, endpoint: Endpoint, name: str, ids: Sequence[int], until: float, seconds: float
    ) -> None:
        self._endpoint, self._name, self._ids = endpoint, name, ids
        self._until, self._seconds = until, seconds
        self._unsaid: set[str] = set()

    async def found(self, listed: Mapping[str, Card]) -> Capabilities:
        """Raises UserError where nothing that could be asked is answered."""
        name, ids = self._name, self._ids
        card = listed.get(name, Card(None, ""))
        text, chat, software = await asyncio.gather(
            self._complete("completions", probes.text_completion(name)),
            self._chat(),
            self._software(card.owner),
        )
        completes = probes.completes(text.payload)
        chats = probes.chats(chat.payload) or _NO_COMPLETION in chat.said
        self._check(text, chat, completes or chats)
        told, seeds, switches = await asyncio.gather(
            self._of_completions(ids) if completes else _nothing(),
            self._seeds(completes) if completes or chats else _no(),
            self._switches(completes) if completes or chats else _no(),
        )
        found = Capabilities(
            url=self._endpoint.url,
            name=name,
            models=tuple(listed),
            software=software,
            context=card.context,
            completions=completes,
            chat=chats,
            seeds=seeds,
            sampling_switches=switches,
            round_trip=self._endpoint.round_trip,
            unsaid=tuple(sorted(self._unsaid)),
        )
        return replace(found, **told)

    def _check(self, text: Reply, chat: Reply, any_answer: bool) -> None:
        url = self._endpoint.url
        if any_answer:
            return
        for reply in (text, chat):
            if reply.busy:
                raise UserError(
                    f"The server {url} is not ready ({reply.quoted}): wait until it has loaded its "
                    "model, and give the same command again."
                )
        if {"completions", "chat"} & self._unsaid:
            raise UserError(
                f"The server {url} does not answer: one token did not come within "
                f"{self._seconds:g} seconds."
            )
        if 403 in (text.status, chat.status):
            raise self._endpoint.refusal(403)
        if text.status == chat.status == 404:
            raise no_api(self._endpoint, chat)

    async def _of_completions(self, ids: Sequence[int]) -> dict[str, Any]:
        name = self._name
        replies = asyncio.gather(
            self._complete("token_prompts", probes.completion(name, ids)),
            self._complete("echo_logprobs", probes.echo_completion(name, ids)),
            self._complete("prompt_logprobs", probes.prompt_logprobs_completion(name, ids)),
            self._complete("logprob_token_ids", probes.named_logprobs_completion(name, ids)),
        )
        (with_ids, stops), said = await asyncio.gather(self._ids_back(ids), replies)
        plain, echo, own, named = said
        return {
            "token_prompts": probes.feeds(plain.payload, ids)
            or probes.feeds(with_ids.payload, ids),
            "token_ids": bool(probes.new_ids(with_ids.payload)),
            "stop_token_ids": stops,
            "echo_logprobs": probes.echoes(echo.payload, ids),
            "prompt_logprobs": probes.tells_prompt(own.payload, ids),
            "logprob_token_ids": probes.tells_named(named.payload, ids),
        }

    async def _ids_back(self, ids: Sequence[int]) -> tuple[Reply, bool]:
        """A reply with the new token's id in it, and whether the server would have stopped there. Where
        no ids come back: whether it reads those to stop at, and refuses nonsense in their place."""
        reply = await self._complete("token_ids", probes.id_completion(self._name, ids))
        new = probes.new_ids(reply.payload)
        if not new:
            named, nonsense = await self._both(
                *("stop_token_ids", "/completions"),
                *(probes.completion(self._name, ids, stop_token_ids=[s]) for s in (ids[0], "none")),
            )
            return reply, probes.completes(named.payload) and nonsense.refused
        body = probes.id_completion(self._name, ids, max_tokens=4, stop_token_ids=[new[0]])
        stopped = await self._complete("stop_token_ids", body)
        return reply, probes.stopped_at(stopped.payload, new[0])

    async def _seeds(self, completes: bool) -> bool:
        path = "/completions" if completes else "/chat/completions"
        body = (probes.sampled_completion if completes else probes.sampled_chat)(self._name)
        first, second = await self._both("seeds", path, body, body)
        said = probes.said(first.payload)
        return bool(said) and said == probes.said(second.payload)

    async def _switches(self, completes: bool) -> bool:
        """Whether it takes sampling that is switched off, and refuses nonsense in its place."""
        path = "/completions" if completes else "/chat/completions"
        plain = (probes.text_completion if completes else probes.chat)(self._name)
        off = plain | probes.SWITCHED_OFF
        switched, nonsense = await self._both("sampling_switches", path, off, off | probes.NONSENSE)
        return bool(probes.choice(switched.payload)) and nonsense.refused

    async def _both(self, ability: str, path: str, *bodies: probes.Body) -> Sequence[Reply]:
        url = self._endpoint.url + path
        return await asyncio.gather(
            *(self._ask(ability, self._endpoint.post(url, body)) for body in bodies)
        )

    async def _complete(self, ability: str, body: probes.Body) -> Reply:
        return await self._ask(
            ability, self._endpoint.post(f"{self._endpoint.url}/completions", body)
        )

    async def _chat(self) -> Reply:
        url = f"{self._endpoint.url}/chat/completions"
        reply = await self._ask("chat", self._endpoint.post(url, probes.chat(self._name)))
        if reply.status == 400 and "max_completion_tokens" in reply.said:
            body = probes.chat(self._name, "max_completion_tokens")
            reply = await self._ask("chat", self._endpoint.post(url, body))
        return reply

    async def _software(self, owner: str) -> str | None:
        """Like "vllm 0.32.0"; the bare name where the version is not told."""
        if owner not in _VERSIONS:
            return None
        path, key = _VERSIONS[owner]
        reply = await self._ask("software", self._endpoint.get(self._endpoint.root + path))
        version = reply.payload.get(key) if reply.ok else None
        return f"{owner} {version[:_LONGEST_VERSION]}" if isinstance(version, str) else owner

    async def _ask(self, ability: str, asking: Awaitable[Reply]) -> Reply:
        """The reply, or one of status 0 where time was up: the ability is then `unsaid`, as where the
        server, or what stands before it, may answer later."""
        try:
            async with asyncio.timeout_at(self._until):
                reply = await asking
        except TimeoutError:
            reply = Reply(0)
        if reply.busy or reply.status == 0:
            self._unsaid.add(ability)
        return reply


async def _nothing() -> dict[str, Any]:
    return {}


async def _no() -> bool:
    return False
