"""From a recipe to what a training needs: data, model, tokenizer, adapters."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bench import REFUSER, STORIES
from peft import get_peft_model
from preference import disturb, saved_model
from recipes import pair_records, recipe, write_records
from safetensors.torch import load_file, save_file

from bfpo_bench.engines.subject import Subject, resolve_subject
from bfpo_bench.errors import UserError
from bfpo_bench.training.data import load_pairs
from bfpo_bench.training.prepare import (
    base_of,
    lora_of,
    margin_model_of,
    margin_of,
    model_of,
    tokenizer_of,
)
from bfpo_bench.training.recipe import Recipe
from bfpo_bench.training.training_data import TrainingData, load_data

TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"


def nothing(text: str) -> None:
    return


def base(given: Recipe) -> Subject:
    return base_of(given, nothing)


def chosen(data: TrainingData) -> list[str]:
    return [pair.chosen for pair in data.pairs]


class TestData:
    def recipe(self, folder: Path, count: int = 8, **changes: Any) -> Recipe:
        write_records(folder / "pairs.jsonl", pair_records(count))
        return recipe(folder / "o", **changes)

    def test_pairs_in_the_order_of_the_seed(self, tmp_path: Path) -> None:
        first, again, other = (
            chosen(load_data(self.recipe(tmp_path, seed=seed))) for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other
        assert sorted(first) == sorted(other)

    def test_bfpo_takes_the_pairs_as_they_are(self, tmp_path: Path) -> None:
        data = load_data(self.recipe(tmp_path))
        assert (data.flipped, data.dropped, data.buffer) == (0, {}, [])
        assert all(text.startswith("Draw") for text in chosen(data))

    def test_a_policy_orders_them(self, tmp_path: Path) -> None:
        """Of eight pairs two each are safe/safe, safe/unsafe, unsafe/safe and unsafe/unsafe: two have
        their safer response as rejected, and four have no safer one."""
        data = load_data(self.recipe(tmp_path, objective={"name": "dpo"}, policy="safety-only"))
        assert len(data.pairs) == 4
        assert sum(text.startswith("Never") for text in chosen(data)) == 2
        assert data.flipped == 2
        assert sum(data.dropped.values()) == 4

    def test_a_policy_that_leaves_nothing_is_refused(self, tmp_path: Path) -> None:
        unsafe = {"chosen_safe": 0, "rejected_safe": 0}
        write_records(tmp_path / "pairs.jsonl", [r | unsafe for r in pair_records(3)])
        strict = recipe(tmp_path / "o", objective={"name": "safedpo"}, policy="safedpo")
        with pytest.raises(UserError, match=r"safedpo leaves none of 3 pairs \(3 .*\): choose"):
            load_data(strict)

    def test_the_buffer_is_read_as_it_is(self, tmp_path: Path) -> None:
        """No policy touches it."""
        write_records(tmp_path / "more.jsonl", pair_records(4))
        more = {"source": "jsonl", "path": str(tmp_path / "more.jsonl")}
        data = load_data(
            self.recipe(tmp_path, objective={"name": "dpo"}, policy="safety-only", buffer=[more])
        )
        assert len(data.buffer) == 4
        assert [report.used for report in data.buffer_reports] == [4]

    def test_the_hash_is_of_all_sources_in_their_order(self, tmp_path: Path) -> None:
        """SHA-256 of a line a source, its name and the hash of what was used of it."""
        small = self.recipe(tmp_path)
        write_records(tmp_path / "more.jsonl", pair_records(4))
        more = {"source": "jsonl", "path": str(tmp_path / "more.jsonl"), "limit": 3}
        data = load_data(small.model_validate(small.dump() | {"buffer": [more]}))
        _, [main] = load_pairs(small.data, 0)
        [buffer] = data.buffer_reports
        told = f"jsonl {main.sha256}\nbuffer jsonl {buffer.sha256}"
        assert data.sha256 == hashlib.sha256(told.encode()).hexdigest()
        assert data.sha256 != load_data(small).sha256

    @pytest.mark.usefixtures("hub")
    def test_conversations_for_the_supervised_stage(self, tmp_path: Path) -> None:
        data = load_data(
            recipe(
                tmp_path / "o",
                stage="sft",
                objective=None,
                data=[
                    {"source": "ultrachat", "limit": 3},
                    {"source": "pku-saferlhf", "target": "safer", "fraction": 0.5},
                ],
            )
        )
        assert data.pairs == ()
        assert [r.source for r in data.reports] == ["ultrachat", "pku-saferlhf"]
        assert len(data.conversations) == sum(r.used for r in data.reports)
        assert all(talk[-1]["role"] == "assistant" for talk in data.conversations)


@pytest.mark.usefixtures("hub")
class TestTokenizer:
    def tokenizer(self, folder: Path, model: str, template: str | None = None) -> Any:
        small = recipe(folder / "o", model=model, chat_template=template)
        return tokenizer_of(small, base(small))

    def test_a_model_s_own_template(self, tmp_path: Path) -> None:
        assert "<|assistant|>" in self.tokenizer(tmp_path, REFUSER).chat_template

    def test_a_model_without_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            UserError, match=r"stories260K has no chat template, so .* take one from"
        ):
            self.tokenizer(tmp_path, STORIES)

    def test_another_model_s(self, tmp_path: Path) -> None:
        """The form is the other model's, and the tokens are its own: a template is only text."""
        own = self.tokenizer(tmp_path, STORIES, template=REFUSER)
        assert own.chat_template == self.tokenizer(tmp_path, REFUSER).chat_template
        ids = own.apply_chat_template([{"role": "user", "content": "Hi"}], return_dict=False)
        assert "<|user|>\nHi" in own.decode(ids)
        assert max(ids) < 512

    def test_one_of_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.jinja"
        file.write_text(TEMPLATE)
        own = self.tokenizer(tmp_path, STORIES, template=str(file))
        talk = [{"role": "user", "content": "Hi"}]
        assert own.apply_chat_template(talk, tokenize=False) == "[user] Hi\n"

    @pytest.mark.parametrize(
        ("template", "words"),
        [
            (STORIES, "stories260K has no chat template: name another model"),
            ("nowhere.jinja", "chat_template nowhere.jinja cannot be read"),
            ("nobody/no-such-model", "There is no model nobody/no-such-model"),
        ],
    )
    def test_one_that_cannot_be_had(self, tmp_path: Path, template: str, words: str) -> None:
        with pytest.raises(UserError, match=words):
            self.tokenizer(tmp_path, STORIES, template=template)


