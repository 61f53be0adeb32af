"""Tokens and money: an estimate before anything is asked, a true count while it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bfpo_bench.judges.api.reply import Reply

_BYTES_PER_TOKEN = 4
ASSUMED = f"{_BYTES_PER_TOKEN} bytes of UTF-8 a token, answers as long as max_new_tokens allows"

Price = tuple[float, float]


def estimate_tokens(text: str) -> int:
    """Four bytes a token: close for English, and not too few for scripts with more bytes a letter."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


@dataclass(frozen=True)
class Tokens:
    """Tokens of prompts and of completions."""

    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt + other.prompt, self.completion + other.completion)

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(self.prompt - other.prompt, self.completion - other.completion)

    def cost(self, price: Price) -> float:
        """USD; `price` is USD per million tokens in and out."""
        return (self.prompt * price[0] + self.completion * price[1]) / 1e6


def at_most(text: str, max_new_tokens: int) -> Tokens:
    """What asking about `text` takes, by the estimate."""
    return Tokens(estimate_tokens(text), max_new_tokens)


@dataclass(frozen=True)
class Estimate:
    """What so many requests would take. `cost` in USD, None where no price is known."""

    requests: int
    tokens: Tokens
    cost: float | None

    @classmethod
    def of(cls, asked: Iterable[Tokens], price: Price | None) -> Estimate:
        requests, total = 0, Tokens()
        for tokens in asked:
            requests, total = requests + 1, total + tokens
        return cls(requests, total, None if price is None else total.cost(price))

    def sentence(self) -> str:
        """For a line of progress."""
        cost = "" if self.cost is None else f", at most ${self.cost:.2f}"
        return (
            f"{self.requests:,} requests, about {self.tokens.prompt:,} tokens in and at most "
            f"{self.tokens.completion:,} out{cost}"
        )

    def describe(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "prompt_tokens": self.tokens.prompt,
            "completion_tokens": self.tokens.completion,
            "cost": self.cost,
            "assumed": ASSUMED,
        }


class Ledger:
    """What was spent, and what the requests under way may still cost: both stay under `max_cost`."""

    def __init__(self, price: Price | None, max_cost: float | None) -> None:
        self._price, self._max_cost = price, max_cost
        self._reserved = Tokens()
        self.spent = Tokens()
        self.estimated = 0
        """Replies whose server did not count their tokens, and attempts that were sent in vain."""

    def allows(self, tokens: Tokens) -> bool:
        """Whether a request of so many tokens may be sent now."""
        if self._max_cost is None or self._price is None:
            return True
        return (self.spent + self._reserved + tokens).cost(self._price) <= self._max_cost

    def reserve(self, tokens: Tokens) -> None:
        self._reserved += tokens

    def settle(self, reserved: Tokens, reply: Reply | None) -> None:
        """The request is over; what its attempts in vain took was booked when they ended."""
        self._reserved -= reserved
        if reply is not None:
            self.book(Tokens(reply.prompt_tokens, reply.completion_tokens), reply.counted)

    def book(self, tokens: Tokens, counted: bool) -> None:
        """So much was spent; `counted` by the server, or else estimated."""
        self.spent += tokens
        self.estimated += not counted

    @property
    def cost(self) -> float | None:
        """USD spent; None where no price is known."""
        return None if self._price is None else self.spent.cost(self._price)
