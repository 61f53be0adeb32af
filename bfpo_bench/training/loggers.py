"""What `report_to` names, told what a training is called."""

from __future__ import annotations

import os
from typing import Any

from bfpo_bench.training.recipe import Recipe

PROJECT = "bfpo-bench"
"""What trackio and W&B file trainings under; WANDB_PROJECT says otherwise."""


def logger_arguments(recipe: Recipe) -> dict[str, Any]:
    """TrainingArguments for the loggers of `training.report_to`: the run bears the recipe's name.

    Trackio keeps it on this disk, in TRACKIO_DIR: transformers before 5 would have made a Space of it
    on the hub.
    """
    loggers = recipe.training.report_to
    if not loggers:
        return {}
    if "wandb" in loggers:
        os.environ.setdefault("WANDB_PROJECT", PROJECT)
    trackio = {"project": PROJECT, "trackio_space_id": None}
    return {"run_name": recipe.name, **(trackio if "trackio" in loggers else {})}
