"""BFPOTrainer: TRL's DPOTrainer with safety labels, any objective of objectives.py, and a buffer."""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from trl import DPOTrainer

from bfpo_bench.engines.routed.folder import Routing
from bfpo_bench.engines.routed.layer import recorded
from bfpo_bench.errors import UserError
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.training.ama.mask import masked_sums
from bfpo_bench.training.ama.rows import Masks
from bfpo_bench.training.batch import LABELLED, MASKS, PairCollator, mixed_mean
from bfpo_bench.training.config import BFPOConfig
from bfpo_bench.training.dataset import Progress, describe_pairs, encode_dataset, with_buffer
from bfpo_bench.training.derta import RefusalCollator, refusal_collator
from bfpo_bench.training.freeze import count_parameters, train_only
from bfpo_bench.training.guards import Guarded
from bfpo_bench.training.load import is_fsdp, load_model, with_padding
from bfpo_bench.training.metrics import BatchView, CaseSums
from bfpo_bench.training.midpo.routed import Routed, check_routing, use_of_experts
from bfpo_bench.training.objectives import bfpo_target
from bfpo_bench.training.referenced import Referenced
from bfpo_bench.training.sampler import MixedSampler


class BFPOTrainer(Routed, Guarded, Referenced, DPOTrainer):
    """Trains on preference pairs with per-response safety labels.

    `train_dataset` has TRL's columns prompt, chosen, rejected (messages or plain text), and
    chosen_safe and rejected_safe (1 or 0) beside them, and margin where the objective asks for it;
    *chosen* is the more helpful response. `buffer_dataset` of the same form is mixed in: each batch
    takes as many pairs from it as from the training data, one forward and one backward for both, and
    the loss is the sum of the two means (BFPO's buffered training, wx-zhang/bfpo at a1febab). A batch
    size counts pairs of the training data.

    The reference is the model as it is given: its log-probabilities are computed before training, or
    a copy of it is kept (`precompute_ref_log_probs=False`). With `ama_baseline` segments of the
    responses are masked (see `training.ama`); a buffer may have none. `margin_model` gives each pair's margin,
    where the objective asks for one: `margin_beta` times that model's own h, as MODPO takes it from a
    safety-DPO model (arXiv 2310.03708). With a `routing` the model is its base with a router over its
    experts (`put_router` of engines/routed/folder.py), and the reference that base alone. `progress` is
    told of what is done before the first step.
    `changed` counts the rows that were cut, `parameters` those that are trained.

    Logged, in nats: h, its target and its residual (root mean square of h - target) for each safety
    case of (chosen, rejected); margin (mean h); accuracy (share of pairs whose h has its target's
    sign, or is above zero where the objective has no target); logps; and tokens_per_second.

    Raises UserError for rows, settings or names that cannot be meant, before anything is trained.
    """

    _tag_names = ["trl", "bfpo"]  # noqa: RUF012
    _name = "BFPO"
    _paper = {"title": "Bi-Factorial Preference Optimization", "id": "2408.15313"}  # noqa: RUF012

    def __init__(
        self,
        model: Any,
        ref_model: Any = None,
        args: BFPOConfig | None = None,
        train_dataset: Dataset | None = None,
        buffer_dataset: Dataset | None = None,
        eval_dataset: Dataset | None = None,
        processing_class: Any = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        peft_config: Any = None,
        margin_model: Any = None,
        margin_beta: float = 0.1,
        routing: Routing | None = None,
        progress: Progress = lambda phase, done, total: None,
    ) -> None:
        args = args or BFPOConfig("bfpo")
        if train_dataset is None:
            raise UserError("BFPOTrainer needs a train_dataset.")
        if args.train_only and peft_config is not None:
            raise UserError("train_only and LoRA cannot be combined: choose one of them.")
        if margin_model is not None and not args.precompute_ref_log_probs:
            raise UserError(
                "A margin model scores the pairs once: leave precompute_ref_log_probs on."
            )
        self.objective = args.resolved_objective()
        check_routing(self.objective, routing)
        self.margin_model, self.margin_beta = margin_model, margin_beta
        self.routing = routing
        self.progress, self.changed = progress, Counter[str]()
        self._sums = {"train": CaseSums(), "eval": CaseSums()}
        self._tokens: Tensor | int = 0
        self.tokens_seen = 0
        self._step_rows: tuple[int, list[tuple[int, int]]] = (-1, [])
        self._clock = 0.0
        if isinstance(model, str):
            model = load_model(model, args)
            args.model_init_kwargs = None
        if not self.objective.needs_reference and margin_model is None:
            # TRL would load a live one
            args.precompute_ref_log_probs = True
        adapted = peft_config is not None or hasattr(model, "peft_config") or routing is not None
        if args.train_only and hasattr(model, "peft_config"):
            raise UserError("train_only and LoRA cannot be combined: choose one of them.")
        # FSDP shards the policy only when the training begins, so a reference is scored beside it
        fleeting = args.precompute_ref_log_probs and is_fsdp()
        if ref_model is None and not adapted and (fleeting or not args.precompute_ref_log_probs):
            # TRL would read the reference from where the model says that it came from
            ref_model = copy.deepcopy(model)
        if args.train_only:
            train_only(model, args.train_only)
        tokenizer = with_padding(processing_class, model)
        multiple = args.pad_to_multiple_of
        given = "margin" in self.objective.inputs and margin_model is None
        self._encoding, self._baseline = (tokenizer, args.lengths, given), args.baseline
        main = self._encoded(train_dataset, "training")
        buffer = self._encoded(buffer_dataset, "buffer") if buffer_dataset is not None else None
        self.main_rows, self.buffer_rows = len(main), len(buffer or ())
        padding = {
            "pad_token_id": tokenizer.pad_token_id,
            "pad_to_multiple_of": multiple if isinstance(multiple, int) else None,
        }
        super().__init__(
            model=model,
            ref_model=ref_model,
            args=args,
            data_collator=refusal_collator((main, buffer), self.changed, tokenizer, args, padding)
            if self.objective.name == "derta"
            else PairCollator(**padding),
            train_dataset=with_buffer(main, buffer),
            eval_dataset=eval_dataset,
            processing_class=tokenizer,
            callbacks=callbacks,
            optimizers=optimizers,
            peft_config=peft_config,
        )
        if fleeting:
            self.ref_model = None
        self.parameters = count_parameters(self.model)
        self._score_only_log_probs()

    def _send_telemetry(self) -> None:
        """Nothing about a training leaves the machine."""

    # Data

    def _encoded(self, dataset: Dataset, name: str) -> Dataset:
        masks = None
        if self._baseline is not None:
            masks = Masks(self._baseline, needed=name == "training")
        encoded, changed = encode_dataset(dataset, name, *self._encoding, self.progress, masks)
        self.changed += changed
        return encoded

    def _prepare_dataset(
        self, dataset: Dataset, processing_class: Any, args: Any, dataset_name: str
    ) -> Dataset:
        if "prompt_ids" in dataset.column_names:
            return dataset
        return with_buffer(self._encoded(dataset, dataset_name), None)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        ours = (*LABELLED, *MASKS)
        self._signature_columns += [n for n in ours if n not in self._signature_columns]

    def get_train_dataloader(self) -> Any:
        return self._get_dataloader(
            dataset=self.train_dataset,
            description="Training",
            batch_size=self._train_batch_size * (2 if self.buffer_rows else 1),
            sampler_fn=self._get_train_sampler,
            is_training=True,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> MixedSampler:
        args = self.args
        seed = args.seed if args.data_seed is None else args.data_seed
        return MixedSampler(self.main_rows, self.buffer_rows, seed, self._begin_epoch)

    def _begin_epoch(self) -> int:
        # The state's epoch is whole where one begins, and a resumed training's is read from its file
        epoch = int(self.state.epoch or 0)
        if isinstance(self.data_collator, RefusalCollator):
            self.data_collator.epoch = epoch
        return epoch

    # The loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        ours = {name: inputs.pop(name) for name in LABELLED if name in inputs}
        kept = inputs.pop("kept", None)
        self.last_batch = ours
        self._remember(ours)
        if self.model.training and isinstance(self._tokens, int):
            # The first since the last log: what came between, an evaluation perhaps, is no training
            self._clock = time.monotonic()
        targets = inputs.get("targets")
        if targets is None:
            targets = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        with recorded(model) as weights:
            outputs = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                labels=targets,
                use_cache=False,
                fused_lm_head=True,
            )
        policy = masked_sums(outputs.log_probs, kept).chunk(2)
        lengths = (targets[:, 1:] != -100).sum(dim=1).chunk(2)
        batch = {
            **ours,
            **dict(zip(("policy_chosen", "policy_rejected"), policy, strict=True)),
            **self._reference(inputs),
            **use_of_experts(weights, inputs["attention_mask"]),
            **dict(zip(("chosen_length", "rejected_length"), lengths, strict=True)),
        }
        losses = self.objective(batch)
        loss = mixed_mean(losses, ours["buffered"])
        training, done = self.model.training, self.state.global_step
        what = f"loss of step {done + 1}" if training else f"loss evaluated after step {done}"
        self.check_finite(loss.item(), what)
        self._look_at(batch, losses, inputs["attention_mask"])
        return (loss, outputs) if return_outputs else loss

    def _remember(self, labels: dict[str, Tensor]) -> None:
        """Which pairs the step at hand has seen: a gradient is of all its batches."""
        step, rows = self.state.global_step, self._step_rows[1]
        places = zip(labels["buffered"].int().tolist(), labels["row"].tolist(), strict=True)
        self._step_rows = (step, [*(rows if self._step_rows[0] == step else []), *places])

    def bad_batch(self) -> str:
        """Writes what the step at hand has seen to bad_batch.json in the output folder, if it is
        trained on."""
        if not self.model.training:
            return ""
        rank = self.accelerator.process_index
        file = Path(self.args.output_dir) / f"bad_batch{f'-{rank}' if rank else ''}.json"
        told = describe_pairs(self.train_dataset, self._step_rows[1], self._tokenizer)
        write_atomically(file, json.dumps(told, indent=1, ensure_ascii=False))
        return f" (its {len(told)} pairs are in {file})"

    def _reference(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """ref_chosen and ref_rejected, or neither where the objective needs none."""
        if not self.objective.needs_reference:
            return {}
        if self.precompute_ref_logps:
            chosen, rejected = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            chosen, rejected = self.compute_ref_log_probs(self.ref_model or self.model, inputs)
        return {"ref_chosen": chosen, "ref_rejected": rejected}

    def _look_at(self, batch: dict[str, Tensor], losses: Tensor, attended: Tensor) -> None:
        policy = batch["policy_chosen"].detach(), batch["policy_rejected"].detach()
        safe = batch["chosen_safe"], batch["rejected_safe"]
        bfpo = self.objective.name == "bfpo"
        h = None
        if self.objective.needs_reference:
            h = (policy[0] - policy[1]) - (batch["ref_chosen"] - batch["ref_rejected"])
        view = BatchView(
            h=h,
            policy_chosen=policy[0],
            policy_rejected=policy[1],
            chosen_safe=safe[0],
            rejected_safe=safe[1],
            loss=losses.detach(),
            buffered=batch["buffered"],
            target=bfpo_target(*safe, **self.objective.parameters) if bfpo else None,
            safety_use=batch.get("safety_use"),
            helpfulness_lack=batch.get("helpfulness_lack"),
        )
        self._sums["train" if self.model.training else "eval"].add(view)
        if self.model.training:
            self._tokens = self._tokens + attended.sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        mode = "train" if self.model.training else "eval"
        means = self._sums[mode].take(self._summed, self.accelerator.device)
        logs |= {f"eval_{k}" if mode == "eval" else k: v for k, v in means.items()}
        if mode == "train":
            tokens = sum(gather_object([int(self._tokens)]))
            if tokens:
                logs["tokens_per_second"] = tokens / (time.monotonic() - self._clock)
            self.tokens_seen += tokens
            self._tokens = 0
        super().log(logs, start_time)

    def _summed(self, sums: Tensor) -> Tensor:
        return self.accelerator.reduce(sums, "sum")
