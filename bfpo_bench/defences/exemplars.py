"""The safety instruction, and worked turns: safe and unsafe requests, each with the right response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bfpo_bench.defences.defence import Defence, Messages
from bfpo_bench.defences.instruction import with_instruction


class Exemplars(Defence):
    """The turns come after a system message and before the user's own."""

    name = "exemplars"
    version = 1
    files = ("instruction.txt", "exemplars.yaml")
    turns = True

    def conversation(self, messages: Sequence[Mapping[str, str]], system: bool) -> Messages:
        head = [m for m in messages[:1] if m["role"] == "system"]
        whole = [*head, *self._turns(), *messages[len(head) :]]
        return with_instruction(whole, self.wording["instruction.txt"], system)

    def _turns(self) -> Messages:
        import yaml

        return [
            {"role": role, "content": exemplar[key]}
            for exemplar in yaml.safe_load(self.wording["exemplars.yaml"])
            for role, key in (("user", "request"), ("assistant", "response"))
        ]
