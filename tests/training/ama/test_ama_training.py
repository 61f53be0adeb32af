"""A training whose gradient is masked: what its weights become, and what they must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from preference import disturb, pairs, rows, tiny_model, tokenizer, trainer, weights

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.rows import NOTHING_KEPT
from bfpo_bench.training.batch import PairCollator
from bfpo_bench.training.guards import go_on, last_checkpoint

pytestmark = pytest.mark.usefixtures("hub")


def segmented(count: int, *rewards: float) -> Dataset:
    """Pairs whose responses are cut after their second word: of chosen the parts have these rewards, of
    rejected their opposites."""
    found = rows(count)
    for row in found:
        for side, sign in (("chosen", 1), ("rejected", -1)):
            one, two, *rest = row[side][0]["content"].split(" ")
            parts = (f"{one} {two} ", " ".join(rest))
            row[f"{side}_segments"] = [
                {"text": text, "reward": sign * reward}
                for text, reward in zip(parts, rewards, strict=True)
            ]
    return Dataset.from_list(found)


def test_masks_are_padded_as_the_completions_are() -> None:
    """Prompts of three and one tokens; the chosen rows first, then the rejected ones."""
    examples = [
        {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]},
        {"prompt_ids": [7], "chosen_ids": [8, 9, 10], "rejected_ids": [11, 12]},
    ]
    masks = [
        {"chosen_kept": [0, 1], "rejected_kept": [1]},
        {"chosen_kept": [1, 0, 1], "rejected_kept": [0, 1]},
    ]
    batch = PairCollator(pad_token_id=0, pad_to_multiple_of=3)(
        [one | mask for one, mask in zip(examples, masks, strict=True)]
    )
    assert batch["kept"].tolist() == [
        [0, 0, 0, 0, 1, 0],
        [0, 1, 0, 1, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 1, 0, 0, 0],
    ]
    assert batch["kept"].shape == batch["completion_mask"].shape
    assert torch.all(batch["kept"] <= batch["completion_mask"])
    assert "kept" not in PairCollator(pad_token_id=0)(examples)


VARIANTS: dict[str, dict[str, Any]] = {
    "bfpo": {"objective_args": {"tau": 0.1}},
    "dpo": {"objective": "dpo"},
    "sft": {"objective": "sft"},
    "buffer": {"buffer": 5},
    "live reference": {"precompute_ref_log_probs": False},
    "checkpointing": {"gradient_checkpointing": True},
    "LoRA": {"lora": True},
    "accumulation": {"gradient_accumulation_steps": 2},
}


def trained(folder: Path, baseline: float | str | None, data: Dataset, **changes: Any) -> Any:
    buffer, lora = changes.pop("buffer", 0), changes.pop("lora", False)
    one = trainer(
        tiny_model(),
        folder,
        main=data,
        buffer=pairs(buffer, start=40) if buffer else None,
        peft_config=LoraConfig(r=2, target_modules=["q_proj"]) if lora else None,
        ama_baseline=baseline,
        **changes,
    )
    one.train()
    return one


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_mask_of_ones_changes_no_bit(tmp_path: Path, variant: str) -> None:
    """All of chosen is above the baseline and all of rejected below it. The buffer has no segments."""
    data, changes = segmented(16, 1.0, 0.5), VARIANTS[variant]
    plain, ones = (trained(tmp_path, b, data, **changes) for b in (None, 0.0))
    expected, found = weights(plain.model), weights(ones.model)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    assert "kept" in next(iter(ones.get_train_dataloader()))
    assert "kept" not in next(iter(plain.get_train_dataloader()))


def test_with_nothing_kept_the_weights_stay(tmp_path: Path) -> None:
    """Equal rewards are at their mean. The loss is the plain one all the same."""
    data = segmented(16, 1.0, 1.0)
    masked, plain = (trained(tmp_path, baseline, data) for baseline in ("mean", None))
    start, found = weights(tiny_model()), weights(masked.model)
    assert all(torch.equal(found[name], start[name]) for name in start)
    first = [one.state.log_history[0]["loss"] for one in (masked, plain)]
    assert first[0] == first[1]
    assert masked.state.log_history[3]["loss"] != plain.state.log_history[3]["loss"]
    assert masked.changed == {
        NOTHING_KEPT.format("chosen"): 16,
        NOTHING_KEPT.format("rejected"): 16,
    }


def log_prob_of(model: Any, row: dict[str, Any], side: str, first: int, last: int) -> torch.Tensor:
    """The log-probability of the response's tokens from `first` to before `last`, by transformers alone."""
    render = tokenizer().apply_chat_template
    ids = render(row["prompt"] + row[side], tokenize=True, return_dict=False)
    start = len(render(row["prompt"], add_generation_prompt=True, tokenize=True, return_dict=False))
    log_probs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(log_probs[start + i - 1, ids[start + i]] for i in range(first, last))


