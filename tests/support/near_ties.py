"""Where two greedy answers of one model part, and whether two tokens were as likely there."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bfpo_bench.engines.subject import load_tokenizer, resolve_subject
from bfpo_bench.engines.tokens import render
from bfpo_bench.runs.records import Response

NEAR = 1e-3
"""Nats between the two likeliest tokens, below which another order of sums may choose the other."""


def gaps(
    model: str, ones: Mapping[Any, Response], others: Mapping[Any, Response]
) -> dict[Any, float]:
    """The key of each answer that differs -> the least gap, in nats, between the model's two likeliest
    next tokens on its greedy way to where the two texts part."""
    different = [key for key in ones if ones[key].response != others[key].response]
    if not different:
        return {}
    folder = resolve_subject(model).base.materialise()
    tokenizer, loaded = load_tokenizer(folder), AutoModelForCausalLM.from_pretrained(folder)
    found, chat = {}, bool(tokenizer.chat_template)
    for key in different:
        pairs = zip(ones[key].response, others[key].response, strict=False)
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        ids = list(render(tokenizer, ones[key].messages, chat).tokens)
        found[key] = _least_gap(loaded, tokenizer, ids, common)
    return found


def _least_gap(model: Any, tokenizer: Any, ids: list[int], characters: int) -> float:
    start, least = len(ids), float("inf")
    while len(tokenizer.decode(ids[start:], skip_special_tokens=True)) <= characters:
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(dim=-1)
        best, second = scores.topk(2)[0].tolist()
        least = min(least, best - second)
        ids = [*ids, int(scores.argmax())]
        if ids[-1] == tokenizer.eos_token_id or len(ids) - start > 512:
            break
    return least
