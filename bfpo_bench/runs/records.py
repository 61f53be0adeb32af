"""What a run stores, line by line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

Label = Literal[
    "refusal",
    "partial_refusal",
    "compliance",
    "harmful",
    "harmless",
    "followed",
    "not_followed",
    "truthful",
    "untruthful",
    "rated",
    "better",
    "worse",
    "draw",
    "degenerate",
    "unjudged",
]
ResponseKey = tuple[str, int, int]


@dataclass(frozen=True)
class _Record:
    @classmethod
    def load(cls, record: dict[str, Any]) -> Self:
        """From a stored line; keys of later versions are passed over."""
        return cls(**{k: v for k, v in record.items() if k in cls.__dataclass_fields__})

    def dump(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class DataRecord(_Record):
    """The documents of one task that a run asks: where they are from, and the hash of their contents.

    `available` counts the split's documents, of which `documents` are asked; `expected` is upstream's
    count. Packaged data have no hub id and no revision. `rows` and `columns_sha256` are what the data
    lock knows a whole split by; `drift` says how it differs from the lock's where that was allowed.
    """

    hub_id: str | None
    requested: str | None
    revision: str | None
    fingerprint: str
    documents: int
    available: int
    expected: int
    rows: int | None = None
    columns_sha256: str | None = None
    drift: str | None = None


@dataclass(frozen=True)
class Response(_Record):
    """One answer of the subject.

    `prompt_cut` counts prompt tokens cut from the left, `capped` says that the context left less
    than the decoding's new tokens, `reasoning_open` that the chat template itself opened a trace.
    `document` holds what judges need of the document besides the prompt (the task's `keep`).
    `started` is what the answer was made to begin with: `response` goes on from there, and judges are
    shown that alone. `error`: the engine failed on this prompt, and there is no answer. `fault`: the
    world failed, and not the engine, so that the same command asks again. A count of tokens is None
    where the server told none. `defence`: what a self-check of the subject's asked and said
    (`checks.Check.told`), where one stood before or behind the response; `messages` are the user's,
    without what a defence puts around them.
    """

    task: str
    doc_id: int
    sample: int
    messages: list[dict[str, str]]
    response: str
    finish_reason: str
    prompt_tokens: int | None
    response_tokens: int | None
    seed: int
    engine: str
    prompt_cut: int = 0
    capped: bool = False
    reasoning_open: bool = False
    document: dict[str, Any] | None = None
    started: str | None = None
    error: str | None = None
    fault: bool = False
    defence: dict[str, Any] | None = None

    def dump(self) -> dict[str, Any]:
        """With the hash, so that who only counts need not read the texts."""
        told = {k: v for k, v in vars(self).items() if k != "defence" or v is not None}
        return told | {"text_hash": self.text_hash}

    @property
    def key(self) -> ResponseKey:
        return self.task, self.doc_id, self.sample

    @property
    def conversation(self) -> list[dict[str, str]]:
        """The messages, and what the answer was made to begin with as the assistant's own."""
        begun = [] if self.started is None else [{"role": "assistant", "content": self.started}]
        return [*self.messages, *begun]

    @cached_property
    def text_hash(self) -> str:
        """16 hex digits of what a judge is shown of it."""
        told = json.dumps([self.messages, self.response, self.reasoning_open, self.document])
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StoredLikelihood(_Record):
    """One choice of a discriminative document. `logprob` in nats; `cut`: tokens cut from the left."""

    task: str
    doc_id: int
    choice: int
    logprob: float
    greedy: bool
    engine: str
    cut: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        return self.task, self.doc_id, self.choice


@dataclass(frozen=True)
class Verdict(_Record):
    """One judge's word on one response, and on that alone: `text_hash` is the response's.

    `score` is in the judge's own unit, `raw` what a judge model wrote, `answers` what it said besides
    its label, `error` why the response is unjudged. `fault`: the world failed, and not the judge, so
    that the same command asks again.
    """

    task: str
    doc_id: int
    sample: int
    text_hash: str
    label: Label
    score: float | None = None
    raw: str | None = None
    error: str | None = None
    answers: dict[str, str] | None = None
    fault: bool = False

    @property
    def key(self) -> ResponseKey:
        return self.task, self.doc_id, self.sample
