"""Supervised fine-tuning: the loss, what is trained, and that it stops at what is no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from preference import PLAIN, rows, tiny_model, tokenizer, weights
from torch.nn.functional import cross_entropy
from trl import SFTConfig

from bfpo_bench.errors import UserError
from bfpo_bench.training.freeze import train_only
from bfpo_bench.training.sft import GuardedSFTTrainer, count_cut

pytestmark = pytest.mark.usefixtures("hub")


def conversations(count: int) -> list[list[dict[str, str]]]:
    return [row["prompt"] + row["chosen"] for row in rows(count)]


def trainer(model: Any, folder: Path, **changes: Any) -> GuardedSFTTrainer:
    settings = {k: v for k, v in PLAIN.items() if not k.startswith("max_length")}
    return GuardedSFTTrainer(
        changed={},
        model=model,
        args=SFTConfig(str(folder), max_length=64, **{**settings, **changes}),
        train_dataset=Dataset.from_dict({"messages": conversations(8)}),
        processing_class=tokenizer(),
    )


def test_the_loss_is_the_mean_over_all_tokens_of_the_conversations(tmp_path: Path) -> None:
    """Prompts included: every token of both conversations but the first is predicted, and each
    counts as much as any other, whatever conversation it is of."""
    model = tiny_model()
    expected, tokens = 0.0, 0
    for messages in conversations(2):
        ids = torch.tensor(
            tokenizer().apply_chat_template(messages, tokenize=True, return_dict=False)
        )
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0]
        expected += cross_entropy(logits[:-1].double(), ids[1:], reduction="sum").item()
        tokens += len(ids) - 1

    one = trainer(model, tmp_path, packing=False)
    batch = one.data_collator([one.train_dataset[0], one.train_dataset[1]])
    lengths = batch["attention_mask"].sum(dim=1)
    assert lengths[0] != lengths[1]
    assert one.compute_loss(model, batch).item() == pytest.approx(expected / tokens, rel=1e-5)


def test_selective_training_changes_what_it_should(tmp_path: Path) -> None:
    """Two layers of down_proj, 64 x 32 weights each."""
    model = tiny_model()
    train_only(model, ["down_proj"])
    before = weights(model)
    one = trainer(model, tmp_path, packing=False)
    assert one.parameters.trained == 2 * 64 * 32
    assert one.parameters.all == sum(value.numel() for value in before.values())
    one.train()
    changed = {n for n, value in weights(model).items() if not torch.equal(value, before[n])}
    assert changed == {n for n in before if "down_proj" in n}


def test_tokens_are_counted_without_padding(tmp_path: Path) -> None:
    """One epoch of all eight conversations, of different lengths, two at a time: each token once."""
    whole = sum(
        len(tokenizer().apply_chat_template(messages, tokenize=True, return_dict=False))
        for messages in conversations(8)
    )
    more = {"num_train_epochs": 1, "max_steps": -1, "per_device_train_batch_size": 2}
    one = trainer(tiny_model(), tmp_path, packing=False, **more)
    assert one.tokens_seen is None
    one.train()
    assert one.tokens_seen == whole


def test_a_loss_that_is_no_number_stops_it(tmp_path: Path) -> None:
    model = tiny_model()
    one = trainer(model, tmp_path, packing=False)
    with torch.no_grad():
        model.model.embed_tokens.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="The loss of step 1 is nan: lower learning_rate"):
        one.train()


def test_what_is_cut_is_counted() -> None:
    """Two turns of a few tokens, and one of 200 words."""
    short = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    long = [*short[:1], {"role": "assistant", "content": "Hello. " * 200}]
    assert count_cut([short, long, short], tokenizer(), 128) == {"conversation cut": 1}
    assert count_cut([short], tokenizer(), 128) == {}
