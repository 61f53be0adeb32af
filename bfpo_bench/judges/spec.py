"""judge.yaml: what a judge measures, how it runs, and which labels it gives."""

from __future__ import annotations

import hashlib
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bfpo_bench.names import Name

LABELS = {
    "refusal": ("refusal", "partial_refusal", "compliance"),
    "harm": ("harmful", "harmless"),
    "toxicity": ("harmful", "harmless"),
    "instructions": ("followed", "not_followed"),
    "truth": ("truthful", "untruthful"),
    "rating": ("rated",),
    "preference": ("better", "worse", "draw", "rated"),
}
"""What scoring understands of the kinds that it scores; any other word would count for nothing."""

ENGINES = ("none", "generate", "choice", "score", "api")

_SOURCES = ("prompt", "response", "baseline", "fence", "behaviour")

# Prose, and what stands in the judge's identity beside the rules
_NOT_RULES = {
    "title",
    "licence",
    "agreement",
    "price",
    "model",
    "revision",
    "document",  # as the parser's own signature says
    "packages",  # hashed with their versions
    "weights",  # hashed by content
    "behaviour",  # its text is in the prompt's hash
}


class JudgeSpec(BaseModel):
    """judge.yaml. `kind` is what a task's `judged_by` names: refusal, harm, rating, preference, ...

    `engine` says how it runs, and so what its parser is given:

    - `none`: the answer; with `document: true` the stored document as well, with `request: true`
      the user's prompt. `weights` names a file of the folder that the parser loads.
    - `generate`: the text that a generative classifier wrote (`max_new_tokens`, greedy).
    - `choice`: the probabilities of `options`, each one token, as the next one.
    - `score`: a number of a reward, cost or classifier model; `output` names one of several labels,
      `activation` is applied to the logits.
    - `api`: the reply of a model behind an OpenAI-compatible server; `pairwise` shows two answers, in
      one order or both; `logprobs` asks for that many first tokens; `price` in USD per million
      tokens in and out.

    `template`: `chat` puts the prompt through the model's chat template, `raw` does not,
    `conversation` gives the template the user's prompt and the answer as two turns.

    `fields` maps the prompt's placeholders to what fills them: prompt, response, baseline, fence (a
    line that occurs in none of the texts, to mark where hostile text begins and ends), behaviour
    (the text of the file that `behaviour` names, the same for every response), or document.FIELD.
    `prompt_from` names a file of the model's own repository that holds the prompt in a code block or
    triple-quoted string. `response_tokens` cuts the response. `packages`: distributions whose
    versions decide about the labels. `agreement`: how well it agrees with people, as measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: str
    version: int
    title: str
    engine: Literal["none", "generate", "choice", "score", "api"]
    labels: tuple[str, ...]
    parser: str
    licence: str
    agreement: str | None = None
    prompts: tuple[Literal["harmful", "benign"], ...] = ("harmful", "benign")
    model: str | None = None
    revision: str | None = None
    template: Literal["chat", "raw", "conversation"] = "chat"
    prompt: str | None = None
    prompt_from: str | None = None
    behaviour: str | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    document: bool = False
    request: bool = False
    weights: str | None = None
    packages: tuple[str, ...] = ()
    max_new_tokens: int = 1
    response_tokens: int | None = None
    options: tuple[str, ...] = ()
    output: str | None = None
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    temperature: float = 0.0
    logprobs: int | None = None
    pairwise: Literal["one", "both"] | None = None
    price: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.kind not in LABELS:
            raise ValueError(f"there is no kind {self.kind!r}, only {', '.join(LABELS)}")
        known = LABELS[self.kind]
        if foreign := [label for label in self.labels if label not in known]:
            raise ValueError(
                f"a judge of kind {self.kind} has no label {foreign[0]}, only {', '.join(known)}"
            )
        for name, source in self.fields.items():
            if source not in _SOURCES and not source.startswith("document."):
                raise ValueError(
                    f"fields.{name} is {source}, and takes {', '.join(_SOURCES)} or document.FIELD"
                )
        worded = self.prompt is not None or self.prompt_from is not None
        if self.engine in ("generate", "choice", "api") and not (
            worded or self.template == "conversation"
        ):
            raise ValueError("a judge with a model needs prompt or prompt_from")
        if self.engine != "none" and (self.document or self.request):
            raise ValueError(
                "only a judge without a model (engine: none) reads document or request"
            )
        if (self.engine == "choice") != bool(self.options):
            raise ValueError("options are what a judge of engine choice, and no other, needs")
        if (self.behaviour is not None) != ("behaviour" in self.fields.values()):
            raise ValueError("behaviour names a file, and one of fields says where its text goes")
        return self

    @property
    def local(self) -> bool:
        """Whether its model is loaded here."""
        return self.engine in ("generate", "choice", "score")

    @property
    def document_fields(self) -> set[str]:
        """Fields of the document that its prompt has a place for: a task has to keep them."""
        return {
            s.removeprefix("document.") for s in self.fields.values() if s.startswith("document.")
        }

    def rules(self) -> str:
        """What of the file decides about labels, as JSON."""
        return self.model_dump_json(exclude=_NOT_RULES, exclude_defaults=True)


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
