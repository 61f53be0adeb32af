"""What an endpoint can do: it is asked, within a time that no server can stretch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from bfpo_bench.api.address import check_address
from bfpo_bench.api.key import Key
from bfpo_bench.engines.server import probes
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.endpoint import Endpoint, no_api
from bfpo_bench.engines.server.looking import Looking
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.engines.server.probes import Card
from bfpo_bench.errors import UserError
from bfpo_bench.names import shortened
from bfpo_bench.nearest import nearest

LOOK_SECONDS = 16.0
"""For all that is asked of one server. A command that finds nothing has ended in 30."""

NAME = "--engine-arg served_model_name"

_SHOWN = 5
"""Models that a sentence names."""


def look_at(
    url: str, served: str, key: Key, tokenizer: Any = None, argument: str = NAME
) -> Capabilities:
    """What the endpoint can do with the model called `served` there, or its only one where that is
    empty.

    `tokenizer`, where there is one, gives the tokens of the tiny prompts; `argument` is how the user
    names a model. Raises UserError for a server that cannot be reached, is not ready, takes another
    key, has no such model, speaks no OpenAI API or does not answer within LOOK_SECONDS.
    """
    return look_at_all([url], served, key, tokenizer, argument)[0]


def look_at_all(
    urls: Sequence[str], served: str, key: Key, tokenizer: Any = None, argument: str = NAME
) -> list[Capabilities]:
    """The same of several at once; the first error, in the order given, is raised."""
    for url in urls:
        check_address(url, SUBJECT)
    addresses = [url.rstrip("/") for url in urls]
    if twice := [url for i, url in enumerate(addresses) if url in addresses[:i]]:
        raise UserError(f"The server {twice[0]} is named twice: name it once.")
    found = asyncio.run(_all(addresses, served, key, _ids(tokenizer), argument))
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if isinstance(one, Capabilities)]


async def _all(
    urls: Sequence[str], served: str, key: Key, ids: Sequence[int], argument: str
) -> list[Capabilities | BaseException]:
    looks = (_one(url, served, key, ids, argument) for url in urls)
    return await asyncio.gather(*looks, return_exceptions=True)


def _ids(tokenizer: Any) -> tuple[int, ...]:
    if tokenizer is None:
        return probes.IDS
    return tuple(tokenizer.encode(probes.TEXT, add_special_tokens=False))


async def _one(url: str, served: str, key: Key, ids: Sequence[int], argument: str) -> Capabilities:
    endpoint = Endpoint(url, key)
    until = asyncio.get_running_loop().time() + LOOK_SECONDS
    try:
        try:
            async with asyncio.timeout_at(until):
                listed = await _models(endpoint)
        except TimeoutError:
            raise UserError(
                f"The server {url} does not answer: nothing came within {LOOK_SECONDS:g} seconds."
            ) from None
        name = _chosen(url, served, listed, argument)
        return await Looking(endpoint, name, ids, until, LOOK_SECONDS).found(listed)
    finally:
        await endpoint.close()


async def _models(endpoint: Endpoint) -> Mapping[str, Card]:
    """Those that GET /models lists; empty where a server has no such list. Raises UserError."""
    reply = await endpoint.get(f"{endpoint.url}/models")
    if reply.status == 403:
        raise endpoint.refusal(reply.status)
    found = probes.cards(reply.payload) if reply.ok else None
    if found is not None:
        return found
    if reply.busy:
        raise UserError(
            f"The server {endpoint.url} is not ready ({reply.quoted}): wait until it has loaded its "
            "model, and give the same command again."
        )
    if (place := await _elsewhere(endpoint)) is not None:
        raise UserError(f"The API of the server {endpoint.url} stands at {place}: give that URL.")
    if reply.status in (404, 405) and reply.payload is not None:
        return {}
    raise no_api(endpoint, reply)


async def _elsewhere(endpoint: Endpoint) -> str | None:
    """Where the server's API stands instead: below the URL, above it, or below the bare host. None where
    it is in none of these places, and where there is something to chat with at the URL itself."""
    url, parts = endpoint.url, urlsplit(endpoint.url)
    above = [f"{url.partition('/v1/')[0]}/v1"] if "/v1/" in url else []
    below = [] if url.endswith("/v1") else [f"{url}/v1"]
    places = dict.fromkeys([*below, *above, f"{parts.scheme}://{parts.netloc}/v1"])
    places.pop(url, None)
    here = await endpoint.post(f"{url}/chat/completions", {})
    if here.payload is not None and here.status not in (404, 405):
        places = dict.fromkeys(below)
    for place in places:
        listed = await endpoint.get(f"{place}/models")
        if listed.ok and probes.cards(listed.payload) is not None:
            return place
    return None


def _chosen(url: str, served: str, listed: Mapping[str, Card], argument: str) -> str:
    names = list(listed)
    if served in listed or (served and not names):
        return served
    if not served and len(names) == 1:
        return names[0]
    if not names:
        raise UserError(
            f"The server {url} lists no models: name one with {argument}=NAME, or give the URL of an "
            "OpenAI API, up to /v1."
        )
    shown = ", ".join(shortened(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    name = shortened(names[0]) if len(names) == 1 else "NAME"
    mend = f"give {argument}={name}"
    if not served:
        raise UserError(f"The server {url} has several models ({shown}{more}): {mend}.")
    if argument != NAME:
        mend += f"; `plan` and `run` also take --model {shortened(served)} {NAME}={name}"
    raise UserError(
        f"The server {url} has no model {shortened(served)}{nearest(served, names)}, but {shown}"
        f"{more}: {mend}."
    )
