"""What is done to a row before and after Ray's own vLLM stage. These run on the cluster's nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Chance(NamedTuple):
    """Of one token at one place: its log-probability in nats, and its rank, from 1."""

    logprob: float
    rank: int


class Answered(NamedTuple):
    """The new tokens; the log-probabilities at the first of them by token; those of the prompt's scored
    tokens."""

    tokens: tuple[int, ...]
    after: Mapping[int, Chance]
    inside: tuple[Chance, ...]


class Params(Mapping[str, Any]):
    """Arguments of vLLM's parameters that reach it as they are.

    Of dictionaries Ray makes a table, in which what one row lacks is None and integers beside that are
    floats: vLLM refuses both. What Arrow does not know it carries as an object.
    """

    def __init__(self, given: str) -> None:
        self._given: dict[str, Any] = json.loads(given)

    def __getitem__(self, name: str) -> Any:
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


@dataclass(frozen=True)
class Generating:
    """Ray's stage takes a row's `model` for a LoRA adapter on the stage's own."""

    adapter: str | None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {"sampling_params": Params(row["params"])}
        return told if self.adapter is None else told | {"model": self.adapter}


def to_classify(row: dict[str, Any]) -> dict[str, Any]:
    return {"pooling_params": Params(row["params"])}


def generated(row: dict[str, Any]) -> dict[str, Any]:
    """Only what `read_generated` reads."""
    after = row["logprobs"][0] if row.get("logprobs") else {}
    scored = int(row["scored"])
    inside = []
    if scored:
        tokens = [int(token) for token in row["prompt_token_ids"]][-scored:]
        for token, place in zip(tokens, list(row["prompt_logprobs"])[-scored:], strict=True):
            inside.append(_chance(_by_token(place)[token]))
    answer = {
        "tokens": [int(t) for t in row["generated_tokens"]],
        "after": [[token, *_chance(found)] for token, found in _by_token(after).items()],
        "inside": inside,
    }
    return {"number": int(row["number"]), "answer": json.dumps(answer)}


def classified(row: dict[str, Any]) -> dict[str, Any]:
    """Only what `read_classified` reads. float32 becomes float64 without a loss."""
    scores = [float(x) for x in row["embeddings"]]
    return {"number": int(row["number"]), "answer": json.dumps(scores)}


def read_generated(answer: str) -> Answered:
    told = json.loads(answer)
    return Answered(
        tuple(told["tokens"]),
        {token: Chance(logprob, rank) for token, logprob, rank in told["after"]},
        tuple(Chance(*place) for place in told["inside"]),
    )


def read_classified(answer: str) -> tuple[float, ...]:
    return tuple(json.loads(answer))


def _by_token(place: Mapping[Any, Any]) -> dict[int, Any]:
    """Where a dataset's columns are Arrow's, keys have become text, and absent tokens None."""
    return {int(token): found for token, found in place.items() if found is not None}


def _chance(found: Mapping[str, Any]) -> tuple[float, int]:
    """Raises ValueError where vLLM tells no rank: the token would pass for one that greedy decoding
    does not give."""
    if not found["rank"]:
        raise ValueError("vLLM tells no rank of a token that it was asked about")
    return float(found["logprob"]), int(found["rank"])
