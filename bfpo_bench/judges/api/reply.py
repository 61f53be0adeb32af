"""What a model behind a server replied, as a judge's parser reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """`top_logprobs` maps the likeliest first tokens to their natural log-probabilities; None where
    the server gave none. `refusal` is what a server says in place of an answer. `counted` is false
    where the server did not count the tokens: then they are estimated.
    """

    text: str
    finish_reason: str | None
    top_logprobs: Mapping[str, float] | None
    prompt_tokens: int
    completion_tokens: int
    refusal: str | None = None
    counted: bool = True

    @property
    def unsaid(self) -> str | None:
        """Why nothing was said that a parser could read; None where something was."""
        if self.refusal is not None or self.finish_reason == "content_filter":
            return "the judge refused"
        if self.text.strip():
            return None
        if self.finish_reason == "length":
            return "the judge's answer was cut off before it said anything"
        return "the judge said nothing"
