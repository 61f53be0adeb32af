"""The OpenAI-compatible server that a judge is asked at, as the user named it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.patience import Patience


@dataclass(frozen=True)
class Server:
    """`url` up to `/v1`; `price` in USD per million tokens in and out; `max_cost` in USD.

    `concurrency` is how many requests are under way at once. The key is no part of this: it is read
    from the environment by the process that asks.

    Raises UserError for a URL that is none or that holds more than an address, and for numbers that
    make no sense.
    """

    url: str
    price: tuple[float, float] | None
    max_cost: float | None
    concurrency: int = 16
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            raise UserError(
                "The judge's URL is none: give one like http://127.0.0.1:8000/v1."
            ) from None
        # `user:secret@host` without a scheme has no host either: all of it is path
        if "@" in (parts.netloc or self.url) or parts.query or parts.fragment:
            # Not repeated here: what stands there may be a secret
            raise UserError(
                "The judge's URL holds more than an address (a user, a query or a fragment): give "
                "the plain URL, and the key in the environment as BFPO_JUDGE_API_KEY."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"The judge's URL {self.url!r} is none: give one like http://127.0.0.1:8000/v1."
            )
        if self.price is not None and not all(0 <= usd < math.inf for usd in self.price):
            raise UserError(
                f"The price {self.price[0]:g},{self.price[1]:g} of the judge's tokens is none: give "
                "finite USD per million, not negative."
            )
        if self.max_cost is not None and not math.isfinite(self.max_cost):
            raise UserError(f"--max-cost {self.max_cost} limits nothing: give a finite amount.")
        if self.max_cost is not None and self.max_cost <= 0:
            raise UserError(
                f"--max-cost {self.max_cost} leaves nothing to spend: give more than 0."
            )
        if self.concurrency < 1:
            raise UserError("A judge's server is asked at least one request at a time.")

    @property
    def chat_url(self) -> str:
        return f"{self.url.rstrip('/')}/chat/completions"
