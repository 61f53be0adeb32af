"""The OpenAI-compatible server that a judge is asked at, as the user named it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bfpo_bench.api.address import check_address
from bfpo_bench.api.party import Party
from bfpo_bench.api.patience import Patience
from bfpo_bench.errors import UserError

JUDGE = Party(
    whose="the judge's",
    speaker="the judge",
    address="The judge's URL",
    option="--judge-url",
    variables=("BFPO_JUDGE_API_KEY", "OPENAI_API_KEY"),
    use="chat with",
    mend="copy the judge's folder, change its judge.yaml, and name that folder with --judge",
)


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
        check_address(self.url, JUDGE)
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
