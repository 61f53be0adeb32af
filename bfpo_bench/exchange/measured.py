"""What keeps a run from being taken for a model's numbers: one that measured nothing, or more than it."""

from __future__ import annotations

from bfpo_bench.errors import UserError
from bfpo_bench.names import of_null_engine, shortened
from bfpo_bench.scoring.finished import FinishedRun


def check_measured(run: FinishedRun) -> None:
    """Raises UserError for a run of the null engine, which is no model's."""
    if of_null_engine(run.name):
        raise UserError(
            f"The run {run.run_id} of {shortened(run.name)} measured nothing, and is published nowhere: "
            "run the model with another --engine."
        )


def check_own(run: FinishedRun) -> None:
    """Raises UserError for a run behind a defence, asked for levels, or without a bias that decoding
    subtracts: its numbers are not what the model does by itself."""
    told = run.manifest.model
    asked = {
        "--defence": told.defence,
        "--levels": told.levels,
        "--bias": run.manifest.settings.bias,
    }
    if given := [option for option, value in asked.items() if value is not None]:
        raise UserError(
            f"The run {run.run_id} measured {shortened(run.name)}, and a model card states what the model "
            f"does by itself: export the run without {given[0]}."
        )
