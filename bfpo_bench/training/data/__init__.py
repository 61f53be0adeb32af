"""Training data: preference pairs and conversations from data sets of the hub and from JSON lines."""

from __future__ import annotations

from bfpo_bench.training.data.load import (
    check_conversations,
    check_levelled,
    check_pairs,
    load_conversations,
    load_levelled,
    load_pairs,
)
from bfpo_bench.training.data.spec import DataSpec

__all__ = [
    "DataSpec",
    "check_conversations",
    "check_levelled",
    "check_pairs",
    "load_conversations",
    "load_levelled",
    "load_pairs",
]
