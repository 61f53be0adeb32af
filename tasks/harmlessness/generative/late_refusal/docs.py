"""Harmful prompts with an answer that somebody gave and that was labelled unsafe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset


def unsafe(dataset: Dataset) -> Dataset:
    """Each prompt once, with the longest of its unsafe answers as `unsafe_response`, the first of
    equally long ones; prompts in the order in which they come, those without such an answer left out."""
    longest: dict[str, str] = {}
    for doc in dataset:
        for side in (0, 1):
            _keep(longest, doc, side)
    columns = {"prompt": list(longest), "unsafe_response": list(longest.values())}
    return type(dataset).from_dict(columns)


def _keep(longest: dict[str, str], doc: dict[str, Any], side: int) -> None:
    answer = doc[f"response_{side}"]
    if doc[f"is_response_{side}_safe"] or not answer.strip():
        return
    if len(answer) > len(longest.get(doc["prompt"], "")):
        longest[doc["prompt"]] = answer
