"""BFPOConfig: TRL's DPOConfig with an objective of ours, and without what would change it unseen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from trl import DPOConfig

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.mask import WITHOUT_SEGMENTS, Baseline, checked_baseline
from bfpo_bench.training.encode import Lengths
from bfpo_bench.training.objective import Objective, resolve_objective

# TRL's settings that change the loss or its reference, and the value at which they do not
_NEUTRAL: dict[str, Any] = {
    "loss_type": ["sigmoid"],
    "loss_weights": None,
    "ld_alpha": None,
    "f_divergence_type": "reverse_kl",
    "label_smoothing": 0.0,
    "label_smoothing_factor": 0.0,
    "use_weighting": False,
    "sync_ref_model": False,
    "router_aux_loss_coef": None,
    "neftune_noise_alpha": None,
    "disable_dropout": True,
    "padding_free": False,
    "truncation_mode": "keep_start",
    "train_sampling_strategy": "random",
    "use_liger_kernel": False,
}


@dataclass
class BFPOConfig(DPOConfig):
    """The training arguments of `BFPOTrainer`.

    Parameters beside DPOConfig's (TRL 1.16) and TrainingArguments':

        objective: a name of objectives.py, or of a package's entry point `bfpo_bench.objectives`.
        objective_args: its hyper-parameters, such as {"tau": 0.01, "b1": 3.0, "alpha": 0.5}. For
            `bfpo` 0 < alpha < 1 is required, outside of which the ranking of responses is lost.
        max_prompt_length: tokens that a prompt is cut to, from the left, where prompt and response
            together exceed max_length.
        train_only: parts of parameter names, such as ["down_proj"]: all other parameters are frozen.
        ama_baseline: masks the gradient by segment rewards (AMA, arXiv 2502.11555): a number, or
            "mean" for the mean over each response's segments; None masks nothing. The training
            data then have chosen_segments and rejected_segments, lists of {"text", "reward"}.
        reference_cache: a folder for the reference's log-probabilities; None computes them anew.

    `precompute_ref_log_probs` is on by default; off keeps a live reference model. bf16 is on by
    default where there is a GPU, and off on a CPU.

    Raises UserError for settings of TRL that would change the objective without a word: other
    losses and divergences, label smoothing, weighting, a moving reference, dropout, `beta` (which
    belongs into objective_args), other sampling orders.
    """

    objective: str = field(default="bfpo", metadata={"help": "What is minimised."})
    objective_args: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "The objective's hyper-parameters."}
    )
    max_prompt_length: int = field(
        default=512, metadata={"help": "Tokens that a prompt of a pair too long is cut to."}
    )
    train_only: list[str] | None = field(
        default=None, metadata={"help": "Parts of the names of the parameters that are trained."}
    )
    ama_baseline: float | str | None = field(
        default=None, metadata={"help": "Segments beyond this reward keep their gradient."}
    )
    reference_cache: str | None = field(
        default=None, metadata={"help": "A folder for the reference's log-probabilities."}
    )
    precompute_ref_log_probs: bool = field(
        default=True, metadata={"help": "Score the reference once before training."}
    )

    _VALID_DICT_FIELDS = [*DPOConfig._VALID_DICT_FIELDS, "objective_args"]  # noqa: RUF012

    def __post_init__(self) -> None:
        if self.bf16 is None and not torch.cuda.is_available():
            self.bf16 = False
        super().__post_init__()
        for name, neutral in _NEUTRAL.items():
            if getattr(self, name) != neutral:
                raise UserError(
                    f"{name} {getattr(self, name)!r} would change the objective {self.objective} "
                    f"unseen: leave it at {neutral!r}."
                )
        if self.beta != type(self).__dataclass_fields__["beta"].default:
            raise UserError(
                f"beta {self.beta} would not be used: give objective_args, such as "
                "{'beta': 0.1} for dpo or {'tau': 0.01} for bfpo."
            )
        if self.max_length is None or not 0 < self.max_prompt_length < self.max_length:
            raise UserError(
                f"max_prompt_length {self.max_prompt_length} must be at least 1 and below max_length "
                f"{self.max_length}: a response needs room."
            )
        if self.ama_baseline is not None:
            checked_baseline(self.ama_baseline)
            if self.objective in WITHOUT_SEGMENTS:
                raise UserError(
                    f"ama_baseline masks segments of the responses, and {self.objective} learns other "
                    "rows than these: leave it out."
                )
        if isinstance(self.train_only, str):
            raise UserError(
                f"train_only {self.train_only!r} is no list: write [{self.train_only!r}], or each of "
                "its letters is taken for a part of a name."
            )
        # A loss that is no number stops the training: there is nothing to filter from the log
        self.logging_nan_inf_filter = False
        self.resolved_objective()

    def resolved_objective(self) -> Objective:
        """The objective with its hyper-parameters. Raises UserError as `resolve_objective` does."""
        given = self.objective_args or {}
        if not isinstance(given, Mapping):
            raise UserError(f"objective_args {given!r} is no mapping: write {{'tau': 0.01}}.")
        return resolve_objective(self.objective, given)

    @property
    def baseline(self) -> Baseline | None:
        """Of the segment rewards, where they mask."""
        return None if self.ama_baseline is None else checked_baseline(self.ama_baseline)

    @property
    def lengths(self) -> Lengths:
        assert self.max_length is not None
        return Lengths(self.max_length, self.max_prompt_length)
