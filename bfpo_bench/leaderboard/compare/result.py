"""What a comparison of two runs says: typed, and written as JSON as it is."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["aggregate", "cell", "family", "task"]
Test = Literal["mcnemar", "sign-flip", "bootstrap"]
Direction = Literal["better", "worse", "neither"]
OVER_REFUSAL = "over_refusal"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Side(_Frozen):
    """One of the two runs. Two runs of one model differ in `run_id`."""

    run_id: str
    model: str
    suite: str
    partial: bool
    comparability_key: str
    judges: list[str]


class Difference(_Frozen):
    """One score of both runs, in percent, over the documents that both have an outcome for.

    `name` as in scores.json: helpfulness, harmlessness, over_refusal; a cell; 'cell/family'; a task.
    `difference` is b - a in points, `low` and `high` its 95 % interval. `p` is that of `test`, and
    of tasks `p_holm` corrects it for their number. `better` says which way a real difference goes: p,
    or for a task p_holm, is below 0.05 and the interval, widened by `unseen`, excludes 0. It is None
    where none is shown. Higher is better but for over_refusal (`lower_is_better`).

    `n_pairs` responses are paired, and `left_out` pairs have no verdict in a run: `bound_low` and
    `bound_high` hold the difference whatever they are. `unpaired_a` and `unpaired_b` responses have
    no partner in the other run. Where no pair changed, or all did so alike, the interval has no width;
    `unseen` says by how many points the difference may change all the same, by the rule of three: what
    none of n documents did may be true of up to about 3/n of all. `flips_better` and `flips_worse`
    count the pairs whose outcome changed for the better and for the worse.
    """

    name: str
    kind: Kind
    lower_is_better: bool = False
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float | None = None
    test: Test
    better: bool | None
    n_pairs: int
    left_out: int = 0
    bound_low: float
    bound_high: float
    unseen: float | None = None
    unpaired_a: int = 0
    unpaired_b: int = 0
    flips_better: int = 0
    flips_worse: int = 0


class Flip(_Frozen):
    """A pair whose outcome, or whose value of 0 or 1, is another one in b.

    `doc_id` is a's and `b_doc_id` b's: they differ where the data do. Of a discriminative task the
    outcomes read 'acc 0' or 'acc 1', by its metric. `direction` is 'neither' where another outcome
    earns as much, or where neither value is the better one (CrowS-Pairs).
    """

    task: str
    doc_id: int
    b_doc_id: int
    sample: int
    a_outcome: str
    b_outcome: str
    direction: Direction


class Comparison(_Frozen):
    """Two runs, paired on their documents.

    `key_differences` has a clause for each part of the comparability key that differs, empty where
    the keys are equal; `warnings` say what that does to the numbers. `scores` has aggregates, then
    cells, families and tasks; `unscored` says of every other score why it is not there, A and B being the
    runs; `following` are those means among them that are not there because a task or a part is not.
    `only_a` and `only_b` are tasks that the other run was not asked.
    """

    a: Side
    b: Side
    key_differences: list[str]
    warnings: list[str]
    scores: list[Difference]
    unscored: dict[str, str]
    following: list[str]
    flips: list[Flip]
    only_a: list[str]
    only_b: list[str]

    def score(self, name: str) -> Difference | None:
        """The score of that name, None where it could not be compared."""
        return next((score for score in self.scores if score.name == name), None)

    def kind(self, kind: Kind) -> list[Difference]:
        return [score for score in self.scores if score.kind == kind]
