"""Supervised fine-tuning: TRL's SFTTrainer with the guards of this project's trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trl import SFTTrainer

from bfpo_bench.levels import Levels
from bfpo_bench.training.control.fit import fit_levelled
from bfpo_bench.training.freeze import count_parameters
from bfpo_bench.training.guards import Guarded
from bfpo_bench.training.training_data import TrainingData


def count_cut(
    conversations: Sequence[Sequence[dict[str, str]]], tokenizer: Any, max_length: int
) -> dict[str, int]:
    """How many conversations are longer than `max_length` tokens, of which TRL cuts the end."""
    cut = sum(
        len(tokenizer.apply_chat_template(list(c), tokenize=True, return_dict=False)) > max_length
        for c in conversations
    )
    return {"conversation cut": cut} if cut else {}


@dataclass(frozen=True)
class SftRows:
    """The columns that TRL takes, what was cut and left out, and how many rows have which levels."""

    columns: dict[str, list[Any]]
    changed: Mapping[str, int]
    cells: Mapping[Levels, int] = field(default_factory=dict)


def sft_rows(data: TrainingData, tokenizer: Any, max_length: int) -> SftRows:
    """Whole conversations; responses with levels apart from their prompts, which are not learnt."""
    if data.levelled:
        found = fit_levelled(data.levelled, tokenizer, max_length)
        columns = {"prompt": found.prompts, "completion": found.completions}
        return SftRows(columns, found.changed, found.cells)
    columns = {"messages": list(data.conversations)}
    return SftRows(columns, count_cut(data.conversations, tokenizer, max_length))


class GuardedSFTTrainer(Guarded, SFTTrainer):
    """The loss is TRL's: the mean over all tokens of the conversations, prompts included; of prompts
    with completions, over the completions' tokens alone.

    `changed` counts the conversations that are cut, `cells` those of each pair of levels, where they
    have levels.
    """

    def __init__(
        self,
        changed: Mapping[str, int],
        cells: Mapping[Levels, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.changed = changed
        self.cells = cells or {}
        self.parameters = count_parameters(self.model)

    @property
    def tokens_seen(self) -> int | None:
        """Of the conversations that were trained on, prompts included, as TRL's logs have it."""
        told = [logs["num_tokens"] for logs in self.state.log_history if "num_tokens" in logs]
        return int(told[-1]) if told else None

    def _send_telemetry(self) -> None:
        """Nothing about a training leaves the machine."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        found = super().compute_loss(*args, **kwargs)
        loss = found[0] if isinstance(found, tuple) else found
        self.check_finite(loss.item(), f"loss of step {self.state.global_step + 1}")
        return found
