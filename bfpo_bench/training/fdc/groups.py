"""Which group of safety data a prompt is of, by a rule.

No public account says how Equilibrate RLHF (arXiv 2502.11555) assigns its groups. The rule here:

- *explicit*: the prompt names a risky subject, and shows no intent;
- *implicit*: it shows the wish to harm, to deceive or to gain unfairly, and names no risky subject;
- *mixed*: both;
- *neither*: neither, which is no safety data.

A subject is a word of a list. An intent is a phrase of another one, or an act that harms with a
request of one's own before it ("how do I hack ..."), which is a subject as well. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from bfpo_bench.scoring.agreement import Agreement, agreement
from bfpo_bench.training.data.spec import SafetyGroup
from bfpo_bench.training.fdc.words import ACTS, INTENTS, REQUESTS, SUBJECTS

Label = Literal[SafetyGroup, "neither"]
LABELS: tuple[Label, ...] = (*get_args(SafetyGroup), "neither")
_PLAIN = str.maketrans("‘’", "''")


def _any(words: Iterable[str]) -> str:
    """A pattern of whole words: `*` is any ending, a hyphen may be a space."""
    parts = (re.escape(w).replace(r"\*", r"\w*").replace(r"\-", "[- ]?") for w in words)
    return rf"\b(?:{'|'.join(parts)})\b"


_SUBJECT = re.compile(_any(SUBJECTS.split()))
_ACT = re.compile(_any(ACTS.split()))
_INTENT = re.compile(rf"\b(?:{'|'.join(INTENTS)})\b")
_ASKED_ACT = re.compile(rf"\b(?:{'|'.join(REQUESTS)})\b(?:\W+\w+){{0,3}}?\W+{_any(ACTS.split())}")


def group_of(prompt: str) -> Label:
    """The group of the prompt by the rule above."""
    said = " ".join(prompt.translate(_PLAIN).lower().split())
    asked = _ASKED_ACT.search(said) is not None
    subject = asked or bool(_SUBJECT.search(said) or _ACT.search(said))
    if asked or _INTENT.search(said):
        return "mixed" if subject else "implicit"
    return "explicit" if subject else "neither"


@dataclass(frozen=True)
class Measured:
    """How far the rule agrees with labels: Cohen's kappa with its interval, and for each label the
    share of its prompts that the rule finds (None of none)."""

    agreement: Agreement
    found: dict[Label, float | None]


def measure(prompts: Sequence[str], labels: Sequence[str]) -> Measured:
    """The rule held against a label a prompt."""
    said = agreement(labels, [group_of(prompt) for prompt in prompts], LABELS, "groups")
    rates: dict[Label, float | None] = {}
    for place, label in enumerate(LABELS):
        row = said.confusion[place]
        rates[label] = row[place] / sum(row) if sum(row) else None
    return Measured(said, rates)
