"""What each row of a transformers batch has of its own: how it is sampled, and how long it may get."""

from __future__ import annotations

from typing import Any

from bfpo_bench.engines.base import GenerationRequest


def budgets(batch: list[GenerationRequest], width: int) -> Any:
    """Rows whose own budget is spent stop, so that a batch ends with its last unfinished row."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    spent_at = torch.tensor([r.max_new_tokens for r in batch])

    class Spent(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            return (spent_at <= input_ids.shape[1] - width).to(input_ids.device)

    return StoppingCriteriaList([Spent()])


def samplers(batch: list[GenerationRequest]) -> Any:
    """Temperature and nucleus sampling with each row's own seed, as Gumbel noise before an argmax.

    argmax(log p + Gumbel) is a draw from p, and the noise of a row comes from its own generator:
    the draw does not depend on which rows share a batch.
    """
    import torch
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper
    from transformers.generation import LogitsProcessor

    if all(r.temperature == 0 for r in batch):
        return LogitsProcessorList()

    class PerRow(LogitsProcessor):
        def __init__(self) -> None:
            self.rows = [torch.Generator().manual_seed(r.seed) for r in batch]

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            out = scores.clone()
            for row, (request, generator) in enumerate(zip(batch, self.rows, strict=True)):
                if request.temperature == 0:
                    continue
                line = TemperatureLogitsWarper(request.temperature)(
                    input_ids, scores[row : row + 1]
                )
                if request.top_p < 1:
                    line = TopPLogitsWarper(request.top_p)(input_ids, line)
                uniform = torch.rand(line.shape, generator=generator, dtype=torch.float64)
                noise = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
                out[row] = line[0] + noise[0].to(line.device, line.dtype)
            return out

    return LogitsProcessorList([PerRow()])
