"""Training by DeRTa: the trainer's loss against transformers' own logits, no reference, resuming, and
what cannot be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from preference import disturb, rows, tiny_model, tokenizer, trainer, weights
from transformers import TrainerCallback

from bfpo_bench.errors import UserError
from bfpo_bench.training.derta import RefusalCollator, special_tokens
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.recipe import load_recipe
from bfpo_bench.training.trainer import BFPOTrainer

pytestmark = pytest.mark.usefixtures("hub")

RECIPE = "two-cores/derta"


def safe_chosen(count: int) -> Dataset:
    """Pairs of two safe responses, and of a safe and an unsafe one, in turn."""
    found = [row for row in rows(2 * count) if row["chosen_safe"]]
    return Dataset.from_list(found)


def derta(folder: Path, **changes: Any) -> BFPOTrainer:
    options = {"main": safe_chosen(12), "objective": "derta", **changes}
    return trainer(tiny_model(), folder, **options)


# The loss


def ids_of(row: dict[str, Any], side: str) -> tuple[list[int], list[int]]:
    """(prompt, response) of a pair as the chat template renders them, by transformers alone."""
    render: Any = tokenizer().apply_chat_template
    head = render(row["prompt"], add_generation_prompt=True, tokenize=True, return_dict=False)
    whole = render(row["prompt"] + row[side], tokenize=True, return_dict=False)
    return head, whole[len(head) :]


def log_p(model: Any, before: list[int], token: int) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([before])).logits[0, -1].double()
    return float(logits.log_softmax(-1)[token])


def by_hand(model: Any, row: dict[str, Any], kept: int, transition: float) -> float:
    """A pair's loss, one forward pass for each place, with a prefix of `kept` tokens."""
    head, refusal = ids_of(row, "chosen")
    _, harmful = ids_of(row, "rejected")
    start = head + harmful[:kept]
    said = [log_p(model, start + refusal[:i], token) for i, token in enumerate(refusal)]
    if row["rejected_safe"]:
        return -sum(said) / len(said)
    text = harmful.index(tokenizer().eos_token_id)
    turns = [log_p(model, head + harmful[:place], refusal[0]) for place in range(text + 1)]
    return -sum(said) / len(said) - transition * sum(turns) / len(turns)


def test_the_trainers_loss_is_that_of_single_forward_passes(tmp_path: Path) -> None:
    """Six pairs, three of them of two safe responses: the mean of their losses."""
    main = safe_chosen(6)
    options = {"objective_args": {"transition": 0.7}, "per_device_train_batch_size": 6}
    one = derta(tmp_path, main=main, **options)
    disturb(one.model)
    [batch] = list(one.get_train_dataloader())
    lengths = dict(zip(batch["row"].tolist(), prefixes(batch), strict=True))
    expected = [by_hand(one.model, main[i], lengths[i], 0.7) for i in range(6)]
    assert max(lengths.values()) > 0
    found = one.compute_loss(one.model, batch).item()
    assert found == pytest.approx(sum(expected) / 6, rel=1e-5)


def prefixes(batch: dict[str, Any]) -> list[int]:
    """How many tokens stand between prompt and refusal in each first row."""
    half = len(batch["row"])
    firsts = (batch["targets"] != -100).int().argmax(1)
    prompts = [len(ids_of(row, "chosen")[0]) for row in safe_chosen(12)]
    return [int(firsts[i]) - prompts[int(batch["row"][i])] for i in range(half)]


def test_a_token_that_ends_an_answer_is_special() -> None:
    assert tokenizer().eos_token_id in special_tokens(tokenizer())
    assert tokenizer().encode("roses", add_special_tokens=False)[0] not in special_tokens(
        tokenizer()
    )


# The trainer


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as it comes"),
        pytest.param({"precompute_ref_log_probs": False}, id="a live one asked for"),
        pytest.param({"objective": "sft"}, id="supervised on the chosen"),
        pytest.param({"peft_config": LoraConfig(r=2, target_modules=["q_proj"])}, id="LoRA"),
    ],
)
def test_there_is_no_reference(
    tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BFPOTrainer, "compute_ref_log_probs", None)
    monkeypatch.setattr(BFPOTrainer, "_reference_runner", None)
    one = derta(tmp_path, **changes)
    one.train()
    assert one.ref_model is None
    assert not any(name.startswith("ref_") for name in one.train_dataset.column_names)
    logged = {key for log in one.state.log_history for key in log}
    assert "logps/chosen" in logged
    assert not {key for key in logged if key.startswith(("h/", "margin", "accuracy"))}


class Stop(TrainerCallback):
    """Saves after so many steps and ends the training there."""

    def __init__(self, after: int | None) -> None:
        self.after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.after:
            control.should_save = control.should_training_stop = True