@pytest.mark.usefixtures("hub")
class TestModel:
    def test_it_is_in_float32(self, tmp_path: Path) -> None:
        """Its weights lie in bfloat16, in which small steps would be lost."""
        small = recipe(tmp_path / "o", model=REFUSER)
        model = model_of(small, base(small))
        assert {p.dtype for p in model.parameters()} == {torch.float32}

    def test_it_says_where_it_is_from(self, tmp_path: Path) -> None:
        """An adapter names the hub's id; a reference that is loaded again must be of this commit."""
        small = recipe(tmp_path / "o", model=REFUSER)
        again = Path(model_of(small, base(small)).config._name_or_path)
        assert (again.name, again.is_dir()) == (base(small).base.commit, True)
        lora = recipe(tmp_path / "o", model=REFUSER, lora={"r": 2})
        assert model_of(lora, base(lora)).config._name_or_path == REFUSER

    def test_more_tokens_than_its_context_are_refused(self, tmp_path: Path) -> None:
        small = recipe(tmp_path / "o", model=saved_model(tmp_path / "m"), max_length=257)
        with pytest.raises(UserError, match=r"max_length 257 is above the context .* 256 tokens"):
            model_of(small, base(small))

    def test_another_dtype_is_the_recipe_s_choice(self, tmp_path: Path) -> None:
        small = recipe(tmp_path / "o", model=REFUSER, model_dtype="bfloat16")
        assert model_of(small, base(small)).dtype == torch.bfloat16

    def test_one_of_a_folder(self, tmp_path: Path) -> None:
        small = recipe(tmp_path / "o", model=saved_model(tmp_path / "m"))
        stored = load_file(tmp_path / "m" / "model.safetensors")
        for name, value in model_of(small, base(small)).named_parameters():
            assert torch.equal(value, stored[name])

    def test_weights_that_lack_a_tensor_are_refused(self, tmp_path: Path) -> None:
        """transformers would fill in random ones."""
        small = recipe(tmp_path / "o", model=saved_model(tmp_path / "m"))
        file = tmp_path / "m" / "model.safetensors"
        stored = load_file(file)
        del stored["model.layers.0.mlp.down_proj.weight"]
        save_file(stored, file, metadata={"format": "pt"})
        with pytest.raises(UserError, match=r"lack 1 .*\(model.layers.0.mlp.down_proj.weight, "):
            model_of(small, base(small))

    def test_weights_of_another_shape_are_refused(self, tmp_path: Path) -> None:
        small = recipe(tmp_path / "o", model=saved_model(tmp_path / "m"))
        file = tmp_path / "m" / "config.json"
        config = json.loads(file.read_text())
        file.write_text(json.dumps(config | {"intermediate_size": 65}))
        with pytest.raises(UserError, match="transformers cannot load"):
            model_of(small, base(small))

    def test_a_training_begins_with_no_adapter(self, tmp_path: Path) -> None:
        model = saved_model(tmp_path / "m")
        lora = recipe(tmp_path / "o", model=model, lora={"r": 2})
        plain = model_of(lora, base(lora))
        get_peft_model(plain, lora_of(lora, base(lora), plain)).save_pretrained(tmp_path / "a")
        with pytest.raises(UserError, match=r"is a LoRA adapter, .*: merge it into its base"):
            base(recipe(tmp_path / "o", model=str(tmp_path / "a")))


