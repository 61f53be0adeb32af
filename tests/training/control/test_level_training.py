"""Training under levels: whose tokens are learnt, a training in two halves, and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from preference import PLAIN, rows, tiny_model, tokenizer, weights
from recipes import write_records
from torch.nn.functional import cross_entropy
from training import TINY, Trained, train
from transformers import TrainerCallback
from trl import SFTConfig

from bfpo_bench.errors import UserError
from bfpo_bench.levels import Levels
from bfpo_bench.runs.training_manifest import TrainingManifest
from bfpo_bench.training.control.fit import CUT, NO_ROOM, fit_levelled
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.pairs import Levelled
from bfpo_bench.training.recipe import load_recipe
from bfpo_bench.training.sft import GuardedSFTTrainer, sft_rows
from bfpo_bench.training.training_data import TrainingData

pytestmark = pytest.mark.usefixtures("hub")

RECIPE = "two-cores/control-tokens"
LINE = "\n\n[helpful=1][harmless=0]</s>\n<|assistant|>\n"


def levelled(count: int) -> list[Levelled]:
    """The four pairs of levels in turn."""
    return [
        Levelled((*row["prompt"], *row["chosen"]), Levels(number // 2 % 2, number % 2))
        for number, row in enumerate(rows(count))
    ]


def trainer(folder: Path, data: list[Levelled], **changes: Any) -> GuardedSFTTrainer:
    found = sft_rows(TrainingData((), levelled=data), tokenizer(), 64)
    settings = {k: v for k, v in PLAIN.items() if not k.startswith("max_length")}
    callbacks = changes.pop("callbacks", None)
    return GuardedSFTTrainer(
        found.changed,
        found.cells,
        model=tiny_model(),
        args=SFTConfig(str(folder), max_length=64, **{**settings, **changes}),
        train_dataset=Dataset.from_dict(found.columns),
        processing_class=tokenizer(),
        callbacks=callbacks,
    )


def ids_of(one: Levelled) -> tuple[list[int], list[int]]:
    """(prompt with its line, response) by hand and transformers alone."""
    asked = f"{one.messages[0]['content']}\n\n[helpful={one.levels.helpfulness}]"
    prompt = [{"role": "user", "content": f"{asked}[harmless={one.levels.safety}]"}]
    render: Any = tokenizer().apply_chat_template
    head = render(prompt, add_generation_prompt=True, tokenize=True, return_dict=False)
    whole = render([*prompt, one.messages[1]], tokenize=True, return_dict=False)
    assert whole[: len(head)] == head
    return head, whole[len(head) :]


def test_only_the_response_is_learnt(tmp_path: Path) -> None:
    """Every label of the prompt, the line of levels and the template's words before the answer is the
    one that is passed over; what is left is the response, with its end."""
    data = levelled(4)
    one = trainer(tmp_path, data)
    for row, given in zip(one.train_dataset, data, strict=True):
        head, response = ids_of(given)
        assert row["input_ids"] == head + response
        assert row["labels"] == [-100] * len(head) + response
    third = one.train_dataset[2]
    passed = sum(label == -100 for label in third["labels"])
    assert tokenizer().decode(third["input_ids"][:passed]).endswith(LINE)


def test_the_loss_is_the_mean_over_the_responses_tokens(tmp_path: Path) -> None:
    """By one forward pass each, in float64."""
    data = levelled(3)
    one = trainer(tmp_path, data)
    expected, tokens = 0.0, 0
    for given in data:
        head, response = ids_of(given)
        with torch.no_grad():
            logits = one.model(input_ids=torch.tensor([head + response])).logits[0].double()
        said = logits[len(head) - 1 : -1]
        expected += cross_entropy(said, torch.tensor(response), reduction="sum").item()
        tokens += len(response)
    batch = one.data_collator([one.train_dataset[i] for i in range(3)])
    assert one.compute_loss(one.model, batch).item() == pytest.approx(expected / tokens, rel=1e-5)


class Stop(TrainerCallback):
    """Saves after so many steps and ends the training there."""

    def __init__(self, after: int | None) -> None:
        self.after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.after:
            control.should_save = control.should_training_stop = True


def test_two_halves_are_one_training(tmp_path: Path) -> None:
    def started(name: str, stop: int | None = None) -> GuardedSFTTrainer:
        options = {"num_train_epochs": 2, "max_steps": -1, "optim": "adamw_torch"}
        return trainer(tmp_path / name, levelled(12), callbacks=[Stop(stop)], **options)

    whole = started("whole")
    whole.train()
    started("halves", 4).train()
    second = started("halves")
    second.train(resume_from_checkpoint=str(last_checkpoint(tmp_path / "halves")))
    assert second.state.global_step == whole.state.global_step == 6
    expected, found = weights(whole.model), weights(second.model)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


def test_a_response_without_room_is_left_out_and_counted() -> None:
    """A prompt of 200 words fills 64 tokens; a response of as many is cut."""
    [short] = levelled(1)
    long = "tree " * 200
    full = Levelled(({"role": "user", "content": long}, short.messages[1]), Levels(0, 0))
    endless = Levelled((short.messages[0], {"role": "assistant", "content": long}), Levels(1, 1))
    found = fit_levelled([short, full, endless], tokenizer(), 64)
    assert found.changed == {NO_ROOM: 1, CUT: 1}
    assert found.cells == {Levels(0, 0): 1, Levels(1, 1): 1}
    assert len(found.prompts) == len(found.completions) == 2
    with pytest.raises(UserError, match="No response begins within max_length 64"):
        fit_levelled([full], tokenizer(), 64)


def test_the_recipe_trains_and_its_model_tells_its_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    messages = [list(one.messages) for one in levelled(6)]
    records = [
        {"messages": told, "helpfulness_level": number % 2, "safety_level": 2}
        for number, told in enumerate(messages)
    ]
    write_records(tmp_path / "levelled.jsonl", records)
    small = [c for c in TINY if not c.startswith(("two-cores", "data", "buffer", "max_prompt"))]
    said = train(
        RECIPE,
        *small,
        "data=[{source: jsonl, path: levelled.jsonl}]",
        *("levels=3", "lora=null", "output=o"),
    )
    assert said.code == 0, said.err[-3000:]
    assert "responses by levels of helpfulness,safety: 0,2: 3; 1,2: 3" in said.err
    assert said.out.endswith("next: bfpo-bench run --model o --levels all\n")
    manifest = Trained(Path("o")).manifest
    assert manifest["levels"] == {"count": 3, "cells": {"0,2": 3, "1,2": 3}}
    told = TrainingManifest.model_validate(manifest).describe()
    assert told.startswith("sft levels=3 on ")
    assert "`[helpful=1][harmless=2]` are the highest" in Path("o/README.md").read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("packing=true", "packing takes rows apart"),
        ("levels=1", "levels: Input should be greater than or equal to 2"),
        ("levels=3", "Source pku-saferlhf has labels for levels: 2, and the recipe says 3"),
        ("data=[{source: ultrachat}]", "Source ultrachat has no levels"),
        ("data.0.target=safer", "Source pku-saferlhf has target"),
        ("data.0.group=general", "a source has a group"),
        ("levels=null", "Source pku-saferlhf has pairs, and supervised fine-tuning learns one"),
    ],
)
def test_what_a_recipe_may_not_say(change: str, sentence: str) -> None:
    assert load_recipe(RECIPE).levels == 2
    with pytest.raises(UserError, match=sentence):
        load_recipe(RECIPE, [change])


def test_levels_are_for_the_supervised_stage() -> None:
    with pytest.raises(UserError, match="levels is for the sft stage"):
        load_recipe("two-cores/bfpo", ["levels=2"])
