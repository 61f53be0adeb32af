"""Judges that are read off token probabilities: how probable is each option as the next token?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from bfpo_bench.engines.base import ChoiceRequest, Failure
from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running.local import failed, loaded, prepare, read
from bfpo_bench.judges.running.wording import Wording, write
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Report

_SAMPLE = Item(prompt="Name a fruit.", answer="An apple.")


def findings(
    work: Work, items: Sequence[Item], description: dict[str, Any], report: Report
) -> Iterator[tuple[int, Finding]]:
    """(position, finding) of every item, as `generative.findings` gives them.

    The parser is given each option's share of the probability of all options. A finding's `raw`
    holds, as JSON, each option's probability among all tokens: where they are tiny, the model had
    something else to say. Raises UserError also where an option is not one token.
    """
    asked = prepare(work, items)
    options = work.judge.spec.options
    tokens = option_tokens(work, asked.tokenizer)
    parse = work.judge.parse()
    yield from asked.unjudged
    if not asked.prompts:
        return
    requests = [ChoiceRequest(prompt, tokens) for _, prompt in asked.prompts]
    with loaded(work, asked.files, description, report) as engine:
        for number, logprobs in engine.choices(requests):
            if isinstance(logprobs, Failure):
                yield asked.prompts[number][0], failed(logprobs)
                continue
            raw = json.dumps(
                {o: float(f"{math.exp(p):.3g}") for o, p in zip(options, logprobs, strict=True)}
            )
            found = parse(dict(zip(options, softmax(logprobs), strict=True)))
            yield asked.prompts[number][0], read(work.judge, found, raw)


def softmax(logprobs: Sequence[float]) -> list[float]:
    """Log-probabilities as shares that sum to one."""
    most = max(logprobs)
    weights = [math.exp(p - most) for p in logprobs]
    return [w / sum(weights) for w in weights]


def option_tokens(work: Work, tokenizer: Any) -> tuple[int, ...]:
    """The token that each of the judge's options is, right after its prompt.

    Raises UserError where one is none or several, or two are the same.
    """
    document = {source.removeprefix("document."): "" for source in work.judge.spec.fields.values()}
    sample = Item(_SAMPLE.prompt, _SAMPLE.answer, document)
    wording = write(work, tokenizer, sample)
    found = [_option_token(tokenizer, wording, option) for option in work.judge.spec.options]
    for option, token in zip(work.judge.spec.options, found, strict=True):
        if token is None or found.count(token) > 1:
            name = work.judge.spec.name
            raise UserError(
                f"The tokenizer of judge {name}'s model has no token of its own for the option "
                f"{option!r} after the prompt: name a model that has with --judge {name}=MODEL."
            )
    return tuple(t for t in found if t is not None)


def _option_token(tokenizer: Any, wording: Wording, option: str) -> int | None:
    """The token that the tokenizer itself continues the prompt with when the option follows.

    A prompt that ends in a space may share a token with the option ("Answer: 1" as "Answer:", " 1").
    The space stands in the prompt already, so it is the option without one that comes next.
    """
    before = wording.tokens(tokenizer)
    whole = Wording(wording.text + option, wording.special).tokens(tokenizer)
    token: int | None
    if len(whole) == len(before) + 1 and whole[:-1] == before:
        token = whole[-1]
    else:
        token = tokenizer.get_vocab().get(option)
    return None if token == tokenizer.unk_token_id else token
