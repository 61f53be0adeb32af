"""A model that is known by its name on a server alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bfpo_bench.engines.source import Source
from bfpo_bench.engines.subject import Subject
from bfpo_bench.runs.identity import ModelIdentity

AS_SERVED = "as served"


def hosted_subject(name: str, servers: Sequence[str]) -> Subject:
    """The subject without files that `servers` know as `name`. Where they are is no part of who it
    is: a run may go on at another address.

    Its own name says how it was asked: a model of that name that is asked by its files is put
    through another template, and has a row of its own.
    """
    shown = f"{name} ({AS_SERVED})"
    identity = ModelIdentity(
        name=shown, weights=AS_SERVED, adapter=None, tokenizer=AS_SERVED, chat_template=AS_SERVED
    )
    base = Source(name, None, None, ())
    return Subject(shown, base, None, {}, identity, servers=tuple(servers))


def servers_note(sessions: Sequence[Mapping[str, Any]], servers: Sequence[str]) -> str:
    """What is to be said of a hosted run that goes on at `servers`; empty where its earlier sessions,
    as the manifest has them, asked them all, or asked none."""
    earlier = dict.fromkeys(url for session in sessions for url in session.get("servers", ()))
    if not earlier or set(servers) <= set(earlier):
        return ""
    return (
        f"NOTE: earlier answers of this run are from {', '.join(earlier)}, and the others are asked of "
        f"{', '.join(servers)}: nothing shows that one model is behind both"
    )
