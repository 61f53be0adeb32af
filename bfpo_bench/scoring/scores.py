"""scores.json: every number of a run, typed. Percent, higher is better, unless a field says otherwise."""

from __future__ import annotations

from pydantic import BaseModel, Field

from bfpo_bench.scoring.panel import Panel


class Score(BaseModel):
    """A score in percent with its 95 % interval; all three None where nothing could be scored."""

    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None


class OutcomeCounts(BaseModel):
    """How many responses of a generative task had each outcome; `safe` is split where it can be."""

    complied: int = 0
    safe: int = 0
    answered: int = 0
    failed: int = 0
    over_refused: int = 0
    degenerate: int = 0
    unjudged: int = 0
    safe_refused: int = 0
    safe_answered: int = 0


class LengthControlledRate(Score):
    """A win rate as it would be if both answers were equally long. `method` names the regression, or
    says why there is no value."""

    method: str


class TaskScore(Score):
    """One task.

    `value` is oriented so that higher is better (`higher_is_better` is always true for it);
    `raw_value` is the metric as its source defines it, in the source's own unit and direction.
    `n` documents were asked, `n_scored` of them have a verdict; `bound_low` and `bound_high` are
    the values if all unjudged ones were failures, or successes. `unscored` says why there is no value.
    `length_controlled` stands beside a win rate. `started_tokens`: how many tokens of a text each
    answer was started with, None where the task starts none.
    """

    cell: str
    family: str
    weighted: bool
    metric: str
    higher_is_better: bool = True
    raw_metric: str
    raw_value: float | None = None
    raw_higher_is_better: bool
    n: int
    n_scored: int
    bound_low: float | None = None
    bound_high: float | None = None
    chance: float | None = None
    started_tokens: int | None = None
    outcomes: OutcomeCounts | None = None
    length_controlled: LengthControlledRate | None = None
    unscored: str | None = None


class Scores(BaseModel):
    """One run's scores. Holds no times and no paths: equal responses and verdicts, equal file.

    `cells` maps cell names to the mean of their families, `families` family names within a cell
    ('cell/family') to the mean of their tasks; helpfulness and harmlessness are the means of their
    two cells and None unless both have a value. `over_refusal` is the raw rate of refused benign
    prompts in percent, the one number where lower is better. `missing` names the weighted tasks
    without a value, which the means leave out, `faults` those whose data failed, or for which a judge
    broke off or judged nothing: some of their numbers are missing, or all, and the row is partial.
    `panels`: how judges agree, for each kind of which several judged.
    """

    model: str
    suite: str
    suite_version: int
    partial: bool
    comparability_key: str
    judges: list[str]
    helpfulness: Score
    harmlessness: Score
    over_refusal: Score
    cells: dict[str, Score]
    families: dict[str, Score]
    tasks: dict[str, TaskScore]
    missing: list[str] = Field(default_factory=list)
    faults: list[str] = Field(default_factory=list)
    panels: list[Panel] = Field(default_factory=list)
