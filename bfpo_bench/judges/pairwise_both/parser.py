"""Reads which of two answers is better, for the order in which they were shown."""

from __future__ import annotations

from bfpo_bench.judges.api.preference import read_preference as parse

__all__ = ["parse"]
