"""An engine that says what a test tells it to, and a tokenizer of characters, so that a test can read
what was asked."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from generative_runs import task

from bfpo_bench.defences.load import load_defence
from bfpo_bench.engines.base import Failure, Generation, GenerationRequest, Told
from bfpo_bench.progress import Progress
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.stages.asked import Asking, generative_requests
from bfpo_bench.stages.checked import Checked, checked_responses
from bfpo_bench.stages.respond import _response
from bfpo_bench.suite.suites import load_suite

Says = Callable[[str], "str | Failure"]
"""From what is asked, as text, to what the model says."""


class Characters:
    """A token a character; the template writes `[role]` before each message. `thinks`: it opens a
    reasoning trace."""

    def __init__(self, *, thinks: bool = False) -> None:
        self.end = "[assistant]<think>\n" if thinks else "[assistant]"

    def apply_chat_template(
        self, messages: Sequence[dict[str, str]], *, tokenize: bool = True, **_: Any
    ) -> Any:
        text = "".join(f"[{m['role']}]{m['content']}" for m in messages) + self.end
        return {"input_ids": self.encode(text)} if tokenize else text

    def encode(self, text: str, **_: Any) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        return "".join(map(chr, tokens))


class Scripted:
    """Remembers every prompt; `dies` at the n-th, counted from 1, before it is answered."""

    name = "scripted"

    def __init__(self, says: Says, *, dies: int | None = None) -> None:
        self.says, self.dies = says, dies
        self.asked: list[str] = []

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]:
        for position, request in enumerate(requests):
            text = (
                request.messages[-1]["content"]
                if request.messages
                else "".join(map(chr, request.prompt))
            )
            if self.dies == len(self.asked) + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            self.asked.append(text)
            said = self.says(text)
            if isinstance(said, Failure):
                yield position, said
            elif request.messages:
                yield position, Generation((), "stop", Told(said, 7, 3))
            else:
                yield position, Generation(tuple(map(ord, said)), "stop")


class Prompts:
    """A task with these prompts, whose answers begin with `started`."""

    def __init__(self, *prompts: str, started: str = "") -> None:
        begun = {"field": "begun", "tokens": len(started)} if started else None
        self.spec = task("bfpo_errands", "helpfulness/generative", started_with=begun)
        self.prompts, self.started = prompts, started
        self.doc_ids = range(len(prompts))

    def documents(self) -> list[dict[str, str]]:
        return [{"begun": self.started} for _ in self.prompts]


def silent(progress: Progress) -> None:
    pass


def answer(
    folder: Path,
    defence: str,
    prompts: Sequence[str],
    says: Says,
    *,
    tokenizer: Any = Characters(),
    dies: int | None = None,
    started: str = "",
) -> Scripted:
    """Ask what the run in `folder` lacks, behind the defence; -> the engine, which knows what was asked."""
    run, engine = RunFolder(folder), Scripted(says, dies=dies)
    guard = load_defence(defence)
    assert guard is not None
    how = Asking(load_suite("bfpo"), 0, chat_template=True, context=4096, defence=guard)
    answered = {r.key for r in run.responses() if not r.fault}
    asked = generative_requests(how, tokenizer, [Prompts(*prompts, started=started)])  # type: ignore[list-item]
    todo = [a for a in asked if (a.task, a.doc_id, 0) not in answered]
    through = Checked(run, engine, tokenizer, how, guard, _response)  # type: ignore[arg-type]
    checked_responses(through, todo, silent)
    return engine


def says_yes_to_knives(text: str) -> str:
    """A model that answers every question with 'Done.', and finds harm in whatever names a knife."""
    if "yes or no." in text:
        return "Yes." if "knife" in text else "**No**, it does not."
    return "Done: the knife is yours." if "sharp" in text else "Done."


def killed(folder: Path, defence: str, prompts: Sequence[str], dies: int) -> None:
    """What a process of its own does until it dies of SIGKILL."""
    answer(folder, defence, prompts, says_yes_to_knives, dies=dies)
