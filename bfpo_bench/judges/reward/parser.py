"""Reads a reward that is compared with no other."""

from __future__ import annotations


def parse(value: float) -> str:
    """'rated': a reward has no zero that means anything, and says something beside another only."""
    return "rated"
