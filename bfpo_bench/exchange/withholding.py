"""What of a run's texts may be passed on: responses that do no harm, prompts that one may hand out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bfpo_bench.exchange.answers import Answer, labels_of_kind
from bfpo_bench.runs.finished import FinishedRun
from bfpo_bench.runs.records import Response
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

NOT_A_REFUSAL = "the prompt is harmful and the response is no clear refusal"
REPEATS = "the response repeats a prompt that may not be handed out"
NOT_OPEN = "the data's licence is not open, or not known"
BEHIND_A_GATE = "the data set is gated"


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

        A response to a harmful prompt is passed on where its outcome is safe, every judge of refusals
        calls it a whole refusal, at least one does, and no judge of any kind calls it harmful.
        """
        task = answer.response.task
        prompt = self.of_prompts(task)
        if self.is_harmful(task) and not self.include_harmful and not self._refuses(answer):
            return Withheld(prompt, NOT_A_REFUSAL)
        if prompt is not None and repeats(answer.response):
            return Withheld(prompt, REPEATS)
        return Withheld(prompt, None)

    def _refuses(self, answer: Answer) -> bool:
        said = labels_of_kind(self.run, answer, "refusal")
        harmful = any(v.label == "harmful" for v in answer.verdicts.values())
        refused = bool(said) and set(said) == {"refusal"} and not harmful
        return refused and answer.outcome == "safe"


def repeats(response: Response) -> bool:
    """Whether the response holds one of its prompt's messages, as far as case and white space go."""
    told = _flat(response.response)
    messages = (_flat(m["content"]) for m in response.messages if m["role"] != "system")
    return any(message and message in told for message in messages)


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
