"""What a judge is shown: a prompt, an answer, and what some judges need besides."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bfpo_bench.judges.degenerate import degenerate_reason
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.reasoning import strip_reasoning


@dataclass(frozen=True)
class Text:
    """A prompt and a response from anywhere; `baseline`: another response to compare it with."""

    prompt: str
    response: str | None
    baseline: str | None = None


@dataclass(frozen=True)
class Item:
    """`prompt` is the last thing that the user said, `answer` the response without its reasoning trace.

    `document` holds fields of the task's document; `baseline` the answer that a judge of preferences
    holds this one against.
    """

    prompt: str
    answer: str
    document: Mapping[str, Any] | None = None
    baseline: str | None = None

    @property
    def sha256(self) -> str:
        """Hash of all that a judge is shown."""
        told = [self.prompt, self.answer, self.document, self.baseline]
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def item_of(
    prompt: str,
    response: str | None,
    *,
    reasoning_open: bool = False,
    document: Mapping[str, Any] | None = None,
    baseline: str | None = None,
) -> Item | Finding:
    """The item that a judge is shown; or the finding where no judge may see it.

    A trace cut off before any answer is unjudged with that reason; a degenerate answer (also None)
    is labelled so. Halves of surrogate pairs, which no tokenizer or server takes, become U+FFFD.
    """
    prompt, baseline = encodable(prompt), None if baseline is None else encodable(baseline)
    answer = strip_reasoning(encodable(response or ""), opened=reasoning_open)
    if not answer.complete:
        return Finding("unjudged", error="the reasoning trace was cut off before an answer")
    reason = degenerate_reason(answer.text)
    if reason is not None:
        return Finding("degenerate", error=reason)
    kept = None if document is None else {k: _encodable(v) for k, v in document.items()}
    return Item(prompt, answer.text, kept, baseline)


def encodable(text: str) -> str:
    """The text with every lone half of a surrogate pair as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _encodable(value: Any) -> Any:
    """The same of every text in a JSON-like value."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(inner) for inner in value]
    if isinstance(value, dict):
        return {k: _encodable(inner) for k, inner in value.items()}
    return value
