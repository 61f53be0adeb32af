"""The vLLM scorer: a classifier's raw outputs through vLLM's pooling interface. CPU or GPU."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bfpo_bench.engines.base import ModelFiles
from bfpo_bench.engines.batching import by_length
from bfpo_bench.engines.score_folder import classifier_folder
from bfpo_bench.engines.scorer import ScoreRequest, has_score_head, without_padding
from bfpo_bench.engines.vllm_asking import scorer_arguments
from bfpo_bench.engines.vllm_setting import parallel, set_environment, started
from bfpo_bench.errors import UserError, first_line

AT_ONCE = 512
"""Requests handed to vLLM in one call: enough to fill its batches; a kill loses no more than these."""

NOT_HERE = ("max_model_len", "data_parallel_size")
"""Arguments that are given for a subject and a judge alike and do not hold for a scorer: its context
is its own, and `vllm.LLM`, whose pooling interface it needs, has one engine."""


class VllmScorer:
    """`--engine-arg` takes the arguments of `vllm.LLM` (gpu_memory_utilization, max_num_seqs, ...)."""

    name = "vllm"

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self._pad = llm.llm_engine.model_config.hf_text_config.pad_token_id

    @classmethod
    def load(cls, files: ModelFiles) -> VllmScorer:
        """The model in `files.folder`; float32 and a small cache on a CPU."""
        given = {k: v for k, v in files.arguments.items() if k not in NOT_HERE}
        set_environment(files.folder, files.context, given)
        from vllm import LLM
        from vllm.platforms import current_platform

        arguments = scorer_arguments(replace(files, arguments=given), cpu=current_platform.is_cpu())
        folder = Path(files.folder)
        if has_score_head(json.loads((folder / "config.json").read_text())):
            folder = classifier_folder(folder)
        try:
            llm, _ = started(lambda: LLM(model=str(folder), **arguments))
        except (ValueError, TypeError, RuntimeError, OSError, AssertionError) as error:
            reason = first_line(error)
            raise UserError(
                f"vLLM cannot score with {files.folder}: {reason}; see the run's log, or use "
                "--engine transformers."
            ) from error
        return cls(llm)

    def describe(self) -> dict[str, Any]:
        import torch
        import vllm
        from vllm.platforms import current_platform

        config = self.llm.llm_engine.model_config
        return {
            "engine": self.name,
            "device": "cpu" if current_platform.is_cpu() else current_platform.get_device_name(),
            "dtype": str(config.dtype).removeprefix("torch."),
            "versions": {"torch": torch.__version__, "vllm": vllm.__version__},
            **parallel(self.llm.llm_engine.vllm_config.parallel_config),
        }

    def scores(self, requests: Sequence[ScoreRequest]) -> Iterator[tuple[int, tuple[float, ...]]]:
        """vLLM scores at the last token given, so that padding is taken away as transformers does.

        Raises vLLM's EngineDeadError when its engine dies.
        """
        from vllm import PoolingParams

        rows = [without_padding(r.tokens, self._pad) for r in requests]
        order = by_length([len(row) for row in rows])
        for start in range(0, len(order), AT_ONCE):
            positions = order[start : start + AT_ONCE]
            outputs = self.llm.encode(
                [{"prompt_token_ids": list(rows[i])} for i in positions],
                pooling_params=PoolingParams(use_activation=False),
                pooling_task="classify",
                use_tqdm=False,
            )
            for position, output in zip(positions, outputs, strict=True):
                yield position, tuple(output.outputs.data.float().tolist())

    def close(self) -> None:
        self.llm.llm_engine.engine_core.shutdown()
        del self.llm
