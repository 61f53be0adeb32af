"""The subject is first asked whether the request is harmful, and the request alone where it is not."""

from __future__ import annotations

from bfpo_bench.defences.defence import Defence
from bfpo_bench.defences.question import filled


class SelfCheckInput(Defence):
    """The request is put into the question between two fences."""

    name = "self-check-input"
    version = 1
    files = ("self-check-input.txt", "refusal.txt")
    checks = "input"

    def question(self, request: str, answer: str = "") -> str:
        return filled(self.wording["self-check-input.txt"], request=request)
