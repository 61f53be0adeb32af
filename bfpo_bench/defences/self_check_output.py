"""The subject answers, and is then asked whether its answer is harmful."""

from __future__ import annotations

from bfpo_bench.defences.defence import Defence
from bfpo_bench.defences.question import filled


class SelfCheckOutput(Defence):
    """Request and answer are put into the question, each between two fences."""

    name = "self-check-output"
    version = 1
    files = ("self-check-output.txt", "refusal.txt")
    checks = "output"

    def question(self, request: str, answer: str) -> str:
        return filled(self.wording["self-check-output.txt"], request=request, answer=answer)
