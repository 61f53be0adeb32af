"""The table of a run's tasks, as `run` prints it."""

from __future__ import annotations

import io

from measured import measured

from bfpo_bench.cli.render import task_table
from bfpo_bench.cli.ui import Terminal
from bfpo_bench.scoring.scores import TaskScore


def test_a_benign_task_s_rate_is_of_answers() -> None:
    """The outcome complied means that harm was done: the word is not used of benign prompts."""
    task = TaskScore(
        value=92.0,
        ci_low=81.2,
        ci_high=96.8,
        cell="helpfulness/generative",
        family="f",
        weighted=True,
        metric="answered rate",
        raw_metric="compliance rate",
        raw_value=0.92,
        raw_higher_is_better=True,
        n=50,
        n_scored=50,
    )
    out = io.StringIO()
    run = measured("m", None, None, tasks={"bfpo_errands": task})
    Terminal(file=out, width=80).print(task_table(run.scores))
    assert "answered 0.920" in out.getvalue()
    assert "complied" not in out.getvalue()
