"""Which of two answers a judge prefers, read from the one token that it writes.

AlpacaEval 2's scale (Dubois et al. 2024, arXiv 2404.04475): a preference is a number from 1 to 2,
1.5 a draw.
"""

from __future__ import annotations

import math

from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.finding import Finding

DRAW = 1.5
_TINY = 1e-6
_FIRST, _SECOND = "m", "M"
"""What the prompt calls the answer shown first, and the one shown second."""
_LEAST = 0.5
"""The probability that the two names must hold between them: a judge that most likely writes
something else has not compared the answers."""


def label_of(preference: float) -> str:
    """`better`, `worse` or `draw`, for the answer that 2 stands for."""
    if abs(preference - DRAW) < _TINY:
        return "draw"
    return "better" if preference > DRAW else "worse"


def read_preference(reply: Reply) -> Finding:
    """1 where the answer shown first is certainly preferred, 2 where the second is.

    With p(m) and p(M) among the likeliest first tokens, 1 + p(M) / (p(m) + p(M)); a name that is not
    among them counts as 0. Where the server gives no log-probabilities, the text must be one of the
    names. Anything else is unjudged.
    """
    if reply.top_logprobs is None:
        word = reply.text.strip()
        if word not in (_FIRST, _SECOND):
            return Finding("unjudged", raw=reply.text, error="the judge named neither answer")
        score = 1.0 if word == _FIRST else 2.0
        return Finding(label_of(score), score, raw=reply.text)
    held = {_FIRST: 0.0, _SECOND: 0.0}
    for token, logprob in reply.top_logprobs.items():
        if token.strip() in held:
            held[token.strip()] += math.exp(logprob)
    first, second = held[_FIRST], held[_SECOND]
    raw = f"{reply.text!r}: p({_FIRST}) = {first:.4f}, p({_SECOND}) = {second:.4f}"
    if first + second < _LEAST:
        return Finding("unjudged", raw=raw, error="the judge most likely named neither answer")
    score = 1 + second / (first + second)
    return Finding(label_of(score), score, raw=raw)
