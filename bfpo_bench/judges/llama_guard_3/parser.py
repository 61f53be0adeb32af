"""Reads what Llama Guards write: `safe`, or `unsafe` and a line of category codes."""

from __future__ import annotations

from bfpo_bench.judges.llama_guard.parser import parse as parse
