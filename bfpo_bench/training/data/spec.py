"""What a recipe says of one source of training data."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bfpo_bench.training.numbers import yaml_number

SourceName = Literal[
    "pku-saferlhf", "ultrafeedback", "ultrachat", "hh-rlhf", "beavertails", "jsonl"
]
Target = Literal["chosen", "safer"]
SafetyGroup = Literal["explicit", "implicit", "mixed"]
Group = Literal["general", SafetyGroup]
SAFETY_GROUPS: tuple[SafetyGroup, ...] = get_args(SafetyGroup)

# hub id and split of each source on the hub
_DEFAULTS = {
    "pku-saferlhf": ("PKU-Alignment/PKU-SafeRLHF", "train"),
    "ultrafeedback": ("HuggingFaceH4/ultrafeedback_binarized", "train_prefs"),
    "ultrachat": ("HuggingFaceH4/ultrachat_200k", "train_sft"),
    "hh-rlhf": ("Anthropic/hh-rlhf", "train"),
    "beavertails": ("PKU-Alignment/BeaverTails", "30k_train"),
}
_HUB_KEYS = ("hub_id", "config", "revision", "split")
_WITHOUT_PAIRS = ("ultrachat", "beavertails")
WITHOUT_LABELS = ("ultrafeedback", "hh-rlhf")


class DataSpec(BaseModel):
    """One source, and how much of it is used as what.

    `hub_id` and `split` default to the source's own; `revision` None is main. `path` is the file of
    source jsonl. The first floor(fraction * rows) rows are taken, before any shuffle, as the paper
    takes the first 20 % of PKU-SafeRLHF, and of these the first `limit`. `assume_safe` sets both
    labels of every pair to safe, as the paper does with its UltraFeedback buffer. `target` is the
    response of a pair that supervised fine-tuning learns: chosen (the more helpful one) or safer.
    `group` is what a recipe's shares count it as.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: SourceName
    hub_id: Annotated[str, Field(min_length=1)] | None = None
    config: Annotated[str, Field(min_length=1)] | None = None
    revision: Annotated[str, Field(min_length=1)] | None = None
    path: Annotated[Path, Field(strict=False)] | None = None
    split: Annotated[str, Field(min_length=1)] | None = None
    fraction: Annotated[float, Field(gt=0, le=1), BeforeValidator(yaml_number)] = 1.0
    limit: Annotated[int, Field(ge=1), BeforeValidator(yaml_number)] | None = None
    assume_safe: bool = False
    target: Target | None = None
    group: Group | None = None

    def taken(self, rows: int) -> int:
        """How many of `rows` are looked at. The fraction is the decimal that was written: 0.29 of
        100 rows are 29, where binary floats would make it 28."""
        share = int(Decimal(str(self.fraction)) * rows)
        return share if self.limit is None else min(share, self.limit)

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, values: Any) -> Any:
        source = values.get("source") if isinstance(values, dict) else None
        if not isinstance(source, str) or source not in _DEFAULTS:
            return values
        defaults = dict(zip(("hub_id", "split"), _DEFAULTS[source], strict=True))
        return values | {k: d for k, d in defaults.items() if values.get(k) is None}

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.source == "jsonl":
            if self.path is None:
                raise ValueError("source jsonl needs path, a file with one JSON record a line")
            for key in _HUB_KEYS:
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"{key} is for sources of the hub, and jsonl is read from path"
                    )
        elif self.path is not None:
            raise ValueError(f"path is for source jsonl, and {self.source} is read from the hub")
        if self.source in _WITHOUT_PAIRS and (self.target or self.assume_safe):
            key = "target" if self.target else "assume_safe"
            raise ValueError(f"{key} is for pairs, and {self.source} has none")
        if self.source in WITHOUT_LABELS and self.target == "safer":
            raise ValueError(f"target safer needs safety labels, and {self.source} has none")
        if self.target and self.assume_safe:
            raise ValueError("assume_safe labels pairs, and target turns them into conversations")
        return self
