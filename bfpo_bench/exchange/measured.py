"""What keeps a run that measured nothing from being taken for a model's numbers."""

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
