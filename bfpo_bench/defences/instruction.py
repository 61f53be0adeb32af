"""A safety instruction before the user's message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bfpo_bench.defences.defence import Defence, Messages


class Instruction(Defence):
    """The instruction is the system message where the template takes one, and follows the suite's own
    system prompt in it; else it stands before the first of the user's messages."""

    name = "instruction"
    version = 1
    files = ("instruction.txt",)

    def conversation(self, messages: Sequence[Mapping[str, str]], system: bool) -> Messages:
        return with_instruction(messages, self.wording["instruction.txt"], system)


def with_instruction(
    messages: Sequence[Mapping[str, str]], instruction: str, system: bool
) -> Messages:
    """The messages with the instruction in the first, or as the first."""
    first, *others = (dict(message) for message in messages)
    if first["role"] == "system":
        return [first | {"content": f"{first['content']}\n\n{instruction}"}, *others]
    if system:
        return [{"role": "system", "content": instruction}, first, *others]
    return [first | {"content": f"{instruction}\n\n{first['content']}"}, *others]
