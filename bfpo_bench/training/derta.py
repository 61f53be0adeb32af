"""DeRTa's rows (arXiv 2407.09121): a refusal after a part of a harmful answer, and a turn at each of
its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl.trainer.utils import pad

from bfpo_bench.errors import UserError
from bfpo_bench.training.batch import PairCollator, label_tensors
from bfpo_bench.training.config import BFPOConfig
from bfpo_bench.training.encode import RENDERED_OTHERWISE

NO_LABEL = -100
"""What torch's losses leave out."""


@dataclass(frozen=True)
class Row:
    """Token ids, and for each place the token that is to be predicted there from the ids before it."""

    ids: list[int]
    labels: list[int]


def refusal_row(
    prompt: Sequence[int], harmful: Sequence[int], refusal: Sequence[int], kept: int
) -> Row:
    """The refusal after the harmful answer's first `kept` tokens: only the refusal is learnt."""
    before = [*prompt, *harmful[:kept]]
    return Row([*before, *refusal], [NO_LABEL] * len(before) + list(refusal))


def transition_row(
    prompt: Sequence[int], harmful: Sequence[int], refusal: Sequence[int], spoken: int
) -> Row:
    """At every place of the harmful answer, and where it ends, the refusal's first token is learnt.

    `spoken` of its tokens are text; the one after them, if there is one, ends it.
    """
    turns = harmful[: spoken + 1]
    return Row([*prompt, *turns], [NO_LABEL] * len(prompt) + [refusal[0]] * len(turns))


def prefix_length(spoken: int, room: int, draw: Random) -> int:
    """How many tokens of the harmful answer stand before the refusal: none in one draw of three, else
    1 to `spoken` - 2 or to what there is `room` for, all alike.

    As RobustNLP/DeRTa (data/train/generate_training_data.py at 966b5a8) draws words; it takes every
    third row for the first case, and draws once, before training.
    """
    longest = min(spoken - 2, room)
    if longest < 1 or not draw.randrange(3):
        return 0
    return draw.randint(1, longest)


@dataclass
class RefusalCollator(PairCollator):
    """For pairs whose chosen response is safe: the first half of the batch are `refusal_row`s, the
    second `transition_row`s, with `targets` (labels, shape of input_ids) in place of a completion mask.

    A pair of two safe responses has no harmful answer: its first row is the chosen response after the
    prompt, its second has no label. Prefixes depend on `seed`, `epoch`, and a pair's row alone. A
    first row holds at most `longest` tokens: what the prefix lacks room for is not drawn. `special`
    tokens end an answer's text.
    """

    seed: int = 0
    longest: int = 1024
    special: frozenset[int] = frozenset()
    epoch: int = 0

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        pairs = [self.rows(example) for example in examples]
        rows = [pair[half] for half in (0, 1) for pair in pairs]
        return {
            "input_ids": self._padded([row.ids for row in rows], self.pad_token_id),
            "attention_mask": self._padded([[1] * len(row.ids) for row in rows], 0),
            "targets": self._padded([row.labels for row in rows], NO_LABEL),
            **label_tensors(examples),
        }

    def rows(self, example: Mapping[str, Any]) -> tuple[Row, Row]:
        """The two rows of one pair."""
        prompt, refusal = example["prompt_ids"], example["chosen_ids"]
        if example["rejected_safe"]:
            return refusal_row(prompt, [], refusal, 0), Row(prompt, [NO_LABEL] * len(prompt))
        harmful = example["rejected_ids"]
        ends = (at for at, token in enumerate(harmful) if token in self.special)
        spoken = next(ends, len(harmful))
        draw = Random(f"{self.seed} {self.epoch} {int(example['buffered'])} {example['row']}")
        kept = prefix_length(spoken, self.longest - len(prompt) - len(refusal), draw)
        return (
            refusal_row(prompt, harmful, refusal, kept),
            transition_row(prompt, harmful, refusal, spoken),
        )

    def _padded(self, rows: Sequence[Sequence[int]], value: int) -> Tensor:
        padded: Tensor = pad(
            [torch.tensor(row) for row in rows],
            padding_value=value,
            padding_side="right",
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        return padded


def refusal_collator(
    parts: Sequence[Dataset | None],
    changed: Mapping[str, int],
    tokenizer: Any,
    args: BFPOConfig,
    padding: dict[str, Any],
) -> RefusalCollator:
    """The collator of a training on these encoded pairs, main data and perhaps a buffer, of which
    encoding has `changed` so many.

    Raises UserError for pairs that derta cannot be trained on, and for loaders in other processes.
    """
    if args.dataloader_num_workers:
        raise UserError(
            "derta draws its prefixes anew in each epoch, of which a loader's own process is not told: "
            "leave dataloader_num_workers at 0."
        )
    check_refusals([part for part in parts if part is not None], changed, tokenizer)
    return RefusalCollator(
        **padding,
        seed=args.seed if args.data_seed is None else args.data_seed,
        longest=args.lengths.max_length,
        special=special_tokens(tokenizer),
    )


def special_tokens(tokenizer: Any) -> frozenset[int]:
    """Those that are no text: one of them ends an answer in every chat template."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(added | set(tokenizer.all_special_ids))


def check_refusals(parts: Sequence[Dataset], changed: Mapping[str, int], tokenizer: Any) -> None:
    """Raises UserError for encoded pairs that are not ordered by safety, for data in which nothing is
    refused, and where a chat template opens every answer itself, so that no refusal's token is first."""
    for part in parts:
        for row, safe in zip(part["row"], part["chosen_safe"], strict=True):
            if not safe:
                raise UserError(
                    f"Row {row} has an unsafe chosen response, and derta takes the chosen one for the "
                    "refusal: order the pairs by the policy safedpo."
                )
    firsts = {
        ids[0]
        for part in parts
        for safe, ids in zip(part["rejected_safe"], part["chosen_ids"], strict=True)
        if not safe
    }
    if not firsts:
        raise UserError(
            "No pair has one safe and one unsafe response, so derta has no answer to turn back from: "
            "give data with such pairs."
        )
    added = tokenizer.added_tokens_decoder
    opened = [added[i].content for i in firsts if i in added and added[i].content.strip()]
    if opened or changed.get(RENDERED_OTHERWISE):
        way = (
            f"opens an answer with {opened[0]!r}" if opened else "renders an open prompt otherwise"
        )
        raise UserError(
            f"The chat template {way}, so derta cannot see a refusal's first token: name a template that "
            "opens answers with their text (chat_template)."
        )
