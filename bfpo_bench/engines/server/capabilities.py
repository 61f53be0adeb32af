"""What one endpoint can do. No network in here: `look` finds it out, the engine goes by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Capabilities:
    """One OpenAI-compatible endpoint, as it was found.

    `url` up to `/v1`; `name` is the model asked for there and `models` are those it lists. `software`
    is what it says it runs, like "vllm 0.32.0", and `context` its `max_model_len`, in tokens; None where
    it does not say.
    """

    url: str
    name: str
    models: tuple[str, ...] = ()
    software: str | None = None
    context: int | None = None
    completions: bool = False
    """It continues a raw prompt (POST /completions)."""
    token_prompts: bool = False
    """The prompt may be token ids, which it feeds as they are."""
    token_ids: bool = False
    """It gives the new tokens' ids back (`return_token_ids`)."""
    stop_token_ids: bool = False
    """It ends a response at the token ids that it is told to; where it gives none back, it reads them."""
    chat: bool = False
    """It answers messages by its own template (POST /chat/completions)."""
    echo_logprobs: bool = False
    """`echo` with `logprobs` gives log-probabilities of the prompt's own tokens."""
    prompt_logprobs: bool = False
    """vLLM's `prompt_logprobs` does, with ranks."""
    logprob_token_ids: bool = False
    """vLLM's `logprob_token_ids` gives the log-probabilities of the tokens it names."""
    seeds: bool = False
    """The same `seed` gives the same sampled response: for who reads it, since all are sent one."""
    sampling_switches: bool = False
    """It takes `top_k`, `min_p` and `repetition_penalty`, which its defaults may hold values of."""
    round_trip: float | None = None
    """Seconds that its fastest answer took."""
    unsaid: tuple[str, ...] = ()
    """Abilities above of which it did not say in time whether it has them: they are false."""

    @property
    def likelihoods(self) -> bool:
        """Whether discriminative tasks can run here."""
        return self.token_prompts and (self.prompt_logprobs or self.echo_logprobs)


def common(found: Sequence[Capabilities]) -> Capabilities:
    """What every one of these endpoints can do, under the first one's URL and name."""
    first = found[0]
    able: dict[str, Any] = {
        f.name: all(getattr(one, f.name) for one in found)
        for f in fields(first)
        if f.type == "bool"
    }
    contexts = [one.context for one in found if one.context is not None]
    software = {one.software for one in found}
    return Capabilities(
        url=first.url,
        name=first.name,
        models=tuple(m for m in first.models if all(m in one.models for one in found)),
        software=", ".join(sorted(s or "unknown" for s in software)) if any(software) else None,
        context=min(contexts, default=None),
        **able,
    )
