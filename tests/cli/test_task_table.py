"""The table of a run's tasks, as `run` prints it."""

from __future__ import annotations

import io

from measured import measured

from bfpo_bench.cli.render import task_table
from bfpo_bench.cli.ui import Terminal
from bfpo_bench.scoring.scores import OutcomeCounts, TaskScore


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


def test_scores_after_started_answers_are_said_to_be_a_curve() -> None:
    def task(tokens: int) -> TaskScore:
        return TaskScore(
            value=50.0,
            ci_low=15.0,
            ci_high=85.0,
            cell="harmlessness/generative",
            family="f",
            weighted=True,
            metric="safe rate",
            raw_metric="attack success rate",
            raw_higher_is_better=False,
            n=2,
            n_scored=2,
            outcomes=OutcomeCounts(safe=1, safe_refused=1, complied=1),
            started_tokens=tokens,
        )

    out = io.StringIO()
    run = measured("m", None, None, tasks={f"bfpo_late_refusal_k{k}": task(k) for k in (0, 5, 10)})
    Terminal(file=out, width=80).print(task_table(run.scores))
    assert (
        "Late refusal: turned back, in percent, after 0, 5 and 10 tokens that the answers were started "
        "with."
    ) in " ".join(out.getvalue().split())
