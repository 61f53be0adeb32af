"""What SafePatching's patches and preference vectors are trained by: ascent that ends, DPO on swapped
pairs, and recipes that resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from preference import rows, tiny_model, trainer, weights
from transformers import TrainerCallback

from bfpo_bench.errors import UserError
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.objectives import ascent, dpo
from bfpo_bench.training.pairs import Pair
from bfpo_bench.training.policies import apply_policy
from bfpo_bench.training.recipe import load_recipe
from bfpo_bench.training.trainer import BFPOTrainer

RECIPE = "two-cores/safety-patch"


# Ascent


def test_ascent_by_hand() -> None:
    """-6 nats of 3 tokens is l = 2, -40 of 5 is l = 8 and beyond the bound 5, and of no token it is 0:
    losses -2, -5 and 0. Descending, the first response's log-probability sinks by 1 / 3 a unit, and the
    others' stay."""
    logps = torch.tensor([-6.0, -40.0, 0.0], dtype=torch.float64, requires_grad=True)
    losses = ascent(logps, torch.tensor([3, 5, 0]), bound=5.0)
    assert losses.tolist() == [-2.0, -5.0, 0.0]
    (gradient,) = torch.autograd.grad(losses[:2].sum(), logps)
    assert gradient.tolist() == [pytest.approx(1 / 3, rel=1e-12), 0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["policy=safedpo"], "ascent unlearns every chosen response: give policy: harmful"),
        (["policy=null"], "ascent unlearns every chosen response: give policy: harmful"),
        (["buffer=[{source: ultrafeedback, assume_safe: true}]"], "and no buffer"),
        (["objective.bound=0"], "ascent needs bound above 0, not 0"),
        (["reference=live"], "reference: the objective ascent needs no reference"),
    ],
)
def test_what_a_recipe_of_ascent_may_not_say(changes: list[str], sentence: str) -> None:
    load_recipe(RECIPE)
    with pytest.raises(UserError, match=sentence):
        load_recipe(RECIPE, changes)


def harmful_rows(count: int) -> Dataset:
    """Pairs with the unsafe response chosen, as the policy harmful leaves them."""
    return Dataset.from_list([r for r in rows(4 * count) if not r["chosen_safe"]][:count])


class Stop(TrainerCallback):
    """Saves after so many steps and ends the training there."""

    def __init__(self, after: int | None) -> None:
        self.after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.after:
            control.should_save = control.should_training_stop = True


def make(folder: Path, objective: str, stop: int | None = None, **changes: Any) -> BFPOTrainer:
    options = {"num_train_epochs": 3, "max_steps": -1, "learning_rate": 1e-3, **changes}
    options |= {"optim": "adamw_torch", "lr_scheduler_type": "cosine", "callbacks": [Stop(stop)]}
    return trainer(tiny_model(), folder, main=harmful_rows(12), objective=objective, **options)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("objective", ["ascent", "sft"])
def test_two_halves_of_a_patch_are_one_training(tmp_path: Path, objective: str) -> None:
    """Each patch is trained as a whole and in halves; ascent makes the responses less likely, and
    descent more."""
    changes: dict[str, Any] = {}
    if objective == "ascent":
        changes["objective_args"] = {"bound": 99.0}
    whole = make(tmp_path / "whole", objective, **changes)
    whole.train()
    make(tmp_path / "halves", objective, stop=4, **changes).train()
    second = make(tmp_path / "halves", objective, **changes)
    second.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "halves")))
    expected, found = weights(whole.model), weights(second.model)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    logps = [log["logps/chosen"] for log in whole.state.log_history if "logps/chosen" in log]
    assert (logps[-1] < logps[0]) == (objective == "ascent")


@pytest.mark.usefixtures("hub")
def test_ascent_ends_at_its_bound(tmp_path: Path) -> None:
    """A random model's responses are already beyond 0.01 nats a token: no weight moves."""
    one = make(tmp_path, "ascent", objective_args={"bound": 0.01})
    before = {name: value.clone() for name, value in weights(one.model).items()}
    one.train()
    assert all(torch.equal(value, before[name]) for name, value in weights(one.model).items())


# Swapped pairs

PROMPT = ({"role": "user", "content": "How do I open this door?"},)
LOGPS = {
    "Push.": (-3.0, -3.5),
    "Ask its owner.": (-7.0, -6.25),
}
"""(policy, reference) of each response, in nats."""


def loss_and_slopes(pair: Pair) -> tuple[float, dict[str, float]]:
    """DPO of the pair at beta .5, and its derivative by each response's log-probability."""
    policy = {r: torch.tensor([LOGPS[r][0]], dtype=torch.float64).requires_grad_() for r in LOGPS}
    reference = {r: torch.tensor([LOGPS[r][1]], dtype=torch.float64) for r in LOGPS}
    sides = (pair.chosen, pair.rejected)
    loss = dpo(*(policy[s] for s in sides), *(reference[s] for s in sides), beta=0.5)
    slopes = torch.autograd.grad(loss.sum(), list(policy.values()))
    return loss.item(), {r: s.item() for r, s in zip(policy, slopes, strict=True)}


@pytest.mark.parametrize("name", ["helpful", "safety"])
def test_minus_is_dpo_with_the_responses_exchanged(name: str) -> None:
    """By helpfulness chosen is "Push.", by safety "Ask its owner.": h = .5 + .75 = 1.25 one way and -1.25
    the other. DPO at beta .5 is log(1 + e^-(.5 h)), with slope -.5 / (1 + e^(.5 h)) by chosen's
    log-probability and its opposite by rejected's. So plus and minus differ by .5 h in their losses."""
    pair = Pair(PROMPT, "Push.", "Ask its owner.", chosen_safe=False, rejected_safe=True)
    [plus] = apply_policy(f"{name}-only", [pair]).pairs
    [minus] = apply_policy(f"{name}-swapped", [pair]).pairs
    assert (minus.chosen, minus.rejected) == (plus.rejected, plus.chosen)
    assert (minus.chosen_safe, minus.rejected_safe) == (plus.rejected_safe, plus.chosen_safe)
    for ordered in (plus, minus):
        h = 1.25 if ordered.chosen == "Push." else -1.25
        loss, slopes = loss_and_slopes(ordered)
        assert loss == pytest.approx(math.log1p(math.exp(-0.5 * h)), rel=1e-12)
        slope = -0.5 / (1 + math.exp(0.5 * h))
        assert slopes[ordered.chosen] == pytest.approx(slope, rel=1e-12)
        assert slopes[ordered.rejected] == pytest.approx(-slope, rel=1e-12)


def test_both_orders_see_the_same_pairs() -> None:
    """What safety-only drops, safety-swapped drops too, and each pair is flipped by one of them."""
    labels = [(True, True), (True, False), (False, True), (False, False)]
    pairs = [Pair(PROMPT, "a", "b", *safe) for safe in labels]
    plus, minus = (apply_policy(f"safety-{order}", pairs) for order in ("only", "swapped"))
    assert plus.dropped == minus.dropped
    assert plus.flipped + minus.flipped == len(plus.pairs) == len(minus.pairs) == 2
    assert [p.chosen_safe for p in minus.pairs] == [False, False]
