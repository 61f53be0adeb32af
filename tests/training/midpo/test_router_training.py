"""The router's training: against what, on what, and that nothing else moves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from experts import routed, routing
from preference import pairs, plain_h, plain_log_prob, rows, tiny_model, trainer, weights
from transformers import TrainerCallback

from bfpo_bench.engines.routed.folder import Routing
from bfpo_bench.errors import UserError
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.midpo.routed import use_of_experts
from bfpo_bench.training.trainer import BFPOTrainer


@pytest.fixture(scope="module")
def parts(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Routing:
    return routing(tmp_path_factory.mktemp("midpo"))


class Stop(TrainerCallback):
    """Saves after so many steps and ends the training there."""

    def __init__(self, after: int | None) -> None:
        self.after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.after:
            control.should_save = control.should_training_stop = True


def make(parts: Routing, folder: Path, seed: int | None = None, **changes: Any) -> BFPOTrainer:
    options = {"objective": "midpo_router", "main": pairs(8), "routing": parts, **changes}
    return trainer(routed(parts, seed), folder, **options)


def test_the_penalty_is_a_mean_over_layers_and_real_tokens() -> None:
    """One pair, two layers, two tokens, of which rejected's second is padding. |a| of chosen is .1 and .3
    in the first layer, .2 and .4 in the second, of rejected .5 and .9: (.1 + .3 + .2 + .4 + .5 + .9) / 6
    = .4. b is 1 - a / 2 throughout, so that |b - 1| is half of that, .2."""
    layers = []
    for chosen, rejected in (((0.1, 0.3), 0.5), ((0.2, 0.4), 0.9)):
        a = torch.tensor([chosen, (rejected, 77.0)], dtype=torch.float64)
        layers.append(torch.stack([a, 1 - a / 2], dim=-1))
    found = use_of_experts(layers, torch.tensor([[1, 1], [1, 0]]))
    assert {name: value.tolist() for name, value in found.items()} == {
        "safety_use": [pytest.approx(0.4, rel=1e-12)],
        "helpfulness_lack": [pytest.approx(0.2, rel=1e-12)],
    }
    assert use_of_experts([], torch.ones(2, 2)) == {}


@pytest.mark.usefixtures("hub")
def test_its_objective_without_a_router_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^The objective midpo_router is of a router's weights, and"
    ):
        trainer(tiny_model(), tmp_path, objective="midpo_router")


def test_the_reference_is_the_base(parts: Routing, tmp_path: Path) -> None:
    """Row by row, from plain transformers, whatever the router's weights are."""
    base = tiny_model()
    one = make(parts, tmp_path, seed=1)
    for side in ("chosen", "rejected"):
        expected = [plain_log_prob(base, row, side) for row in rows(8)]
        found = one.train_dataset[f"ref_{side}_logps"][:]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_first_loss(parts: Routing, tmp_path: Path, checkpointing: bool) -> None:
    """DPO of h under the router's model against the base's, plus a half for each expert's weight, which
    is 1/2 at first: to 1e-5, also where activations are computed a second time."""
    model, base = routed(parts), tiny_model()
    options = {"per_device_train_batch_size": 8, "gradient_checkpointing": checkpointing}
    kwargs = {"gradient_checkpointing_kwargs": {"use_reentrant": False}} if checkpointing else {}
    one = make(parts, tmp_path, max_steps=1, **options, **kwargs)
    one.train()
    hs = [plain_h(model, base, row) for row in rows(8)]
    assert max(map(abs, hs)) > 0.1
    expected = sum(math.log1p(math.exp(-0.1 * h)) for h in hs) / 8 + 1.0
    log = one.state.log_history[0]
    assert log["loss"] == pytest.approx(expected, rel=1e-5)
    assert (log["router/safety"], log["router/helpfulness"]) == (0.5, 0.5)


def test_only_the_router_changes(parts: Routing, tmp_path: Path) -> None:
    one = make(parts, tmp_path)
    before = weights(one.model)
    one.train()
    after = weights(one.model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".router." in name}
    assert len(changed) == 4


def test_a_large_penalty_leaves_the_helpfulness_expert_alone(
    parts: Routing, tmp_path: Path
) -> None:
    """Safety's weight sinks and helpfulness's rises, from 1/2 each."""
    options = {"objective_args": {"penalty": 20.0}, "max_steps": 8, "max_grad_norm": 0.0}
    one = make(parts, tmp_path, learning_rate=0.05, **options)
    one.train()
    last = one.state.log_history[-2]
    assert last["router/safety"] < 0.1
    assert last["router/helpfulness"] > 0.9


def test_accumulated_batches_are_one(parts: Routing, tmp_path: Path) -> None:
    """Four batches of two pairs are one of eight: the penalty is each pair's own mean."""
    found = []
    for size in (8, 2):
        options = {"per_device_train_batch_size": size, "max_steps": 1, "max_grad_norm": 0.0}
        one = make(parts, tmp_path, gradient_accumulation_steps=8 // size, **options)
        one.train()
        found.append({n: v for n, v in weights(one.model).items() if ".router." in n})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-7)


def test_two_halves_are_one_training(parts: Routing, tmp_path: Path) -> None:
    """To the last digit, from a checkpoint that holds the router and the experts, and no base."""
    options: dict[str, Any] = {
        "num_train_epochs": 3,
        "max_steps": -1,
        "optim": "adamw_torch",
        "lr_scheduler_type": "cosine",
        "learning_rate": 1e-2,
    }
    whole = make(parts, tmp_path / "whole", **options)
    whole.train()
    make(parts, tmp_path / "halves", callbacks=[Stop(3)], **options).train()
    kept = last_checkpoint(tmp_path / "halves")
    assert kept is not None
    assert (kept / "router.safetensors").is_file()
    assert not list(kept.glob("model*"))
    second = make(parts, tmp_path / "halves", **options)
    second.train(resume_from_checkpoint=str(kept))
    expected, found = weights(whole.model), weights(second.model)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
