"""What manifests written by hand have in common."""

from __future__ import annotations

from typing import Any

from bfpo_bench.runs.identity import ModelIdentity, Settings

MODEL = ModelIdentity(name="m", weights="w", adapter=None, tokenizer="t", chat_template=None)


def settings(**more: Any) -> Settings:
    """A run of the whole of one task, greedy and without examples; `more` in the place of that."""
    fields: dict[str, Any] = {
        "suite": "bfpo",
        "suite_version": 2,
        "tasks": {"bfpo_advbench": "1 00000000"},
        "limit": None,
        "seed": 0,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_new_tokens": 512,
        "context": 8192,
        "chat_template": True,
        "few_shot": {},
        "system_prompt": None,
        "samples": {},
    }
    return Settings(**fields | more)
