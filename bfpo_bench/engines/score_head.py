"""Beaver's reward and cost models: a Llama body and a linear score head at the last token.

After safe_rlhf.models.score_model and safe_rlhf.models.normalizer (PKU-Alignment/safe-rlhf), which
are not needed: the checkpoints hold the body as `model.*` and the head as `score_head.*`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from transformers import LlamaConfig, LlamaModel, LlamaPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from bfpo_bench.errors import UserError

OPTIONAL = frozenset({"score_head.bias"})
"""Upstream's first checkpoints have no bias, and its later code fills in zeros for it."""

_EPSILON = 1e-8

Normalisation = Literal["affine", "scale", "identity"]
_NORMALISATIONS: dict[str, Normalisation] = {
    "reward": "affine",
    "cost": "scale",
    "critic": "identity",
}


class LlamaScoreHead(LlamaPreTrainedModel):
    """Scores of shape (rows, score_dim) at each row's last token that the attention mask has.

    The configuration's `do_normalize` is honoured as upstream does: a reward becomes
    (x - mean) / std, a cost x / std, which keeps its sign.
    """

    _keys_to_ignore_on_load_unexpected = (r"^normalizer\.", r"rotary_emb\.inv_freq$")

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.model = LlamaModel(config)
        width = int(getattr(config, "score_dim", 1))
        self.score_head = torch.nn.Linear(config.hidden_size, width)
        self.kind, self.mean, self.std = normalisation(config.to_dict())
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> SequenceClassifierOutput:
        hidden = self.model(input_ids, attention_mask=attention_mask).last_hidden_state
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        ends = (positions * attention_mask).argmax(-1)
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        scores = self.score_head(hidden[rows, ends]).float()
        if self.kind == "affine":
            scores = scores - scores.new_tensor(self.mean)
        if self.kind != "identity":
            scores = scores / (scores.new_tensor(self.std) + _EPSILON)
        return SequenceClassifierOutput(logits=scores)


def normalisation(config: dict[str, Any]) -> tuple[Normalisation, list[float], list[float]]:
    """What a configuration says is done to the scores: how, their mean and standard deviation.

    Raises UserError where it asks for a normalisation and lacks what that takes.
    """
    if not config.get("do_normalize"):
        return "identity", [], []
    kind = _NORMALISATIONS.get(str(config.get("score_type")))
    mean, var = config.get("mean"), config.get("var")
    if kind is None or mean is None or var is None:
        raise UserError(
            "The score model's config.json asks for normalised scores (do_normalize) without a known "
            "score_type, a mean and a var: complete it."
        )
    return kind, [float(m) for m in mean], [float(v) ** 0.5 for v in var]
