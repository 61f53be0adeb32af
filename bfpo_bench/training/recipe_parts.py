"""The parts of a recipe, typed: what they hold, and within which bounds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.mask import Baseline, checked_baseline
from bfpo_bench.training.numbers import Float, Int, yaml_number


def at_home(path: Path) -> Path:
    """With ~ as the home folder, which a shell leaves alone in output=~/models; an unknown user's
    stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def with_numbers(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {key: yaml_number(value) for key, value in values.items()}


Text = Annotated[str, Field(min_length=1)]
Place = Annotated[Path, Field(strict=False), AfterValidator(at_home)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Lora(Part):
    """Low-rank adapters, as peft's LoraConfig names its parameters."""

    r: Annotated[Int, Field(ge=1)] = 16
    lora_alpha: Annotated[Int, Field(ge=1)] = 32
    lora_dropout: Annotated[Float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear"] | list[Text] = "all-linear"


class Margin(Part):
    """Where an objective's margin comes from: beta times the h of `model` against the base."""

    model: Text
    beta: Annotated[Float, Field(gt=0)] = 0.1


class Experts(Part):
    """MidPO's two LoRA adapters of the recipe's model (arXiv 2506.02460): what the router weighs."""

    safety: Text
    helpfulness: Text


def _baseline(value: Any) -> Baseline:
    try:
        return checked_baseline(value)
    except UserError as error:
        raise ValueError("it must be a finite number, or mean") from error


class Ama(Part):
    """Which segments of the responses keep their gradient (AMA, arXiv 2502.11555): of chosen those
    whose reward is above `baseline`, of rejected those below it. `mean` is each response's own."""

    baseline: Annotated[Baseline, BeforeValidator(_baseline)] = 0.0


Share = Annotated[Float, Field(ge=0, le=1)]


class Shares(Part):
    """How many rows of each group of safety data for each general one (FDC, arXiv 2502.11555).

    The middle of the recommended ranges: explicit 1:30 to 1:20, implicit 1:100 to 1:50, mixed 1:200
    to 1:100. A group with share 0 is left out.
    """

    explicit: Share = 0.04
    implicit: Share = 0.015
    mixed: Share = 0.0075


class TrainingSettings(Part):
    """transformers' TrainingArguments, by the same names; what is None is left to them.

    `warmup_steps` below 1 is a share of all steps. `bf16` None is mixed precision where there is a
    GPU, and float32 on a CPU.
    """

    learning_rate: Annotated[Float, Field(gt=0)]
    lr_scheduler_type: Text = "cosine"
    warmup_steps: Annotated[Float, Field(ge=0)] = 0.0
    num_train_epochs: Annotated[Float, Field(gt=0)] = 1.0
    max_steps: Annotated[Int, Field(ge=1)] | None = None
    per_device_train_batch_size: Annotated[Int, Field(ge=1)] = 2
    gradient_accumulation_steps: Annotated[Int, Field(ge=1)] = 1
    gradient_checkpointing: bool = True
    bf16: bool | None = None
    optim: Text = "adamw_torch"
    adam_beta1: Annotated[Float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[Float, Field(ge=0, lt=1)] = 0.999
    weight_decay: Annotated[Float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[Float, Field(ge=0)] = 1.0
    logging_steps: Annotated[Int, Field(ge=1)] = 10
    save_steps: Annotated[Int, Field(ge=1)] = 100
    save_total_limit: Annotated[Int, Field(ge=1)] = 2
    report_to: list[Text] = []
