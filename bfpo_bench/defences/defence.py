"""What every defence is: a name, a version, its words, and what it does to a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from bfpo_bench.runs.identity import digest

Messages = list[dict[str, str]]
Checks = Literal["input", "output"]

_WORDING = Path(__file__).with_name("wording")


@dataclass(frozen=True)
class Defence:
    """One way to guard a subject. `wording`: file of `wording/` -> its text.

    `version` counts changes of what is done with the words; changes of the words tell of themselves.
    `turns`: it needs earlier turns of a conversation, and so a chat template. `checks`: the subject
    is asked whether the request, or its own answer, is harmful.
    """

    wording: Mapping[str, str]

    name: ClassVar[str]
    version: ClassVar[int]
    files: ClassVar[tuple[str, ...]]
    turns: ClassVar[bool] = False
    checks: ClassVar[Checks | None] = None

    @property
    def identity(self) -> str:
        """`<name> <version> <16 hex over its words>`: part of the subject's identity."""
        return f"{self.name} {self.version} {digest(dict(self.wording))[:16]}"

    def describe(self) -> dict[str, Any]:
        """For the manifest, with every word."""
        return {"name": self.name, "version": self.version, "wording": dict(self.wording)}

    def conversation(self, messages: Sequence[Mapping[str, str]], system: bool) -> Messages:
        """What the subject is asked in place of `messages`, which end in the user's and may begin
        with the suite's system prompt. `system`: its template takes a system message."""
        return [dict(message) for message in messages]

    def question(self, request: str, answer: str) -> str:
        """What a self-check asks; `answer` is empty where the request alone is looked at."""
        raise NotImplementedError

    @property
    def refusal(self) -> str:
        """The response in place of one that a self-check has blocked."""
        return self.wording["refusal.txt"]


def read_wording(files: Sequence[str]) -> dict[str, str]:
    """Each file's text without outer white space."""
    return {name: (_WORDING / name).read_text(encoding="utf-8").strip() for name in files}
