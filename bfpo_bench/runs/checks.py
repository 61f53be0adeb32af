"""What self-checks have asked and heard, and the answers that wait for theirs: so that a run which was
killed asks nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bfpo_bench.runs import jsonl
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Response, ResponseKey, _Record

T = TypeVar("T", "Check", Response)


@dataclass(frozen=True)
class Check(_Record):
    """A self-check of one response. `asked` is the question as text, `said` the subject's answer to it,
    `reading` how that was read: harmful, harmless or neither. `blocked`: the response is the refusal.
    `cut` counts tokens cut from the question's left; a count is None where a server told none.
    """

    task: str
    doc_id: int
    sample: int
    asked: str
    said: str
    reading: str
    blocked: bool
    prompt_tokens: int | None
    response_tokens: int | None
    engine: str
    cut: int = 0

    @property
    def key(self) -> ResponseKey:
        return self.task, self.doc_id, self.sample

    def told(self) -> dict[str, Any]:
        """What the response's own line keeps of it."""
        return {k: v for k, v in vars(self).items() if k not in ("task", "doc_id", "sample")}


def checks_file(run: RunFolder) -> Path:
    return run.path / "defence" / "checks.jsonl"


def unchecked_file(run: RunFolder) -> Path:
    """Answers as the subject gave them, before they were checked."""
    return run.path / "defence" / "answers.jsonl"


def stored_checks(run: RunFolder) -> dict[ResponseKey, Check]:
    """The last check of each response."""
    return _by_key(jsonl.read_as(checks_file(run), Check), lambda check: check.key)


def stored_answers(run: RunFolder) -> dict[ResponseKey, Response]:
    return _by_key(jsonl.read_as(unchecked_file(run), Response), lambda answer: answer.key)


def _by_key(found: Iterator[T], key: Callable[[T], ResponseKey]) -> dict[ResponseKey, T]:
    return {key(one): one for one in found}
