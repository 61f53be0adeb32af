"""training_manifest.json: what a trained model says of its own training.

Whoever trains or merges a model writes it beside config.json or adapter_config.json; a run that
measures the model keeps it whole and puts its short words into the row. It may be a stranger's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from bfpo_bench.errors import UserError

_FORMAT = 1
_LARGEST = 1 << 20
_LONGEST = 200

Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    # Keys of later versions are kept; an infinite number would be written as null
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


class Base(_Part):
    """The model that the training began with, named as `run` names it; `weights` is their hash."""

    name: str
    commit: str | None = None
    weights: str | None = None


class MarginModel(Base):
    """The model that pairs' margins came from; `adapter` is the hash of a LoRA adapter on its weights."""

    adapter: str | None = None


class Parameters(_Part):
    """How many the model has, and how many of them were trained."""

    trained: Count
    all: Count


class MergedModel(_Part):
    """One summand of a merge."""

    name: str
    weights_identity: str | None = None
    weight: float


class Merge(_Part):
    """The models whose weighted sum this one is; or, where it names a `method`, what that put together
    with these `arguments`, and a weight is what the method makes of it."""

    models: Annotated[tuple[MergedModel, ...], Field(min_length=1)]
    method: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)


class TrainedLevels(_Part):
    """What a model was taught under levels of helpfulness and safety: `count` of each, and how many
    responses at each pair of them, by `H,S`."""

    count: Annotated[int, Field(ge=2)]
    cells: dict[str, Count]


class TrainingManifest(_Part):
    """The file's contents. What does not apply to a stage is None or empty.

    `data` and `buffer` hold a report for each source of preference pairs (or of texts), as
    `DataReport.dump` gives them; `policy` says how the pairs were ordered, how many were flipped and
    dropped by it, `experts` over which adapters a router was trained, `margin` the model whose h the
    pairs' margins are, if one gave them, `mixture` what was drawn of each group of data, `levels` which
    levels responses were learnt under, `changed` how many were cut. `data_sha256` is of all that was
    trained on. `tokens` counts those that the model was trained on, `seconds` the training's wall time,
    `finished` is an ISO time.
    """

    FILE: ClassVar[str] = "training_manifest.json"

    format: Literal[1]
    stage: Literal["sft", "preference", "merge"]
    recipe: dict[str, Any] | None = None
    objective: str | None = None
    objective_args: dict[str, Any] = Field(default_factory=dict)
    base: Base | None = None
    data: tuple[dict[str, Any], ...] = ()
    buffer: tuple[dict[str, Any], ...] = ()
    policy: dict[str, Any] | None = None
    experts: dict[str, Base] | None = None
    margin: MarginModel | None = None
    mixture: tuple[dict[str, Any], ...] = ()
    levels: TrainedLevels | None = None
    changed: dict[str, Count] = Field(default_factory=dict)
    data_sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    parameters: Parameters | None = None
    steps: Count | None = None
    tokens: Count | None = None
    seconds: Annotated[float | None, Field(ge=0)] = None
    versions: dict[str, str] = Field(default_factory=dict)
    bfpo_bench_commit: str | None = None
    command: tuple[str, ...] = ()
    finished: str | None = None
    merge: Merge | None = None

    @model_validator(mode="after")
    def _only_a_merge_has_models(self) -> Self:
        if (self.stage == "merge") != (self.merge is not None):
            raise ValueError("stage merge and the key merge go together")
        return self

    @property
    def base_name(self) -> str:
        """One printable line; empty where no base is named, and for merges, which have several."""
        return "" if self.base is None or self.merge is not None else _line(self.base.name)

    def describe(self) -> str:
        """One printable line: `bfpo tau=0.01 on 1a2b3c4d`, `merge of A (0.5), B (0.5)`.

        The objective (or the stage, where there is none), its arguments by name, numbers to six
        digits, how many levels were taught, and the first eight digits of `data_sha256`.
        """
        if self.merge is not None:
            models = ", ".join(f"{m.name} ({m.weight:g})" for m in self.merge.models)
            return _line(f"{self.merge.method or 'merge'} of {models}")
        arguments = (f"{name}={_short(v)}" for name, v in sorted(self.objective_args.items()))
        data = (f"on {self.data_sha256[:8]}",) if self.data_sha256 else ()
        levels = (f"levels={self.levels.count}",) if self.levels else ()
        return _line(" ".join((self.objective or self.stage, *arguments, *levels, *data)))


def read_training_manifest(path: Path, model: str) -> TrainingManifest:
    """The training manifest of `model`, which lies at `path`.

    Raises UserError, naming `model`, for a file that cannot be read, is larger than 1 MiB, is of a
    later format, or is none.
    """
    named = f"{model}'s {TrainingManifest.FILE}"
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{named} is larger than 1 MiB: restore or remove it.")
        # One level deeper than it stands, which is how deep a run's manifest will hold it
        [found] = from_json(b"[" + path.read_bytes() + b"]", allow_inf_nan=False)
    except OSError as error:
        raise UserError(f"{named} cannot be read ({error.strerror}): restore it.") from error
    except ValueError as error:
        raise UserError(f"{named} is not valid JSON: restore or remove it.") from error
    later = found.get("format") if isinstance(found, dict) else None
    if isinstance(later, int) and later > _FORMAT:
        raise UserError(f"{named} is of a later format than {_FORMAT}: update bfpo-bench.")
    try:
        return TrainingManifest.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        reason = _line(": ".join(map(str, (*first["loc"], first["msg"]))))
        raise UserError(
            f"{named} is no training manifest ({reason}): restore or remove it."
        ) from error


def _short(value: Any) -> str:
    """A number to six digits, a text as it is, anything else as JSON."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _line(text: str) -> str:
    """The text's printable characters on one line, cut where it is too long for a row."""
    flat = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
