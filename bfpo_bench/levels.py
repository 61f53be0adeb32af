"""Levels of helpfulness and safety, and the one line that tells a model which are asked for.

Control tokens (arXiv 2404.01295): a model of P(y | x, helpfulness, safety). Training and evaluation
write the line by the same function, so that a model is asked as it was taught.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bfpo_bench.names import behind

_GIVEN = re.compile(r"(\d{1,3}),(\d{1,3})", re.ASCII)
_NAMED = re.compile(r"levels (\d{1,3}),(\d{1,3})", re.ASCII)


@dataclass(frozen=True, order=True)
class Levels:
    """How helpful and how safe a response is or is to be: 0 is the least, and more is better."""

    helpfulness: int
    safety: int

    def __str__(self) -> str:
        return f"{self.helpfulness},{self.safety}"

    @property
    def line(self) -> str:
        """Plain characters, which every tokenizer has: no embedding is added."""
        return f"[helpful={self.helpfulness}][harmless={self.safety}]"


def with_levels(messages: Sequence[Mapping[str, str]], levels: Levels) -> list[dict[str, str]]:
    """The messages with the line at the end of the last, which is the user's.

    There it stands next to the response, needs no system message, and is the last thing that a prompt
    too long for the context loses, since those are cut from the left.
    """
    *before, last = (dict(message) for message in messages)
    return [*before, last | {"content": f"{last['content']}\n\n{levels.line}"}]


def read_levels(text: str) -> Levels | None:
    """The levels of `H,S`; None for anything else."""
    found = _GIVEN.fullmatch(text)
    return Levels(int(found[1]), int(found[2])) if found else None


def asked_for(model: str, levels: Levels) -> str:
    """The name of the model that is asked for the levels."""
    return behind(model, f"levels {levels}")


def without_levels(model: str) -> tuple[str, Levels | None]:
    """The model's own name, and the levels that it is asked for, if it is."""
    name, plus, told = model.rpartition(" + ")
    found = _NAMED.fullmatch(told)
    return (name, Levels(int(found[1]), int(found[2]))) if plus and found else (model, None)
