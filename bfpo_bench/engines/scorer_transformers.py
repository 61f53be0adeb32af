"""The transformers scorer: right-padded batches sorted by length, on CPU and GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import Failure, ModelFiles
from bfpo_bench.engines.batching import Fitting, Halving, RowSize, by_length
from bfpo_bench.engines.isolation import answers
from bfpo_bench.engines.loading import described, load_model
from bfpo_bench.engines.scorer import ScoreRequest, has_score_head, without_padding
from bfpo_bench.engines.transformers import check_arguments
from bfpo_bench.errors import UserError

_HEADS = ("score.", "score_head.", "classifier.")
"""Where transformers' sequence classifiers keep their heads."""


class TransformersScorer:
    """`--engine-arg`: dtype (float32, bfloat16, float16), device, batch_size (rows, at most)."""

    name = "transformers"

    def __init__(self, model: Any, files: ModelFiles) -> None:
        self.model = model
        self.device = model.device
        self._text_config = model.config.get_text_config()
        self._text_config.use_cache = False
        self._pad = self._text_config.pad_token_id
        ceiling = int(files.arguments.get("batch_size", 64 if self.device.type == "cpu" else 256))
        self._rows = Halving(ceiling)
        self._size = RowSize.of(model)

    @classmethod
    def load(cls, files: ModelFiles) -> TransformersScorer:
        """The model in `files.folder`; float32 on a CPU.

        Raises UserError where it cannot be loaded, or its weights lack any part of the model.
        """
        check_arguments(files.arguments)
        return cls(load_model(files, lambda dtype: _read(files, dtype)), files)

    def describe(self) -> dict[str, Any]:
        return described(self.model)

    def scores(
        self, requests: Sequence[ScoreRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """Batches of like-long texts, the longest first, so that memory runs out at once or not at all."""
        rows = [without_padding(r.tokens, self._pad) for r in requests]
        lengths = [len(row) for row in rows]
        limits = Fitting(self._rows, lambda i: self._size.rows(lengths[i], predicted=0))
        yield from answers(
            by_length(lengths), limits, lambda batch: self._score([rows[i] for i in batch])
        )

    def _score(self, batch: list[tuple[int, ...]]) -> list[tuple[float, ...]]:
        import torch

        pad = self._padding(batch)
        ids = torch.full((len(batch), max(map(len, batch))), pad)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        with torch.inference_mode():
            logits = self.model(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
            ).logits
        return [tuple(row) for row in logits.float().tolist()]

    def _padding(self, batch: list[tuple[int, ...]]) -> int:
        """The model's pad token, or one that ends no row: decoders score at the last token that is
        none of padding, and a model that names none would refuse a batch."""
        if self._pad is not None:
            return int(self._pad)
        ends = {row[-1] for row in batch}
        free = next(token for token in range(len(ends) + 1) if token not in ends)
        self._text_config.pad_token_id = free
        return free

    def close(self) -> None:
        del self.model


def _read(files: ModelFiles, dtype: str) -> Any:
    """The model by its class. Raises UserError for weights that do not make up a model."""
    from transformers import AutoModelForSequenceClassification

    folder = files.folder
    loader: Any = AutoModelForSequenceClassification
    optional: frozenset[str] = frozenset()
    options: dict[str, Any] = {"trust_remote_code": files.remote_code}
    if has_score_head(json.loads((Path(folder) / "config.json").read_text())):
        from bfpo_bench.engines.score_head import OPTIONAL, LlamaScoreHead

        loader, optional, options = LlamaScoreHead, OPTIONAL, {}
    model, loaded = loader.from_pretrained(
        folder,
        dtype=dtype,
        output_loading_info=True,
        use_safetensors=not files.pickle,
        **options,
    )
    if absent := sorted(set(loaded["missing_keys"]) - optional):
        # They were filled at random, and the scores would be those of noise
        raise UserError(
            f"The weights in {folder} lack {len(absent)} that its config.json asks for "
            f"({absent[0]}, ...): name a model that was trained to give scores."
        )
    if unused := sorted(k for k in loaded["unexpected_keys"] if k.startswith(_HEADS)):
        raise UserError(
            f"The weights in {folder} hold parts of a head that transformers has no place for "
            f"({unused[0]}): its scores cannot be had this way; name another model."
        )
    return model
