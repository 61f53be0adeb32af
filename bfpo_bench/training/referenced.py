"""Which log-probabilities a trainer knows before it begins: the reference's, and a margin model's."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from trl.trainer.utils import add_fused_lm_head, hash_module, use_adapter

from bfpo_bench.engines.routed.layer import experts_off
from bfpo_bench.errors import UserError
from bfpo_bench.training import reference
from bfpo_bench.training.completions import completion_logps, has_plain_head
from bfpo_bench.training.dataset import Progress
from bfpo_bench.training.objective import Objective

Runner = Callable[[list[reference.Scored]], list[float]]
_IDLE = ("transformers_version", "use_cache", "architectures", "dtype", "torch_dtype")
_NAMES = {"train": "training"}
"""TRL's names of data sets, where the progress has another."""


class Referenced:
    """For TRL's DPOTrainer: sequences are scored once and kept on disk, longest first, on all ranks."""

    accelerator: Any
    args: Any
    compute_ref_log_probs: Callable[..., Any]
    data_collator: Any
    is_deepspeed_enabled: bool
    is_fsdp_enabled: bool
    model: Any
    objective: Objective
    progress: Progress
    ref_model: Any
    _precompute_engine: Any
    _precompute_model_hash: str | None
    margin_model: Any = None
    margin_beta: float = 0.1
    _lean_head = False

    def _score_only_log_probs(self) -> None:
        """TRL has the head compute entropies and mean logits as well, for metrics not shown here."""
        if not self._lean_head:
            model = self.model
            add_fused_lm_head(model.get_base_model() if hasattr(model, "peft_config") else model)
            self._lean_head = True

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """The data set with columns ref_chosen_logps and ref_rejected_logps, and with margin where a
        margin model says it: beta times that model's own h; as it is where nothing asks for either."""
        if not self.objective.needs_reference and self.margin_model is None:
            return dataset
        name, rows = _NAMES.get(name, name), 2 * batch_size
        columns = dataset.select_columns(["prompt_ids", "chosen_ids", "rejected_ids"])
        key = self._key(self._precompute_model_hash, self.ref_model or self.model)
        ref = self._scored(
            columns, f"the reference on the {name}", key, self._reference_runner, rows
        )
        for side, logps in ref.items():
            dataset = dataset.add_column(f"ref_{side}_logps", logps)
        if self.margin_model is None:
            return dataset
        key = self._key(hash_module(self.margin_model), self.margin_model)
        own = self._scored(columns, f"the margin on the {name}", key, self._margin_runner, rows)
        gains = [
            [policy - before for policy, before in zip(own[side], ref[side], strict=True)]
            for side in ("chosen", "rejected")
        ]
        self.margin_model.to("cpu")
        margins = [self.margin_beta * (c - r) for c, r in zip(*gains, strict=True)]
        return dataset.add_column("margin", margins)

    def _scored(
        self, columns: Dataset, what: str, key: str, runner: Callable[[], Runner], rows: int
    ) -> dict[str, list[float]]:
        """Each side's log-probabilities in nats, in the order of the rows."""
        ranks, rank = self.accelerator.num_processes, self.accelerator.process_index
        folder = self._reference_folder()
        if folder is not None and len(set(gather_object([key]))) > 1:
            raise UserError(
                "The processes hold different weights, so they would score different references: load "
                "the whole model in each (fsdp_cpu_ram_efficient_loading: false)."
            )
        cache = reference.ReferenceCache(folder, key, rank)
        # Files may lie on disks of their own: what any rank knows, all know
        known = {k: v for part in gather_object([cache.known()]) for k, v in part.items()}
        todo = reference.unscored(columns, known)
        if todo:
            own = reference.batches(todo, rows, rank, ranks)
            tell = partial(self.progress, f"scoring {what} pairs")
            scored = cache.scored(reference.score(todo, own, runner(), tell))
            known |= {k: v for part in gather_object([scored]) for k, v in part.items()}
        return {
            side: [
                known[reference.sequence_id(prompt, answer)]
                for prompt, answer in zip(
                    columns["prompt_ids"], columns[f"{side}_ids"], strict=True
                )
            ]
            for side in ("chosen", "rejected")
        }

    def _reference_runner(self) -> Runner:
        if self.ref_model is not None:
            return self._runner(self.ref_model)
        self._score_only_log_probs()
        if not self.is_deepspeed_enabled:
            return self._runner(self.model)
        from trl.models import prepare_deepspeed

        self._precompute_engine = self._precompute_engine or prepare_deepspeed(
            self.model, self.accelerator
        )
        return self._runner(self._precompute_engine)

    def _margin_runner(self) -> Runner:
        add_fused_lm_head(self.margin_model)
        return self._runner(self.margin_model.to(self.accelerator.device))

    def _scores_plainly(self, model: Any) -> bool:
        sharded = self.is_deepspeed_enabled or self.is_fsdp_enabled
        on_cpu = self.accelerator.device.type == "cpu"
        return on_cpu and not sharded and has_plain_head(model.config)

    def _runner(self, model: Any) -> Runner:
        model.eval()
        pad, device = self.data_collator.pad_token_id, self.accelerator.device

        def run_plainly(batch: list[reference.Scored]) -> list[float]:
            adapted = hasattr(model, "peft_config")
            own = "ref" if adapted and "ref" in model.peft_config else None
            aside = use_adapter(model, own) if adapted else experts_off(model)
            with torch.no_grad(), aside, self.accelerator.autocast():
                inner = model.get_base_model() if adapted else model
                found: list[float] = completion_logps(inner, reference.padded(batch, pad)).tolist()
            return found

        def run(batch: list[reference.Scored]) -> list[float]:
            inputs = {k: v.to(device) for k, v in reference.padded(batch, pad).items()}
            return [x for half in self.compute_ref_log_probs(model, inputs) for x in half.tolist()]

        return run_plainly if self._scores_plainly(model) else run

    def _reference_folder(self) -> Path | None:
        plugin = getattr(self.args, "deepspeed_plugin", None)
        # Partitioned weights cannot be hashed, so nothing could say whose values were kept
        if self.args.reference_cache is None or (plugin and plugin.zero_stage == 3):
            return None
        return Path(self.args.reference_cache)

    def _key(self, weights: str | None, model: Any) -> str:
        return reference.model_key(
            weights,
            str(next(model.parameters()).dtype),
            f"bf16 {self.args.bf16}, fp16 {self.args.fp16}",
            self.accelerator.device.type,
            model.config._attn_implementation,
            json.dumps(_network(model.config), sort_keys=True, default=str),
        )


def _network(config: Any) -> dict[str, Any]:
    """The configuration less what changes no value: weights alone do not say how they are used."""
    told: dict[str, Any] = config.to_dict()
    return {k: v for k, v in told.items() if not k.startswith("_") and k not in _IDLE}
