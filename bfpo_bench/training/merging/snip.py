"""SNIP scores: how much a weight matters to what a model was trained on.

I(W) = mean over examples x of |W * dL(x)/dW|, entry by entry, with L the negative log-likelihood a token
of the completion: SNIP, arXiv 1810.02340, in the form that arXiv 2402.05162 gives it for language models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Parameter

from bfpo_bench.errors import UserError
from bfpo_bench.training.reference import Scored


def linear_weights(model: Any) -> dict[str, Parameter]:
    """Name -> weight of each linear layer besides the output head, with the model's own names."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, Linear | Conv1D) and module is not head
    }


def completion_loss(model: Any, prompt: Sequence[int], completion: Sequence[int]) -> Tensor:
    """The completion's mean negative log-likelihood a token after the prompt, in nats."""
    device = next(model.parameters()).device
    ids = torch.tensor([[*prompt, *completion]], device=device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    said = precise.log_softmax(-1).gather(-1, ids[0, len(prompt) :, None])
    return -said.mean()


def snip_scores(
    model: Any,
    examples: Sequence[Scored],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Tensor], float]:
    """(name -> scores of each of `linear_weights`, the mean loss) over (prompt, completion) ids.

    Scores are float32, float64 for weights of it. Memory holds the model, the scores and the gradient
    of one weight at a time. The model's own `requires_grad` is changed. Raises UserError for a model
    without linear layers, and for a loss or gradient that is not finite.
    """
    weights = linear_weights(model)
    if not weights:
        raise UserError("The model has no linear layers, and SNIP scores are of their weights.")
    model.eval()
    model.requires_grad_(False)
    scores = {name: _zeros(weight) for name, weight in weights.items()}
    hooks = []
    for name, weight in weights.items():
        weight.requires_grad_()
        weight.grad = None
        hooks.append(weight.register_post_accumulate_grad_hook(_adding(scores[name])))
    total = 0.0
    try:
        for done, (prompt, completion) in enumerate(examples):
            report(done, len(examples))
            loss = completion_loss(model, prompt, completion)
            loss.backward()
            total += loss.item()
    finally:
        for hook in hooks:
            hook.remove()
    for name, found in scores.items():
        found /= len(examples)
        if not torch.isfinite(found).all():
            raise UserError(
                f"The scores of {name} hold NaN or infinity: check the model's weights, and the precision "
                "that it is loaded in (model_dtype of its recipe)."
            )
    report(len(examples), len(examples))
    return scores, total / len(examples)


def _zeros(weight: Tensor) -> Tensor:
    precise = torch.promote_types(weight.dtype, torch.float32)
    return torch.zeros_like(weight, dtype=precise, requires_grad=False)


def _adding(scores: Tensor) -> Callable[[Tensor], None]:
    """A hook that adds |W dL/dW| and lets go of the gradient, so that no two are held at once."""

    def add(weight: Tensor) -> None:
        assert weight.grad is not None
        scores.add_((weight.detach().to(scores.dtype) * weight.grad.to(scores.dtype)).abs())
        weight.grad = None

    return add
