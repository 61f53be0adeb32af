"""The engine protocol: who answers. Engines see token ids only; text stays outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bfpo_bench.errors import UserError

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class GenerationRequest:
    """Continue `prompt` by at most `max_new_tokens`; temperature 0 is greedy; `seed` is this request's own.

    `messages` stand in the place of a prompt, which is empty then, where a hosted model's own template
    and tokenizer are out of reach.
    """

    prompt: tuple[int, ...]
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    messages: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Told:
    """What a server that gives no token ids says in their place: the text, and how many tokens went in
    and came out, by its own count; None where it tells none."""

    text: str
    prompt_tokens: int | None
    response_tokens: int | None


@dataclass(frozen=True)
class Generation:
    """New tokens without the stop token, and whether one of those ended them.

    `told` is there, and `tokens` are not, where a server gives text alone.
    """

    tokens: tuple[int, ...]
    finish_reason: FinishReason
    told: Told | None = None


@dataclass(frozen=True)
class ScoringRequest:
    """Score `tokens[-continuation:]` given all tokens before each; at most context + 1 tokens."""

    tokens: tuple[int, ...]
    continuation: int


@dataclass(frozen=True)
class ChoiceRequest:
    """How probable is each of `options`, token ids that are all different, right after `prompt`?"""

    prompt: tuple[int, ...]
    options: tuple[int, ...]


@dataclass(frozen=True)
class Likelihood:
    """Sum of the continuation's log-probabilities in nats, and whether greedy decoding gives it."""

    logprob: float
    greedy: bool


@dataclass(frozen=True)
class Failure:
    """The engine fails on this one request, also when it is asked alone; `reason` is one line.

    `fault`: the world's and not the request's (a server that gives no answer, say), so that the same
    command asks again.
    """

    reason: str
    fault: bool = False


def check_finite(logprob: float) -> None:
    """Raises UserError for a log-probability that is no finite number: it would be a silent zero."""
    if not math.isfinite(logprob):
        raise UserError(
            "The model gave log-probabilities that are not finite numbers: its weights or its dtype "
            "are broken; try --engine-arg dtype=float32."
        )


@dataclass(frozen=True)
class Remote:
    """Where an engine finds those that do its work.

    `servers` are URLs of OpenAI-compatible servers up to `/v1`, and `served` is the model's name there;
    `ray_address` is a running Ray cluster's, None for one of this machine's own.
    """

    servers: tuple[str, ...] = ()
    served: str = ""
    ray_address: str | None = None


@dataclass(frozen=True)
class BiasFile:
    """What decoding subtracts from the logits of a response's first positions: an absolute path, and
    the hash of the tensor there. See `steering`."""

    path: str
    sha256: str


@dataclass(frozen=True)
class ModelFiles:
    """A model on this disk: what every engine is built from.

    `context` is the number of tokens a forward pass may hold; `stop_tokens` end a generation.
    For an engine that asks servers the folder has no weights, and none at all for a hosted model.
    `remote_code`: code of the model's own may run. `pickle`: its weights are PyTorch pickles, which
    the user allowed; otherwise nothing but safetensors may be read. `bias` is for generation alone:
    log-probabilities are the model's own.
    """

    folder: str
    context: int
    stop_tokens: tuple[int, ...]
    adapter: str | None = None
    seed: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    remote_code: bool = False
    pickle: bool = False
    remote: Remote = field(default_factory=Remote)
    bias: BiasFile | None = None


class Engine(Protocol):
    """One loaded model. Results come as (position in the sequence given, result), as they finish.

    A request that the engine fails on has a Failure as its result, and the others their own. What
    breaks every request raises.
    """

    name: str

    def describe(self) -> dict[str, Any]:
        """Device, dtype and library versions, for the manifest."""
        ...

    def generate(
        self, requests: Sequence[GenerationRequest]
    ) -> Iterator[tuple[int, Generation | Failure]]: ...

    def loglikelihoods(
        self, requests: Sequence[ScoringRequest]
    ) -> Iterator[tuple[int, Likelihood | Failure]]: ...

    def choices(
        self, requests: Sequence[ChoiceRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """The log-probability of each option, in nats and over the whole vocabulary."""
        ...

    def close(self) -> None: ...
