"""Which requests vLLM gets for log-likelihoods, and what their answers add up to. No vLLM in here.

vLLM keeps the keys and values of prompts by the block, and a request reads those of an earlier one
with the same beginning, also within one batch. So a context is computed once when the requests on
it follow each other. Requests for prompt log-probabilities do not read them unless told to
(`SamplingParams.skip_reading_prefix_cache`, vLLM 0.32), and then have numbers for what they
computed themselves alone: enough when no more than the context was kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from bfpo_bench.engines.base import Failure, Likelihood, ScoringRequest, check_finite

MOST_OPTIONS = 128
"""vLLM 0.32 gives the log-probabilities of so many tokens after a prompt (MAX_LOGPROB_TOKEN_IDS)."""

LONG = 4
"""Tokens of a continuation whose inner ones are scored as a prompt. vLLM does so for one request
after another; up to three tokens, a step for each was 5-25 % faster (BBQ, 2 CPU cores)."""

Path = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One request to vLLM: how likely is each of `options` after `prompt`, and its last `scored` tokens?

    `uses` are (position of a scoring request, its option here): to whom the answer belongs.
    """

    prompt: Path
    scored: int
    options: tuple[int, ...]
    uses: tuple[tuple[int, int], ...]

    @property
    def readable(self) -> int:
        """How many of the prompt's tokens may come from the cache: all before the first that predicts."""
        return len(self.prompt) - self.scored - 1 if self.scored else len(self.prompt)


@dataclass(frozen=True)
class StepAnswer:
    """Log-probabilities in nats. `logprobs` are the options', and `best` the most likely token then;
    `inside` is the sum over the prompt's scored tokens, and `greedy` whether each was the most likely.
    """

    logprobs: dict[int, float]
    best: int
    inside: float = 0.0
    greedy: bool = True


def steps(requests: Sequence[ScoringRequest], *, score_prompts: bool = True) -> Iterator[Step]:
    """The requests' steps, those on one context after each other, made as they are asked for.

    Each token of a short continuation is an option of a step, which it shares with others that begin
    alike. Of a long one the first and the last token are, and those between are scored as the last
    step's prompt. Without `score_prompts` all continuations are treated as short.
    """
    order = sorted(range(len(requests)), key=lambda i: requests[i].tokens)
    for context, group in groupby(order, key=lambda i: _split(requests[i])[0]):
        yield from _on_context(context, {i: _split(requests[i])[1] for i in group}, score_prompts)


def _split(request: ScoringRequest) -> tuple[Path, Path]:
    start = len(request.tokens) - request.continuation
    return request.tokens[:start], request.tokens[start:]


def _on_context(
    context: Path, continuations: dict[int, Path], score_prompts: bool
) -> Iterator[Step]:
    """(tokens after the context, how many of them are scored) -> who wants which option there."""
    wanted: dict[tuple[Path, int], list[tuple[int, int]]] = {}
    # One continuation shares its first token with none
    alone = score_prompts and len(set(continuations.values())) == 1
    for position, tokens in continuations.items():
        if alone:
            places = [(len(tokens) - 1, len(tokens) - 1)]
        elif score_prompts and len(tokens) >= LONG:
            places = [(0, 0), (len(tokens) - 1, len(tokens) - 2)]
        else:
            places = [(depth, 0) for depth in range(len(tokens))]
        for depth, scored in places:
            wanted.setdefault((tokens[:depth], scored), []).append((position, tokens[depth]))
    for (path, scored), uses in wanted.items():
        options = tuple(dict.fromkeys(option for _, option in uses))
        for start in range(0, len(options), MOST_OPTIONS):
            some = options[start : start + MOST_OPTIONS]
            yield Step(context + path, scored, some, tuple(u for u in uses if u[1] in some))


class Tally:
    """The sums so far of the requests some of whose steps are answered."""

    def __init__(self, requests: Sequence[ScoringRequest]) -> None:
        self._requests = requests
        self._sums: dict[int, tuple[int, float, bool]] = {}
        self._failed: set[int] = set()

    def add(self, step: Step, answer: StepAnswer) -> Iterator[tuple[int, Likelihood]]:
        """The requests that this answer completes.

        Raises UserError for a sum that is no finite number.
        """
        for position, option in step.uses:
            tokens, total, greedy = self._sums.pop(position, (0, 0.0, True))
            tokens += step.scored + 1
            total += answer.inside + answer.logprobs[option]
            greedy = greedy and answer.greedy and option == answer.best
            if tokens == self._requests[position].continuation:
                check_finite(total)
                yield position, Likelihood(total, greedy)
            elif position not in self._failed:
                self._sums[position] = tokens, total, greedy

    def fail(self, step: Step, failure: Failure) -> Iterator[tuple[int, Failure]]:
        """The requests that can have no answer without this one, each of them told once."""
        for position, _ in step.uses:
            if position not in self._failed:
                self._failed.add(position)
                self._sums.pop(position, None)
                yield position, failure