@pytest.mark.usefixtures("hub")
class TestMarginModel:
    def of(self, folder: Path, model: str, margin: str | None) -> Any:
        given = {"margin": {"model": margin}} if margin else {}
        small = recipe(folder / "o", model=model, objective={"name": "modpo"}, **given)
        return margin_model_of(small, margin_of(small, base(small)))

    def test_none(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, REFUSER, None) is None

    def test_an_adapter_is_merged_into_its_base(self, tmp_path: Path) -> None:
        """What is added to a matrix is B A times lora_alpha / r."""
        start = saved_model(tmp_path / "m")
        small = recipe(tmp_path / "o", model=start, lora={"r": 2, "lora_alpha": 6})
        subject = base(small)
        plain = model_of(small, subject)
        adapted = get_peft_model(plain, lora_of(small, subject, plain))
        disturb(adapted)
        layer = adapted.base_model.model.model.layers[0].mlp.down_proj
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        adapted.save_pretrained(tmp_path / "a")
        found = self.of(tmp_path, start, str(tmp_path / "a")).model.layers[0].mlp.down_proj.weight
        stored = load_file(tmp_path / "m" / "model.safetensors")
        expected = stored["model.layers.0.mlp.down_proj.weight"] + b @ a * 3
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)

    def test_other_words_for_the_same_ids_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=f"margin.model {STORIES} has another vocabulary than"):
            self.of(tmp_path, REFUSER, STORIES)


@pytest.mark.usefixtures("hub")
class TestLora:
    def of(self, folder: Path, **lora: Any) -> Any:
        small = recipe(folder / "o", model=REFUSER, lora=lora)
        subject = base(small)
        return lora_of(small, subject, model_of(small, subject))

    def test_it_has_the_recipe_s_values_and_the_base_s_commit(self, tmp_path: Path) -> None:
        found = self.of(tmp_path, r=4, lora_alpha=8)
        assert (found.r, found.lora_alpha, found.target_modules) == (4, 8, "all-linear")
        assert found.task_type == "CAUSAL_LM"
        assert found.revision == resolve_subject(REFUSER).base.commit

    @pytest.mark.parametrize("target", ["down_proj", "layers.0.mlp.down_proj", "mlp.up_proj"])
    def test_targets_are_layers_or_the_ends_of_their_names(
        self, tmp_path: Path, target: str
    ) -> None:
        assert self.of(tmp_path, target_modules=[target]).target_modules == {target}

    @pytest.mark.parametrize("target", ["donw_proj", "own_proj", "input_layernorm", "mlp"])
    def test_a_target_that_is_no_layer_is_refused(self, tmp_path: Path, target: str) -> None:
        """A norm has no matrix to adapt, and half a name is none."""
        with pytest.raises(UserError, match=f"no layer '{target}'.* name some of down_proj, "):
            self.of(tmp_path, target_modules=["up_proj", target])

    def test_none(self, tmp_path: Path) -> None:
        small = recipe(tmp_path / "o", model=REFUSER)
        assert lora_of(small, base(small), None) is None
