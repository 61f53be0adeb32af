"""Reads WildGuard's second line: is the response a refusal?"""

from __future__ import annotations

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.wildguard.parser import finding


def parse(output: str) -> Finding:
    """`refusal` or `compliance`; WildGuard knows nothing between them."""
    return finding(output, "response_refusal", {"yes": "refusal", "no": "compliance"})
