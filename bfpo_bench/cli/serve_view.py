"""What a server can do, as a table, a command to go on with, and JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bfpo_bench.cli.fitting import FittingTable
from bfpo_bench.cli.ui import Terminal, plain
from bfpo_bench.engines.server.capabilities import Capabilities
from bfpo_bench.names import shortened

_SHOWN = 8

Line = tuple[str, str, str]


def print_found(caps: Capabilities, tokenizer: str | None) -> None:
    """`tokenizer` says how it was compared, where it was."""
    console = Terminal()
    for line in (*_about(caps, tokenizer), ""):
        console.print(plain(line), highlight=False, soft_wrap=True)
    console.print(_table(caps))
    for line in ("next:", f"    {next_command(caps)}"):
        console.print(plain(line), highlight=False, soft_wrap=True)


def _about(caps: Capabilities, tokenizer: str | None) -> Iterator[str]:
    speed = "" if caps.round_trip is None else f", answers in {1000 * caps.round_trip:.0f} ms"
    yield f"{caps.url}: {caps.software or 'software that does not say its name'}{speed}"
    context = (
        "a context that it does not tell" if caps.context is None else f"{caps.context} tokens"
    )
    yield f"model {shortened(caps.name)}: {context}"
    others = [shortened(name) for name in caps.models if name != caps.name]
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        yield f"also serves: {', '.join(others[:_SHOWN])}{more}"
    if tokenizer is not None:
        yield f"tokenizer: {tokenizer}"


def _table(caps: Capabilities) -> Table:
    table = FittingTable(
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption_justify="left"
    )
    table.add_column("it can", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("what that means here", min_width=20)
    for name, has, means in lines(caps):
        table.add_row(name, Text(has, style="bold" if has.startswith("yes") else ""), means)
    return table


def lines(caps: Capabilities) -> Iterator[Line]:
    """(ability, yes or no, what it means here)."""
    ids = caps.token_prompts
    yield (
        "continue token ids",
        _yes(caps, "token_prompts"),
        "prompts are encoded here, as for every engine"
        if ids
        else "only as a hosted model: --engine-arg api=chat",
    )
    yield (
        "give token ids back",
        _yes(caps, "token_ids"),
        "responses are what the tokens say"
        if caps.token_ids
        else "responses are text as it is sent",
    )
    yield (
        "stop at token ids",
        _yes(caps, "stop_token_ids"),
        "responses end as on every engine"
        if caps.stop_token_ids
        else "responses end where the server ends them",
    )
    way = " and ".join(
        words
        for has, words in ((caps.prompt_logprobs, "prompt_logprobs"), (caps.echo_logprobs, "echo"))
        if has
    )
    yield (
        "give log-likelihoods",
        "yes" if caps.likelihoods else _no(caps, "echo_logprobs", "prompt_logprobs"),
        f"discriminative tasks can be asked, through {way}"
        if caps.likelihoods
        else "no discriminative tasks: --tasks '*/generative'",
    )
    yield (
        "answer messages",
        _yes(caps, "chat"),
        "also as a hosted model: --engine-arg api=chat"
        if caps.chat
        else "no --engine-arg api=chat",
    )
    yield (
        "keep a seed",
        _yes(caps, "seeds"),
        "sampled responses can be drawn again"
        if caps.seeds
        else "greedy answers alone can be asked for again",
    )


def _yes(caps: Capabilities, ability: str) -> str:
    return "yes" if getattr(caps, ability) else _no(caps, ability)


def _no(caps: Capabilities, *abilities: str) -> str:
    return "not said" if set(abilities) & set(caps.unsaid) else "no"


def next_command(caps: Capabilities) -> str:
    """The run that asks all that can be asked here."""
    words = ["bfpo-bench", "run", "--engine", "server", "--server", caps.url, "--model", caps.name]
    if not caps.token_prompts:
        words += ["--engine-arg", "api=chat"]
    if not caps.likelihoods:
        words += ["--tasks", "*/generative"]
    return shlex.join(words)


def as_json(caps: Capabilities, tokenizer: str | None) -> dict[str, Any]:
    """For programs. `round_trip` in seconds, `context` in tokens."""
    more = {"likelihoods": caps.likelihoods, "tokenizer": tokenizer, "next": next_command(caps)}
    return asdict(caps) | more