def make(folder: Path, stop: Stop, **changes: Any) -> BFPOTrainer:
    """Three epochs of three batches of four pairs, of which half are of two safe responses."""
    options = {"num_train_epochs": 3, "max_steps": -1, "learning_rate": 1e-2, **changes}
    options |= {"optim": "adamw_torch", "lr_scheduler_type": "cosine", "callbacks": [stop]}
    return derta(folder, **options)


@pytest.mark.parametrize("stopped", [4, 3], ids=["in the middle of epoch 2", "between epochs"])
@pytest.mark.parametrize("buffered", [False, True], ids=["alone", "with a buffer"])
def test_two_halves_are_one_training(tmp_path: Path, stopped: int, buffered: bool) -> None:
    def started(name: str, stop: int | None = None) -> BFPOTrainer:
        buffer = safe_chosen(5) if buffered else None
        return make(tmp_path / name, Stop(stop), buffer=buffer)

    whole = started("whole")
    whole.train()
    assert whole.state.global_step == 9
    started("halves", stopped).train()
    second = started("halves")
    second.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "halves")))
    expected, found = weights(whole.model), weights(second.model)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    assert isinstance(second.data_collator, RefusalCollator)
    assert second.data_collator.epoch == 2


def test_prefixes_are_drawn_anew_in_each_epoch(tmp_path: Path) -> None:
    one = derta(tmp_path)
    drawn = []
    for epoch in (0, 1, 0):
        one.state.epoch = float(epoch)
        batches = list(one.get_train_dataloader())
        rows_of = [int(row) for batch in batches for row in batch["row"]]
        lengths = [length for batch in batches for length in prefixes(batch)]
        drawn.append(dict(zip(rows_of, lengths, strict=True)))
    assert drawn[0] == drawn[2] != drawn[1]
    safe = [i for i, row in enumerate(safe_chosen(12)) if row["rejected_safe"]]
    assert {drawn[epoch][row] for epoch in (0, 1) for row in safe} == {0}


# What cannot be trained on


def test_an_unsafe_response_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Row 2 has an unsafe chosen .* by the policy safedpo"):
        derta(tmp_path, main=Dataset.from_list(rows(4)))


def test_without_harm_there_is_nothing_to_turn_back_from(tmp_path: Path) -> None:
    safe = [row for row in rows(8) if row["rejected_safe"] and row["chosen_safe"]]
    with pytest.raises(UserError, match="No pair has one safe and one unsafe response"):
        derta(tmp_path, main=Dataset.from_list(safe))


def test_a_template_that_opens_every_answer_itself(tmp_path: Path) -> None:
    """As those of models that think: what comes first is no refusal."""
    own, plain = tokenizer(), "{{ m['content'] | trim }}"
    assert plain in own.chat_template
    own.add_tokens(["<think>"])
    opening = "{{ '<think>' if m['role'] == 'assistant' else '' }}"
    own.chat_template = own.chat_template.replace(plain, opening + plain)
    try:
        with pytest.raises(UserError, match="template opens an answer with '<think>', so derta"):
            derta(tmp_path)
    finally:
        tokenizer.cache_clear()


def test_a_template_that_renders_an_open_prompt_otherwise(tmp_path: Path) -> None:
    own = tokenizer()
    opened = own.chat_template.replace("<|assistant|>\n", "<|assistant|>\nNow: ")
    assert opened != own.chat_template
    own.chat_template = opened
    try:
        with pytest.raises(UserError, match="template renders an open prompt otherwise, so derta"):
            derta(tmp_path)
    finally:
        tokenizer.cache_clear()


def test_loaders_of_their_own_know_no_epoch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave dataloader_num_workers at 0"):
        derta(tmp_path, dataloader_num_workers=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("policy=null", "derta is defined on pairs of policy: safedpo"),
        ("policy=safe-first", "derta is defined on pairs of policy: safedpo"),
        ("reference=precomputed", "reference: the objective derta needs no reference: leave it"),
        ("reference=live", "reference: the objective derta needs no reference: leave it out"),
        ("reference_cache=r", "reference_cache: the objective derta needs no reference"),
        ("margin={model: m}", "margin: the objective derta asks for none"),
        ("objective.transition=-1", "derta needs transition at 0 or above, not -1"),
        ("objective.beta=0.1", "derta has no parameter 'beta': it takes transition"),
    ],
)
def test_what_a_recipe_may_not_say(change: str, sentence: str) -> None:
    load_recipe(RECIPE)
    with pytest.raises(UserError, match=sentence):
        load_recipe(RECIPE, [change])
