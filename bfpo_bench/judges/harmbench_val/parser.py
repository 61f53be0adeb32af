"""Reads the one token that HarmBench's classifiers write."""

from __future__ import annotations

from bfpo_bench.judges.harmbench.parser import parse as parse
