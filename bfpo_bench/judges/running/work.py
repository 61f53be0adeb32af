"""What a judge needs to run: itself, its model and prompt, and where they are served."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bfpo_bench.engines.base import Remote
from bfpo_bench.judges.judge import Judge

if TYPE_CHECKING:
    from bfpo_bench.engines.subject import Subject
    from bfpo_bench.judges.api.server import Server
    from bfpo_bench.judges.prompts import PromptTemplate

JUDGE_CONTEXT = 8192
"""Tokens of context that a judge is given at most; a response longer than it has room for is cut."""


@dataclass(frozen=True)
class Work:
    """`engine`, `subject` and `arguments` are those of a model that is loaded here, `server` where
    another serves it; a judge without a model has none of them. `remote`: see `ModelFiles`."""

    judge: Judge
    prompt: PromptTemplate | None = None
    engine: str | None = None
    subject: Subject | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    context: int = JUDGE_CONTEXT
    server: Server | None = None
    remote: Remote = field(default_factory=Remote)
