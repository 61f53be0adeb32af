"""Who ran what: the run id, and the comparability key that decides which rows may be ranked together."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

SCORING = ("weights", "dimensions", "placement")
"""Settings that decide about scores and not about responses: in the key, and not in the run id."""


class Settings(BaseModel):
    """What was asked, of whichever model: the run id and the key rest on it; on `SCORING` the key alone.

    `bias` is the hash of what decoding subtracts from the logits; without one it is left out, so that
    runs and keys of before there was any stay what they were.
    """

    model_config = ConfigDict(frozen=True)

    suite: str
    suite_version: int
    tasks: dict[str, str]
    limit: int | None
    seed: int
    temperature: float
    top_p: float
    max_new_tokens: int
    context: int
    chat_template: bool
    few_shot: dict[str, int]
    system_prompt: str | None
    samples: dict[str, Any]
    task_decoding: dict[str, Any] = Field(default_factory=dict)
    weights: dict[str, float] = Field(default_factory=dict)
    dimensions: dict[str, Any] = Field(default_factory=dict)
    placement: dict[str, Any] = Field(default_factory=dict)
    bias: str | None = None

    @model_serializer(mode="wrap")
    def _dumped(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        if told.get("bias") is None:
            told.pop("bias", None)
        return told


_ADDED = ("defence", "levels")


class ModelIdentity(BaseModel):
    """Which weights, tokenizer and template answered: hub commits or content hashes.

    `defence`: what was put around them (`Defence.identity`); `levels`: the line that asked them for
    levels of helpfulness and safety. Without one nothing is said of it, so that ids and files stay as
    they are.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    weights: str
    adapter: str | None
    tokenizer: str
    chat_template: str | None
    defence: str | None = None
    levels: str | None = None

    @model_serializer(mode="wrap")
    def _told(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = dump(self)
        return {k: v for k, v in found.items() if k not in _ADDED or v is not None}


def digest(value: Any) -> str:
    """sha256 of a JSON-like value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def run_id(model: ModelIdentity, settings: Settings) -> str:
    """`<model name>-<8 hex>`: the same command finds its own run again."""
    asked = settings.model_dump(exclude=set(SCORING))
    return f"{short_name(model.name) or 'model'}-{digest([model.model_dump(), asked])[:8]}"


def short_name(model: str) -> str:
    """What run ids of the model begin with, and of models whose names go on from its own."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model.split("/")[-1]).strip("-.")[:80]


def comparability(
    settings: Settings,
    data: dict[str, dict[str, Any]],
    judges: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The parts of the comparability key: everything but the model and how it was served.

    `data`: task -> {revision, fingerprint}; `judges`: judge -> {kind, model, revision, ...}, in the
    order named. Of judges of one kind the first decides, so each one's place is a part as well.
    """
    places: Counter[str] = Counter()
    placed = {}
    for name, judge in judges.items():
        places[judge["kind"]] += 1
        placed[name] = {**judge, "place": places[judge["kind"]]}
    return {"settings": settings.model_dump(), "data": data, "judges": placed}


def comparability_key(parts: dict[str, Any]) -> str:
    """12 hex digits over the parts; rows with different keys are never ranked together."""
    return digest(parts)[:12]
