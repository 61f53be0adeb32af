"""How much memory a model takes, from its config.json and the sizes of its files. Pure arithmetic.

Of a request, keys and values are kept: 2 numbers x layers x key-value heads x head size for each
token (Kwon et al. 2023, arXiv:2309.06180, section 3: 800 KB a token for OPT-13B in 16 bits).
Latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1) keeps one vector of
`kv_lora_rank + qk_rope_head_dim` numbers a layer instead, whole on each device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GIB = 2**30
WIDTHS = {"float32": 4.0, "float": 4.0, "bfloat16": 2.0, "float16": 2.0, "half": 2.0}
"""Bytes a number, by the names that config.json and vLLM's `dtype` have for them."""
_VOCABULARY_PADDING = 64
"""vLLM pads vocabularies to a multiple of it (`vocab_parallel_embedding.py`, 0.32)."""


@dataclass(frozen=True)
class Shape:
    """Of a decoder, as far as memory and splitting depend on it; `head` is one head's size.

    `windows` has an entry a layer: the tokens whose keys and values it keeps, None for all, 0 for a
    layer of a fixed state (linear attention, Mamba). `latent` is the size of the one vector that
    latent attention keeps in their place, else 0. `inner` are the sizes of the feed-forward layers.
    `group` is how many quantised weights share a scale, 1 where none do or all of a row.
    """

    hidden: int
    heads: int
    kv_heads: int
    head: int
    windows: tuple[int | None, ...]
    latent: int
    inner: tuple[int, ...]
    experts: int
    vocabulary: int
    tied: bool
    positions: int | None
    group: int = 1

    @property
    def layers(self) -> int:
        return len(self.windows)

    def divides(self, tensor: int) -> bool:
        """Whether vLLM 0.32 splits it into `tensor` parts: heads, feed-forward layers and the padded
        vocabulary evenly; key-value heads evenly, or each on an equal number of devices; and no group
        of quantised weights over two (`validate_fp8_block_shape`, `verify_marlin_supports_shape`)."""
        if tensor == 1:
            return True
        padded = math.ceil(self.vocabulary / _VOCABULARY_PADDING) * _VOCABULARY_PADDING
        shared = self.latent > 0 or self.kv_heads % tensor == 0 or tensor % self.kv_heads == 0
        if not shared or any(size % tensor for size in (self.heads, padded)):
            return False
        # Latent attention has value heads of another size
        grouped = self.inner if self.latent else (*self.inner, self.heads * self.head)
        return not any(size % (tensor * self.group) for size in grouped)

    def cache_numbers(self, tokens: int, tensor: int = 1) -> int:
        """Numbers that one request of so many tokens keeps on each of `tensor` devices, all layers."""
        kept = sum(min(tokens, tokens if w is None else w) for w in self.windows)
        if self.latent:
            return kept * self.latent
        return kept * 2 * math.ceil(self.kv_heads / tensor) * self.head

    def parameters(self) -> int:
        """Of embeddings, attention and gated feed-forward layers; norms and biases are left out."""
        attention = 2 * self.hidden * (self.heads + self.kv_heads) * self.head
        inner = self.inner[-1] if self.experts and len(self.inner) > 1 else self.inner[0]
        forward = 3 * self.hidden * inner * max(self.experts, 1) + self.hidden * self.experts
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * (attention + forward)


def shape_of(config: Mapping[str, Any]) -> Shape | None:
    """The shape that a config.json tells; None where it is no decoder's of the usual kind."""
    text: Mapping[str, Any] = config.get("text_config") or config
    hidden, heads = _first(text, "hidden_size"), _first(text, "num_attention_heads")
    layers, inner = _first(text, "num_hidden_layers"), _first(text, "intermediate_size")
    vocabulary = _first(text, "vocab_size")
    if not (hidden and heads and layers and inner and vocabulary):
        return None
    experts = _first(text, "num_local_experts", "n_routed_experts", "num_experts") or 0
    inners = (inner, _first(text, "moe_intermediate_size")) if experts else (inner,)
    latent = _first(text, "kv_lora_rank")
    return Shape(
        hidden=hidden,
        heads=heads,
        kv_heads=_first(text, "num_key_value_heads") or heads,
        head=_first(text, "head_dim") or hidden // heads,
        windows=_windows(text, layers),
        latent=latent + (_first(text, "qk_rope_head_dim") or 0) if latent else 0,
        inner=tuple(i for i in inners if i),
        experts=experts,
        vocabulary=vocabulary,
        tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings"))),
        positions=_first(text, "max_position_embeddings"),
        group=_group(text.get("quantization_config") or config.get("quantization_config")),
    )


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these that is a number above 0."""
    return next((v for n in names if isinstance(v := config.get(n), int) and v > 0), None)


def _group(told: Any) -> int:
    """From what fp8, AWQ, GPTQ and compressed-tensors say of their scales."""
    if not isinstance(told, dict):
        return 1
    blocks = told.get("weight_block_size")
    sizes = list(blocks) if isinstance(blocks, list) else [told.get("group_size")]
    groups = told.get("config_groups")
    for one in groups.values() if isinstance(groups, dict) else ():
        weights = one.get("weights") if isinstance(one, dict) else None
        sizes.append(weights.get("group_size") if isinstance(weights, dict) else None)
    return math.lcm(*(size for size in sizes if isinstance(size, int) and size > 0))


def _windows(text: Mapping[str, Any], layers: int) -> tuple[int | None, ...]:
    """Where `layer_types` are not told, every layer counts as one that keeps all: never too little."""
    kinds, window = text.get("layer_types"), text.get("sliding_window")
    if not isinstance(kinds, list) or len(kinds) != layers:
        return (None,) * layers
    known: dict[str, int | None] = {"linear_attention": 0, "mamba": 0}
    if isinstance(window, int) and window > 0:
        known["sliding_attention"] = window
    return tuple(known.get(kind) for kind in kinds)


def weight_bytes(config: Mapping[str, Any], stored: int | None, width: float) -> float | None:
    """Bytes of the weights in memory at `width` bytes a number; None where nothing tells.

    `stored` are the bytes of the weight files. Quantised weights stay as they are in the files.
    """
    text: Mapping[str, Any] = config.get("text_config") or config
    if config.get("quantization_config"):
        return stored
    told = config.get("dtype") or config.get("torch_dtype") or text.get("dtype")
    kept = WIDTHS.get(str(told or text.get("torch_dtype")))
    if stored is not None:
        return stored if kept is None else stored * width / kept
    shape = shape_of(config)
    return None if shape is None else shape.parameters() * width
