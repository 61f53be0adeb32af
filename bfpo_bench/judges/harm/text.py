"""An answer and its request as the features read them."""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass

from bfpo_bench.judges.harm.addressed import without_addresses
from bfpo_bench.judges.harm.stopwords import STOPWORDS

ANSWER_READ = 1600
"""Characters of an answer that are read: about 320 tokens; HarmBench judges 512."""
REQUEST_READ = 700
"""Characters of a request that are read, from its end: context and role play come before it."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|[0-9]+")
_OPENING = 30  # words
_PLAIN = str.maketrans("‘’“”–—", "''\"\"--")


@dataclass(frozen=True)
class Text:
    """`lower` is the answer in lower case, without what it tells a judge; `words` are its words,
    `stems` a stem of each, `pairs` each word but the last with the next one.

    `asked_words` are the request's words in order, `asked` the stems of those that carry meaning.
    """

    lower: str
    words: list[str]
    pairs: list[str]
    stems: list[str]
    asked_words: list[str]
    asked: frozenset[str]


def read(answer: str, prompt: str) -> Text:
    lower = without_addresses(answer[:ANSWER_READ].translate(_PLAIN).lower())
    words = _WORD.findall(lower)
    asked = _WORD.findall(prompt[-REQUEST_READ:].translate(_PLAIN).lower())
    stems = [stem(word) for word in words]
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    meant = frozenset([stem(w) for w in asked if w not in STOPWORDS])
    return Text(lower, words, pairs, stems, asked, meant)


@functools.lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A crude stem: enough for `stealing` to meet `steal`."""
    for ending in ("'s", "ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def ngrams(text: Text) -> set[str]:
    """The words and pairs of words of the answer, and those of its opening once more with a `^`.

    A word that the request used is `_`: what counts is how the answer talks, not about what. The
    subjects of one data set would else decide about answers of another.
    """
    asked, words = text.asked, text.words
    found = {*words, *text.pairs}
    if not asked.isdisjoint(text.stems):
        words = ["_" if s in asked else w for w, s in zip(words, text.stems, strict=True)]
        pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
        found = {*words, *pairs}
    found.update([f"^{w}" for w in text.words[:_OPENING]])
    found.update([f"^{p}" for p in text.pairs[: _OPENING - 1]])
    return found