def test_the_gradient_is_that_of_the_kept_tokens_and_no_neighbour_s(tmp_path: Path) -> None:
    """One pair, DPO with beta 1. Of both responses the second part is kept, from the token of the third
    word to the end of the turn; lengths are counted here by the tokenizer. With s = sigmoid(-h) the
    gradient is -s (that of chosen's kept tokens less that of rejected's)."""
    data = segmented(1, -1.0, 1.0)
    one = trainer(
        tiny_model(),
        tmp_path,
        main=data,
        objective="dpo",
        objective_args={"beta": 1.0},
        ama_baseline=0.0,
        per_device_train_batch_size=1,
    )
    disturb(one.model)
    batch = one.data_collator([one.train_dataset[0]])
    one.model.train()
    one.compute_loss(one.model, batch).backward()
    found = {name: p.grad.clone() for name, p in one.model.named_parameters()}

    (row,) = rows(1)
    model, reference = tiny_model(), tiny_model()
    disturb(model)
    h, kept = torch.zeros(()), torch.zeros(())
    for side, sign in (("chosen", 1), ("rejected", -1)):
        content = row[side][0]["content"]
        words = content.split(" ")
        head = len(tokenizer()(" ".join(words[:2]), add_special_tokens=False)["input_ids"])
        whole = len(one.train_dataset[0][f"{side}_ids"])
        assert 0 < head < whole
        h = h + sign * log_prob_of(model, row, side, 0, whole).detach()
        h = h - sign * log_prob_of(reference, row, side, 0, whole).detach()
        kept = kept + sign * log_prob_of(model, row, side, head, whole)
    (-torch.sigmoid(-h) * kept).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_training_data_without_segments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^Row 0 has no chosen_segments"):
        trainer(tiny_model(), tmp_path, ama_baseline=0.0)


def test_an_objective_of_other_rows_and_a_baseline_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="derta learns other rows"):
        trainer(tiny_model(), tmp_path, ama_baseline=0.0, objective="derta")
    with pytest.raises(UserError, match="'median': give a number, or mean"):
        trainer(tiny_model(), tmp_path, ama_baseline="median")


def test_an_evaluation_needs_no_segments(tmp_path: Path) -> None:
    one = trainer(
        tiny_model(),
        tmp_path,
        main=segmented(8, 1.0, -1.0),
        eval_dataset=pairs(4),
        ama_baseline="mean",
    )
    assert one.evaluate()["eval_loss"] > 0


def test_two_halves_are_one_training(tmp_path: Path) -> None:
    """Stopped after two of four steps of AdamW on a cosine: the same weights as in one go."""
    options = {
        "main": segmented(16, -1.0, 1.0),
        "buffer": pairs(5, start=40),
        "ama_baseline": "mean",
        "learning_rate": 1e-2,
        "optim": "adamw_torch",
        "lr_scheduler_type": "cosine",
    }
    whole = trainer(tiny_model(), tmp_path / "whole", **options)
    whole.train()
    half = trainer(
        tiny_model(), tmp_path / "halves", save_strategy="steps", save_steps=2, **options
    )
    half.train()
    checkpoint = tmp_path / "halves" / "checkpoint-2"
    assert last_checkpoint(tmp_path / "halves") == tmp_path / "halves" / "checkpoint-4"
    rest = trainer(tiny_model(), tmp_path / "halves", **options)
    go_on(rest, checkpoint)
    expected, found = weights(whole.model), weights(rest.model)
    assert rest.state.global_step == 4
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    plain = trainer(tiny_model(), tmp_path / "plain", **(options | {"ama_baseline": None}))
    plain.train()
    assert not any(torch.equal(weights(plain.model)[name], expected[name]) for name in expected)
