"""A causal language model that reads trees of queries: whether it can, and the forward pass."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from bfpo_bench.engines.batching import is_out_of_memory
from bfpo_bench.engines.packed import Packed, pack
from bfpo_bench.engines.prefix import Query
from bfpo_bench.errors import first_line

_CHUNK = 2**24
"""Logits that are floats of 32 bits at once, while they are summed up."""
_TOLERANCE = 1e-3
"""Nats between the same token's log-probability in a tree and alone, in float32; 32 times the spacing
of numbers near 1 where that is more, as in bfloat16."""

Score = tuple[list[float], list[bool]]
"""A query's targets: their log-probabilities in nats, and whether each is the most probable."""


class TreeReader:
    """`why_not` says why this model's queries share no rows, and is empty where they may; `longest` is
    the most tokens of one that may, and `attention` what `plan` wants to know."""

    def __init__(self, model: Any) -> None:
        self.model = model
        # A token costs about 24 h^2 floating-point operations a layer, and a pair of tokens 4 h, each
        # about three times as dear as those of a matrix product
        self.attention = 2 * model.config.get_text_config().hidden_size
        self.longest, self.why_not = _sharing(model)
        self._stem: tuple[tuple[int, ...], list[tuple[Any, Any]]] = ((), [])
        if not self.why_not:
            self.why_not = self._trial()
        if self.why_not:
            self.longest = 0

    def describe(self) -> str:
        """For the manifest: what shares a forward pass."""
        if self.why_not:
            return f"no: {self.why_not}"
        return "yes" if self.longest == sys.maxsize else f"up to {self.longest} tokens"

    def score(self, trees: Sequence[Sequence[Query]], stem: int) -> list[Score]:
        """One row a tree, see `pack`; the results are in the order of the queries."""
        import torch

        packed = pack(trees, stem)
        with torch.inference_mode():
            prefix = trees[0][0].tokens[:stem]
            logits = self._logits(packed, self._inputs(packed, prefix))
            at, targets = self._tensor(packed.at), self._tensor(packed.targets)
            logprobs = logits[at, targets].float() - _logsumexp(logits)[at]
            best = logits.argmax(-1)[at] == targets
        return [
            (p.tolist(), b.tolist())
            for p, b in zip(
                logprobs.cpu().split(packed.counts), best.cpu().split(packed.counts), strict=True
            )
        ]

    def forget(self) -> None:
        """Let the last stem's keys and values go."""
        self._stem = ((), [])

    def _inputs(self, packed: Packed, prefix: tuple[int, ...]) -> dict[str, Any]:
        import torch

        inputs: dict[str, Any] = {"input_ids": self._tensor(packed.ids), "use_cache": bool(prefix)}
        if packed.visible is not None:
            visible, dtype = self._tensor(packed.visible)[:, None], self.model.dtype
            mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
            inputs["attention_mask"] = mask.masked_fill_(~visible, torch.finfo(dtype).min)
            inputs["position_ids"] = self._tensor(packed.depths)
        if prefix:
            inputs["past_key_values"] = self._cache(prefix, len(packed.ids))
        return inputs

    def _cache(self, prefix: tuple[int, ...], rows: int) -> Any:
        """The stem's keys and values, for each row; those of the last stem are kept."""
        from transformers import DynamicCache

        if self._stem[0] != prefix:
            self.forget()
            fresh = DynamicCache()
            last = pack([[Query(prefix, (len(prefix) - 1,), (0,))]], 0)
            inputs = self._inputs(last, ()) | {"past_key_values": fresh, "use_cache": True}
            self._logits(last, inputs)
            self._stem = prefix, [(layer.keys, layer.values) for layer in fresh.layers]
        cache = DynamicCache()
        for number, (keys, values) in enumerate(self._stem[1]):
            shape = rows, -1, -1, -1
            cache.update(keys.expand(*shape), values.expand(*shape), number)
        return cache

    def _logits(self, packed: Packed, inputs: dict[str, Any]) -> Any:
        """The model's own logits, [places, vocabulary]: what it does to them after its head, such as
        to cap them, it does here as well."""
        rows, columns = self._tensor(packed.rows), self._tensor(packed.columns)
        seen = []

        def choose(head: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
            seen.append(head)
            return (given[0][rows, columns][None], *given[1:])

        head = self.model.get_output_embeddings()
        hook = head.register_forward_pre_hook(choose) if head is not None else None
        try:
            logits = self.model(**inputs).logits
        finally:
            if hook is not None:
                hook.remove()
        return logits[0] if seen else logits[rows, columns]

    def _tensor(self, array: Any) -> Any:
        import torch

        return torch.from_numpy(array).to(self.model.device)

    def _trial(self) -> str:
        """Why a small tree gives other numbers than its queries alone; empty where it does not."""
        import torch

        vocabulary = self.model.config.get_text_config().vocab_size
        ids = [(7919 * i + 17) % vocabulary for i in range(48)]
        size = min(24, self.longest // 2)
        asked = [
            _last(ids[:size] + ids[24:27]),
            _last(ids[:size] + ids[30:36]),
            _last(ids[: size * 2 // 3] + ids[36:48]),
        ]
        asked.sort(key=lambda query: query.tokens)
        try:
            alone = self.score([[query] for query in asked], 0)
            together = self.score([asked], 0) + self.score([asked], size // 2)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            return f"its forward pass takes no tree ({first_line(error)})"
        self.forget()
        allowed = max(_TOLERANCE, 32 * torch.finfo(self.model.dtype).eps)
        for (expected, _), (found, _) in zip([*alone, *alone], together, strict=True):
            if any(not abs(a - b) <= allowed for a, b in zip(expected, found, strict=True)):
                return "its log-probabilities in a tree are others than alone"
        return ""


def _last(tokens: list[int]) -> Query:
    """The last three tokens of `tokens` are asked about: that the first of them follows, and so on."""
    size = len(tokens) - 1
    return Query(tuple(tokens[:-1]), tuple(range(size - 3, size)), tuple(tokens[-3:]))


def _sharing(model: Any) -> tuple[int, str]:
    """The most tokens of a query that may share a row with others, or why none may.

    Models whose attention goes through transformers' interface take a mask [B, 1, L, S + L] in the
    place of their own, sliding windows included: within a window that makes no difference.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    if not getattr(model, "_supports_attention_backend", False):
        return 0, f"{type(model).__name__} builds its attention mask itself"
    if (kind := model.config._attn_implementation) not in ("sdpa", "eager"):
        return 0, f"{kind} attention takes no mask of ours"
    longest = sys.maxsize
    for layer in DynamicCache(config=model.config).layers:
        if type(layer) is DynamicSlidingWindowLayer:
            longest = min(longest, layer.sliding_window)
        elif type(layer) is not DynamicLayer:
            return 0, f"it has layers with a state of their own ({type(layer).__name__})"
    return longest, ""


def _logsumexp(logits: Any) -> Any:
    """In float32, a part of the places at a time."""
    import torch

    rows = max(1, _CHUNK // logits.shape[-1])
    return torch.cat([part.float().logsumexp(-1) for part in logits.split(rows)])
