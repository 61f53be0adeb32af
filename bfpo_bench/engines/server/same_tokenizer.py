"""Whether a server's tokenizer is the one that prompts are encoded with here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bfpo_bench.api.key import Key
from bfpo_bench.engines.server import probes
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.engines.server.endpoint import Endpoint, Reply
from bfpo_bench.errors import UserError

CHECK_SECONDS = 8.0
"""For all that is asked of the servers."""
_MOST_SPECIAL = 40

TEXT = (
    "The quick brown fox's 12 jumps: 3.14159, 1,000,000 and 0x1F!\n\n\tfor i in range(10):\n"
    "        print('a  b   c')\r\n"
    "Ça déjà vu, naïve Straße, Ελληνικά, Привет мир, שלום עולם, مرحبا بالعالم, नमस्ते दुनिया, "
    "你好，世界。こんにちは、안녕하세요 สวัสดี 👋🏽🌍 \u200b\u00a0 ﬁ Å ½ ™\n"
    "<|user|> [INST] <s> </s> <|im_start|>system <unk> {{x}} \\n"
)
"""Several scripts, digits, white space of all kinds, and what looks like special tokens."""


def check_tokenizers(
    found: Sequence[Capabilities], tokenizer: Any, name: str, key: Key
) -> list[str | None]:
    """How each server was held against `tokenizer`, which is `name`'s: "through /tokenize", "through
    echo", "by the number of tokens alone"; None where nothing could be compared.

    All are asked at once, for CHECK_SECONDS. Raises UserError, which names both, where they differ.
    """

    async def all_of_them() -> list[str | None]:
        return await asyncio.gather(*(_check(caps, tokenizer, name, key) for caps in found))

    return asyncio.run(all_of_them())


async def _check(caps: Capabilities, tokenizer: Any, name: str, key: Key) -> str | None:
    endpoint = Endpoint(caps.url, key)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await _compared(endpoint, caps, tokenizer, name)
    except TimeoutError:
        return None
    finally:
        await endpoint.close()


async def _compared(
    endpoint: Endpoint, caps: Capabilities, tokenizer: Any, name: str
) -> str | None:
    text = probing_text(tokenizer)
    ids = list(tokenizer.encode(text, add_special_tokens=False))
    theirs = _tokens(await endpoint.post(f"{endpoint.root}/tokenize", _tokenize(caps.name, text)))
    if theirs is not None:
        if theirs != ids:
            raise _different(caps, name, _first_difference(ids, theirs, tokenizer))
        return "through /tokenize"
    if not caps.completions:
        return None
    if caps.context is not None:
        ids = ids[: caps.context - 1]
    if caps.token_prompts:
        echoed = await _post(endpoint, probes.completion(caps.name, ids, echo=True))
        if (same := _echo(echoed, tokenizer, ids)) is not None:
            if not same:
                raise _different(caps, name, "the same token ids stand for another text there")
            return "through echo"
    plain = tokenizer.decode(ids)
    counted = _counted(
        await _post(endpoint, {**probes.text_completion(caps.name), "prompt": plain})
    )
    if counted is None:
        return None
    ours = {len(tokenizer.encode(plain, add_special_tokens=extra)) for extra in (False, True)}
    if counted not in ours:
        told = " or ".join(map(str, sorted(ours)))
        raise _different(caps, name, f"a text has {counted} tokens there, and {told} here")
    return "by the number of tokens alone"


async def _post(endpoint: Endpoint, body: probes.Body) -> Reply:
    return await endpoint.post(f"{endpoint.url}/completions", body)


def probing_text(tokenizer: Any) -> str:
    """TEXT, and the tokenizer's own special tokens: a base model's may differ in these alone."""
    special = [str(token) for token in tokenizer.all_special_tokens[:_MOST_SPECIAL]]
    return TEXT + " ".join(special)


def _tokenize(model: str, text: str) -> probes.Body:
    """As vLLM and SGLang (`prompt`) and llama.cpp (`content`) read it: no tokens are added."""
    vllm = {"model": model, "prompt": text, "add_special_tokens": False}
    return {**vllm, "content": text, "add_special": False, "parse_special": True}


def _tokens(reply: Reply) -> list[int] | None:
    """None for a server that has no such address, or means something else by it."""
    told = reply.payload.get("tokens") if reply.ok else None
    if not isinstance(told, list) or not told or any(type(i) is not int for i in told):
        return None
    return told


def _echo(reply: Reply, tokenizer: Any, ids: Sequence[int]) -> bool | None:
    """Whether the text that was echoed begins as the tokens' does here; None where none was. White
    space does not count: servers differ in how they treat it at a text's ends."""
    told = _flat(probes.said(reply.payload))
    decoded = [_flat(tokenizer.decode(ids, skip_special_tokens=skip)) for skip in (False, True)]
    shortest = min(len(text) for text in decoded)
    if len(told) < shortest // 2:
        return None
    return any(told.startswith(text) for text in decoded)


def _flat(text: str) -> str:
    return "".join(text.split())


def _counted(reply: Reply) -> int | None:
    usage = reply.payload.get("usage") if reply.ok else None
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return count if type(count) is int else None


def _first_difference(ours: Sequence[int], theirs: Sequence[int], tokenizer: Any) -> str:
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
    at = min(len(ours), len(theirs)) if same is None else same
    before = tokenizer.decode(list(ours[max(0, at - 3) : at + 1]))
    here, there = (ids[at] if at < len(ids) else "its end" for ids in (ours, theirs))
    return f"at {before!r} it is {here} here and {there} there"


def _different(caps: Capabilities, name: str, how: str) -> UserError:
    return UserError(
        f"The server {caps.url} reads {caps.name} with another tokenizer than that of {name} ({how}): "
        "give --model the model that is served there, at its revision."
    )
