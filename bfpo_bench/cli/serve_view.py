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
_ID = "ID"

Line = tuple[str, str, str]


def print_found(caps: Capabilities, tokenizer: str | None, *, files: bool) -> None:
    """`tokenizer` says how it was compared, where it was; for `files` see `next_command`."""
    console = Terminal()
    for line in (*_about(caps, tokenizer), ""):
        console.print(plain(line), highlight=False, soft_wrap=True)
    console.print(_table(caps))
    command = next_command(caps, files=files)
    for line in (_next(command), f"    {shlex.join(command)}"):
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


def next_command(caps: Capabilities, *, files: bool) -> list[str]:
    """The run that asks all that can be asked here. `files`: the model has files under its name on the
    server; where it has none the user has to say in ID's place which files are its."""
    words = ["bfpo-bench", "run", "--engine", "server", "--server", caps.url]
    if not caps.token_prompts:
        words += ["--model", caps.name, "--engine-arg", "api=chat"]
    elif files:
        words += ["--model", caps.name]
    else:
        words += ["--model", _ID, "--engine-arg", f"served_model_name={caps.name}"]
    return words if caps.likelihoods else [*words, "--tasks", "*/generative"]


def _next(command: list[str]) -> str:
    if _ID in command:
        return f"next, with the hub id or the folder of what is served in the place of {_ID}:"
    return "next:"


def as_json(caps: Capabilities, tokenizer: str | None, *, files: bool) -> dict[str, Any]:
    """For programs. `round_trip` in seconds, `context` in tokens; for `files` see `next_command`."""
    command = shlex.join(next_command(caps, files=files))
    more = {"likelihoods": caps.likelihoods, "tokenizer": tokenizer, "next": command}
    return asdict(caps) | more
