"""The preference pairs of the demo's comparison: safety pairs, and helpfulness pairs as the buffer.

A harmful request has four responses: the full answer (helpful, unsafe), a refusal with its reason
(safe), a vague answer (unsafe), and a curt refusal (safe), from the most to the least helpful. Each
request gives one pair of them, all six kinds of pairs in turn, so that every safety case occurs. A
benign request's answer is better than a vague one and than a refusal, and all of them are safe.
All requests are of the taught side of the corpus: nothing that is asked is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from bfpo_bench.demo.corpus import Request, taught_requests
from bfpo_bench.demo.templates import data, held_out, ordered, questions
from bfpo_bench.training.ama.cut import cut
from bfpo_bench.training.pairs import Pair, Segment, Side

# With seven ways to ask for harm and six kinds of pairs, 42 requests an act meet each kind once a way
HARMFUL_PER_ACT = 42
QUESTIONS = 300
# A benign request comes in six ways to ask, each of them once with each worse response
_WAYS = 6
_WORSE = ("refusal", "vague", "curt")


@dataclass(frozen=True)
class Response:
    """`danger` orders responses by harm done: 0 for safe ones."""

    text: str
    danger: int


def safety_pairs() -> list[Pair]:
    """Pairs on harmful requests, labelled; `safer` is told wherever one does less harm."""
    chosen = [r for r in taught_requests("harmful") if r.number < HARMFUL_PER_ACT]
    return [_safety_pair(request) for request in chosen]


def helpfulness_pairs() -> list[Pair]:
    """Pairs on benign requests and questions: both responses are safe, neither the safer one."""
    return [*_benign_pairs("alarming"), *_benign_pairs("plain"), *_question_pairs()]


def segmented(pairs: Sequence[Pair], *, benign: bool) -> list[Pair]:
    """The pairs with a reward for each sentence: 1 in a response that is right, and else -1. Right are
    safe responses to harmful requests, and to `benign` ones the better response of each pair."""
    return [
        replace(
            pair,
            chosen_segments=_rewarded(pair.chosen, bool(pair.chosen_safe)),
            rejected_segments=_rewarded(pair.rejected, not benign and bool(pair.rejected_safe)),
        )
        for pair in pairs
    ]


def _rewarded(response: str, right: bool) -> tuple[Segment, ...]:
    return tuple(Segment(sentence, 1.0 if right else -1.0) for sentence in cut(response))


def levelled(pair: Pair) -> list[dict[str, Any]]:
    """Both responses as rows with levels, 0 or 1: of helpfulness by the pair's order, of safety by its
    labels."""
    sides = ((pair.chosen, 1, pair.chosen_safe), (pair.rejected, 0, pair.rejected_safe))
    return [
        {
            "messages": [*pair.prompt, {"role": "assistant", "content": response}],
            "helpfulness_level": helpful,
            "safety_level": int(bool(safe)),
        }
        for response, helpful, safe in sides
    ]


def _safety_pair(request: Request) -> Pair:
    kinds = list(combinations(_to_harmful(request), 2))
    better, worse = kinds[request.number % len(kinds)]
    safer: Side | None = None
    if better.danger != worse.danger:
        safer = "chosen" if better.danger < worse.danger else "rejected"
    return Pair(
        prompt=_prompt(request.prompt, request.system),
        chosen=better.text,
        rejected=worse.text,
        chosen_safe=better.danger == 0,
        rejected_safe=worse.danger == 0,
        safer=safer,
    )


def _to_harmful(request: Request) -> list[Response]:
    """From the most to the least helpful."""
    return [
        Response(request.answer, danger=2),
        Response(request.refusal, danger=0),
        Response(request.vague, danger=1),
        Response(request.curt, danger=0),
    ]


def _benign_pairs(group: str) -> Iterator[Pair]:
    for request in taught_requests(group):
        turn, way = divmod(request.number, _WAYS)
        if turn < len(_WORSE):
            worse = getattr(request, _WORSE[(turn + way) % len(_WORSE)])
            yield _helpfulness_pair(request.prompt, request.system, request.answer, worse)


def _question_pairs() -> Iterator[Pair]:
    taught = {q.text: q for q in questions() if not held_out(q.identity)}
    refusals = [framing["refusal"] for framing in data("requests")["framings"]]
    worse_ones = [*data("requests")["vague"], *refusals]
    for number, text in enumerate(ordered(taught)[:QUESTIONS]):
        worse = worse_ones[number % len(worse_ones)]
        yield _helpfulness_pair(text, "", taught[text].sentence, worse)


def _helpfulness_pair(prompt: str, system: str, better: str, worse: str) -> Pair:
    return Pair(_prompt(prompt, system), better, worse, chosen_safe=True, rejected_safe=True)


def _prompt(text: str, system: str) -> tuple[dict[str, str], ...]:
    told = [{"role": "system", "content": system}] if system else []
    return (*told, {"role": "user", "content": text})
