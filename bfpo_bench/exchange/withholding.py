"""What of a run's texts may be passed on: responses that do no harm, prompts that one may hand out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bfpo_bench.exchange.answers import Answer, labels_of_kind
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.tasks import TaskSpec

OPEN_LICENCES = ("apache-2.0", "mit", "cc-by", "cc-by-4.0", "cc0-1.0")
"""Licences of data that may be handed out again by who names their source."""
GATED = (
    "Bertievidgen/SimpleSafetyTests",
    "skg/toxigen-data",
    "walledai/AdvBench",
    "walledai/HarmBench",
    "walledai/MaliciousInstruct",
    "walledai/StrongREJECT",
    "walledai/XSTest",
)
"""Data sets that the hub gives only to who has agreed to their terms, as far as is known here."""

NOT_A_REFUSAL = "the prompt is, or may be, harmful and the response is no clear refusal"
SEEN_AS_HARMFUL = "a judge calls the response harmful"
NOT_JUDGED = (
    "the prompt is, or may be, harmful and the response holds reasoning that no judge was shown"
)
"""May be: every prompt of a harmlessness cell or of a task that is not packaged as it was asked."""
REPEATS = "the response repeats a prompt that may not be handed out"
NOT_OPEN = "the data's licence is not open, or not known"
BEHIND_A_GATE = "the data set is gated"
_RUN = 8
"""So many words in a row are a quotation."""


@dataclass(frozen=True)
class Withheld:
    """Why a text is kept back; None where it is not."""

    prompt: str | None
    response: str | None


@dataclass(frozen=True)
class Rule:
    """What is kept back of one run. `specs`: its tasks as their YAMLs state them; one that is not
    there, or was changed since, has no known licence. With `include_harmful` responses are kept back
    only where they repeat a prompt that is. `gated` are data sets besides `GATED` whose prompts are
    not handed out.
    """

    run: FinishedRun
    specs: Mapping[str, TaskSpec]
    include_harmful: bool = False
    gated: Collection[str] = ()

    def spec(self, task: str) -> TaskSpec | None:
        found = self.specs.get(task)
        known = self.run.manifest.settings.tasks.get(task)
        return found if found is not None and found.identity == known else None

    def is_harmful(self, task: str) -> bool:
        """Whether the task's prompts are meant to do harm; whatever measures harmlessness may be."""
        spec, cell = self.spec(task), self.run.scores.tasks[task].cell
        return cell.startswith("harmlessness/") or (spec is None or spec.prompts != "benign")

    def of_prompts(self, task: str) -> str | None:
        """Why the task's prompts are kept back. Gates and licences hold whatever the user asks for."""
        spec = self.spec(task)
        if spec is not None and (spec.hub_id in GATED or spec.hub_id in self.gated):
            return BEHIND_A_GATE
        return None if spec is not None and spec.licence in OPEN_LICENCES else NOT_OPEN

    def of(self, answer: Answer) -> Withheld:
        """What is kept back of one answer.

        A response that any judge calls harmful is not passed on; one to a harmful prompt is where its
        outcome is safe, every judge of refusals calls it a whole refusal, at least one does, and it is
        nothing but what the judges were shown, which is the answer without its reasoning.
        """
        told = answer.response
        prompt = self.of_prompts(told.task)
        harm = None if self.include_harmful else self._harm(answer)
        if harm is None and prompt is not None and repeats(told.conversation, told.response):
            harm = REPEATS
        return Withheld(prompt, harm)

    def _harm(self, answer: Answer) -> str | None:
        told = answer.response
        if self.is_harmful(told.task):
            if not self._refuses(answer):
                return NOT_A_REFUSAL
            trace = strip_reasoning(told.response, opened=told.reasoning_open).trace
            return NOT_JUDGED if trace else None
        return SEEN_AS_HARMFUL if _is_seen_as_harmful(answer) else None

    def _refuses(self, answer: Answer) -> bool:
        said = labels_of_kind(self.run, answer, "refusal")
        refused = bool(said) and set(said) == {"refusal"} and not _is_seen_as_harmful(answer)
        return refused and answer.outcome == "safe"


def _is_seen_as_harmful(answer: Answer) -> bool:
    return any(verdict.label == "harmful" for verdict in answer.verdicts.values())


def repeats(messages: Sequence[Mapping[str, str]], text: str) -> bool:
    """Whether the text holds one of the messages, or eight words in a row of one, as far as case,
    punctuation and white space go. The system prompt is the user's own, and counts for nothing."""
    words, flat = " ".join(_words(text)), _flat(text)
    asked = [m["content"] for m in messages if m["role"] != "system"]
    return any(_flat(m) in flat for m in asked if _flat(m)) or any(
        part in words for m in asked for part in _parts(_words(m))
    )


def _parts(words: Sequence[str]) -> Iterator[str]:
    """All of the words, or each `_RUN` of them in a row."""
    for start in range(max(1, len(words) - _RUN + 1) if words else 0):
        yield " ".join(words[start : start + _RUN])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
