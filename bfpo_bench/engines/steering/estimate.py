"""What a safety-aligned model's next-token distribution has more than its reference's, position by
position: the bias of token-level safety-debiased inference (arXiv 2502.02153).

    b[t, v] = mean over the prompts x that reach position t of
              f(p_safe(v | x, y[<t])) - f(p_reference(v | x, y[<t])),   f = log, or p itself

y is the safety-aligned model's greedy answer to x, and both models read the same tokens. A prompt whose
answer ends at position t, where the stop token is predicted, reaches no later one. All sums are float64.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bfpo_bench.engines.base import Failure, GenerationRequest, ModelFiles
from bfpo_bench.engines.steering.file import Difference
from bfpo_bench.engines.transformers import TransformersEngine
from bfpo_bench.errors import UserError

Tell = Callable[[str, int, int], None]
"""Called with a phase, what of it is done, and how much there is."""


@dataclass(frozen=True)
class Path:
    """A prompt with the answer that later positions are conditioned on, as tokens. The last `positions`
    of the tokens, each with all before it, predict the response's first `positions`."""

    tokens: tuple[int, ...]
    positions: int


@dataclass(frozen=True)
class Estimate:
    """`values` is a numpy array of float32, (positions, vocabulary), with zeros where `counts`, how many
    prompts reach a position, is 0."""

    values: Any
    counts: tuple[int, ...]
    engine: dict[str, Any]


def estimate(
    safe: ModelFiles,
    reference: ModelFiles,
    prompts: Sequence[tuple[int, ...]],
    positions: int,
    difference: Difference,
    tell: Tell = lambda phase, done, total: None,
) -> Estimate:
    """One model is in memory at a time. Raises UserError for vocabularies of different sizes, a prompt
    that a model fails on, and distributions that are no finite numbers."""
    engine = _load(safe, "the model", tell)
    described = engine.describe()
    walked = paths(engine, prompts, positions, tell)
    more = sums(engine.model, walked, positions, difference, _phase(tell, "the model"))
    engine.close()
    del engine
    engine = _load(reference, "the reference", tell)
    less = sums(engine.model, walked, positions, difference, _phase(tell, "the reference"))
    engine.close()
    if more.shape != less.shape:
        raise UserError(
            f"The model's vocabulary has {more.shape[1]:,} entries and the reference's "
            f"{less.shape[1]:,}: give the reference that the model was aligned from."
        )
    counts = tuple(sum(path.positions > t for path in walked) for t in range(positions))
    return Estimate(_mean(more, less, counts), counts, described)


def paths(
    engine: TransformersEngine, prompts: Sequence[tuple[int, ...]], positions: int, tell: Tell
) -> list[Path]:
    """Each prompt with its greedy answer, as far as `positions` go. Raises UserError where it has none."""
    asked = [GenerationRequest(prompt, positions) for prompt in prompts]
    found: dict[int, Path] = {}
    for number, answer in engine.generate(asked):
        if isinstance(answer, Failure):
            raise UserError(
                f"The model fails on prompt {number + 1} ({answer.reason}): mend or delete it."
            )
        # Where the answer stops, the stop token is one more prediction
        reached = len(answer.tokens) + (answer.finish_reason == "stop")
        tokens = (*prompts[number], *answer.tokens[: reached - 1])
        found[number] = Path(tokens, reached)
        tell("greedy answers", len(found), len(prompts))
    return [found[number] for number in range(len(prompts))]


def sums(
    model: Any,
    walked: Sequence[Path],
    positions: int,
    difference: Difference,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Any:
    """The sum over paths of the model's distributions, by position: float64, (positions, vocabulary).

    Paths of one length share a forward pass, so that none is padded.
    """
    import torch

    totals, done = None, 0
    # Those that take a forward method with this keyword compute no other logits
    cuts = "logits_to_keep" in inspect.signature(model.forward).parameters
    with torch.inference_mode():
        for batch in _batches(model, walked):
            ids = torch.tensor([path.tokens for path in batch], device=model.device)
            most = max(path.positions for path in batch)
            logits = model(input_ids=ids, **({"logits_to_keep": most} if cuts else {})).logits
            if totals is None:
                totals = torch.zeros(positions, logits.shape[-1], dtype=torch.float64)
            for path, row in zip(batch, logits, strict=True):
                steps = row[-path.positions :].double().log_softmax(-1)
                steps = steps.exp() if difference == "probs" else steps
                totals[: path.positions] += steps.cpu()
            done += len(batch)
            tell(done, len(walked))
    assert totals is not None, "no prompts"
    return totals


def _batches(model: Any, walked: Sequence[Path]) -> list[list[Path]]:
    from bfpo_bench.engines.batching import RowSize

    size, most = RowSize.of(model), 8 if model.device.type == "cpu" else 64
    by_length: dict[int, list[Path]] = defaultdict(list)
    for path in walked:
        by_length[len(path.tokens)].append(path)
    batches = []
    for length, group in sorted(by_length.items(), reverse=True):
        rows = min(most, size.rows(length, max(path.positions for path in group)))
        batches += [group[start : start + rows] for start in range(0, len(group), rows)]
    return batches


def _mean(more: Any, less: Any, counts: Sequence[int]) -> Any:
    import torch

    reached = torch.tensor(counts, dtype=torch.float64).clamp(min=1)[:, None]
    values = ((more - less) / reached).float()
    if not torch.isfinite(values).all():
        raise UserError(
            "The distributions of these models differ by numbers that are not finite: their weights "
            "or their dtype are broken; try --engine-arg dtype=float32, or --difference probs."
        )
    return values.numpy()


def _load(files: ModelFiles, who: str, tell: Tell) -> TransformersEngine:
    tell(f"loading {who}", 0, 0)
    return TransformersEngine.load(files)


def _phase(tell: Tell, who: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(f"distributions of {who}", done, total)
