"""What a router adds to a trainer: its weights in the loss, its reference, its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bfpo_bench.engines.routed.folder import Routing, load_router, write_routed
from bfpo_bench.engines.routed.layer import experts_off
from bfpo_bench.errors import UserError
from bfpo_bench.training.objective import Objective


def use_of_experts(weights: Sequence[Tensor], attended: Tensor) -> dict[str, Tensor]:
    """safety_use, the mean of |a|, and helpfulness_lack, the mean of |b - 1|, over all layers and all
    tokens of each pair's two sequences but padding; shape (pairs,). Nothing without a router.

    `weights` has (a, b) of each layer, (sequences, tokens, 2), chosen sequences first, and `attended`,
    (sequences, tokens), is 0 for padding.
    """
    if not weights:
        return {}
    wide = torch.promote_types(weights[0].dtype, torch.float32)
    layers = torch.stack([layer.to(wide) for layer in weights])
    away = (layers - layers.new_tensor([0.0, 1.0])).abs().mean(0)
    real = attended.to(away)
    sums = sum((away * real[..., None]).sum(1).chunk(2))
    means = sums / sum(real.sum(1).chunk(2))[:, None]
    return {"safety_use": means[:, 0], "helpfulness_lack": means[:, 1]}


def check_routing(objective: Objective, routing: Routing | None) -> None:
    """Raises UserError for an objective of a router's weights where there is no router."""
    if routing is None and not {"safety_use", "helpfulness_lack"}.isdisjoint(objective.inputs):
        raise UserError(
            f"The objective {objective.name} is of a router's weights, and there is no router: give "
            "BFPOTrainer a routing, and the base with a router over its experts as the model."
        )


class Routed:
    """For trainers of transformers. With a `routing` the model has a router (`folder.put_router`): its
    reference is the base alone, and what is saved is the router, beside the experts."""

    args: Any
    model: Any
    processing_class: Any
    routing: Routing | None = None

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        with experts_off(self.model):
            return super().compute_ref_log_probs(model, inputs)  # type: ignore[misc]

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.routing is None:
            super()._save(output_dir, state_dict)  # type: ignore[misc]
            return
        folder = Path(output_dir or self.args.output_dir)
        write_routed(folder, self.model, self.routing)
        self.processing_class.save_pretrained(folder)

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        if self.routing is None:
            super()._load_from_checkpoint(checkpoint, model)  # type: ignore[misc]
            return
        load_router(self.model, Path(checkpoint))
