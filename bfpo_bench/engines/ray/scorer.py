"""Scores of reward and classifier models on Ray: vLLM's pooling interface, one for each worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import Failure, ModelFiles
from bfpo_bench.engines.batching import by_length
from bfpo_bench.engines.ray.core import RayCore
from bfpo_bench.engines.ray.rows import read_classified
from bfpo_bench.engines.ray.setting import Setting
from bfpo_bench.engines.score_folder import classifier_folder
from bfpo_bench.engines.scorer import ScoreRequest, has_score_head, without_padding
from bfpo_bench.engines.vllm_asking import scorer_arguments
from bfpo_bench.engines.vllm_core import Ask

RAW = {"use_activation": False}


class RayScorer:
    """`--engine-arg` takes `workers`, and the arguments of `vllm.LLM` for each of them."""

    name = "ray"

    def __init__(self, setting: Setting, core: RayCore, pad: int | None) -> None:
        self._setting, self._core, self._pad = setting, core, pad

    @classmethod
    def start(cls, files: ModelFiles) -> RayScorer:
        """Join the cluster and see that its nodes can serve the model. None is loaded yet.

        Raises UserError for a cluster that cannot be had, or where the workers cannot be.
        """
        folder = Path(files.folder)
        config = json.loads((folder / "config.json").read_text())
        if has_score_head(config):
            folder = classifier_folder(folder)
        setting = Setting.prepare(files, str(folder), files.context)
        arguments = scorer_arguments(setting.files, cpu=setting.cpu)
        core = RayCore(setting.cluster, setting.shape, setting.model("classify", arguments))
        text = config.get("text_config") or config
        return cls(setting, core, text.get("pad_token_id"))

    def describe(self) -> dict[str, Any]:
        return self._setting.describe(self.name, self._core.asked_again)

    def scores(
        self, requests: Sequence[ScoreRequest]
    ) -> Iterator[tuple[int, tuple[float, ...] | Failure]]:
        """Without padding, as the vllm scorer."""
        rows = [without_padding(r.tokens, self._pad) for r in requests]
        asks = (Ask(i, rows[i], RAW) for i in by_length([len(row) for row in rows]))
        for position, found in self._core.stream(asks, len(rows)):
            yield position, found if isinstance(found, Failure) else read_classified(found)

    def close(self) -> None:
        self._setting.cluster.close()
