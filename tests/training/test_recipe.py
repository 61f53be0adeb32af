"""Recipes: the shipped ones against the paper's, changes to them, and what tells two apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bfpo_bench.training.recipe import ACCELERATE, FOLDER, load_recipe, shipped

PKU_COMMIT = "ff7ba91063016c78a225b0f74e1c0860bb18230f"
PREFERENCE = "two-cores/bfpo"
SFT = "mistral-7b/sft"


class TestShipped:
    def test_these_are_there(self) -> None:
        assert shipped() == [
            "llama-3.1-8b/bfpo-lora",
            "mistral-7b/bfpo",
            "mistral-7b/sft",
            "two-cores/ama-bfpo",
            "two-cores/bfpo",
            "two-cores/control-tokens",
            "two-cores/derta",
            "two-cores/fdc-bfpo",
            "two-cores/midpo-helpfulness",
            "two-cores/midpo-router",
            "two-cores/midpo-safety",
            "two-cores/over-safety-patch",
            "two-cores/preference-vector",
            "two-cores/safety-patch",
            "zephyr-7b-beta/bfpo",
        ]

    @pytest.mark.parametrize("name", shipped())
    def test_each_loads_and_trains_into_a_folder_of_its_own_name(self, name: str) -> None:
        recipe = load_recipe(name)
        assert recipe.name == name.replace("/", "-")
        assert recipe.output == Path("models") / recipe.name

    def test_the_paper_s_bfpo(self) -> None:
        """wx-zhang/bfpo at a1febab: PKU-SafeRLHF at ff7ba91, its first 20 %; UltraFeedback as the
        buffer, all of it safe; tau 0.01, b1 3, alpha 0.5; learning rate 5e-7, cosine, warm-up over a
        tenth, one epoch of AdamW; 1024 tokens, 512 of them the prompt's; only down_proj; seed 42."""
        recipe = load_recipe("mistral-7b/bfpo")
        [data], [buffer], training = recipe.data, recipe.buffer, recipe.training
        assert recipe.stage == "preference"
        assert recipe.model == str(load_recipe(SFT).output)
        assert (data.hub_id, data.revision) == ("PKU-Alignment/PKU-SafeRLHF", PKU_COMMIT)
        assert (data.split, data.fraction, data.limit) == ("train", 0.2, None)
        assert (data.assume_safe, data.target) == (False, None)
        assert buffer.hub_id == "HuggingFaceH4/ultrafeedback_binarized"
        assert (buffer.split, buffer.fraction, buffer.limit) == ("train_prefs", 1, None)
        assert buffer.assume_safe
        assert recipe.objective == {"name": "bfpo", "tau": 0.01, "b1": 3, "alpha": 0.5}
        assert recipe.pair_policy == "helpful-only"
        assert recipe.reference in (None, "precomputed")
        assert recipe.train_only == ["down_proj"]
        assert recipe.lora is None
        assert (recipe.max_length, recipe.prompt_length) == (1024, 512)
        assert recipe.seed == 42
        assert training.learning_rate == 5e-7
        assert (training.lr_scheduler_type, training.warmup_steps) == ("cosine", 0.1)
        assert (training.num_train_epochs, training.max_steps) == (1, None)
        assert training.optim == "adamw_torch"
        assert training.bf16 is not False

    def test_the_paper_s_supervised_stage(self) -> None:
        """wx-zhang/bfpo at a1febab: all of UltraChat and 20 % of PKU-SafeRLHF, of which the safer
        response; packed to 2048 tokens; learning rate 5e-7 for one epoch; only down_proj."""
        recipe = load_recipe(SFT)
        chat, safer = recipe.data
        assert recipe.stage == "sft"
        assert recipe.model == "mistralai/Mistral-7B-v0.1"
        assert (chat.hub_id, chat.split) == ("HuggingFaceH4/ultrachat_200k", "train_sft")
        assert (chat.fraction, chat.limit) == (1, None)
        assert (safer.hub_id, safer.revision) == ("PKU-Alignment/PKU-SafeRLHF", PKU_COMMIT)
        assert (safer.fraction, safer.limit, safer.target) == (0.2, None, "safer")
        assert recipe.packing is True
        assert recipe.max_length == 2048
        assert recipe.train_only == ["down_proj"]
        assert recipe.training.learning_rate == 5e-7
        assert (recipe.training.num_train_epochs, recipe.training.max_steps) == (1, None)
        assert recipe.training.bf16 is not False

    @pytest.mark.parametrize(
        ("name", "gpus", "each", "accumulated"),
        [
            ("mistral-7b/sft", 4, 4, 2),
            ("mistral-7b/bfpo", 4, 2, 4),
            ("zephyr-7b-beta/bfpo", 2, 2, 8),
            ("llama-3.1-8b/bfpo-lora", 1, 2, 16),
        ],
    )
    def test_a_step_takes_32_rows(self, name: str, gpus: int, each: int, accumulated: int) -> None:
        """GPUs x rows on each x accumulated batches: 4 x 4 x 2 and 4 x 2 x 4 are the paper's."""
        training = load_recipe(name).training
        assert training.per_device_train_batch_size == each
        assert training.gradient_accumulation_steps == accumulated
        assert gpus * each * accumulated == 32

    def test_the_red_teaming_variant_has_own_responses_and_no_buffer(self) -> None:
        recipe, paper = load_recipe("zephyr-7b-beta/bfpo"), load_recipe("mistral-7b/bfpo")
        assert recipe.model == "HuggingFaceH4/zephyr-7b-beta"
        assert [spec.source for spec in recipe.data] == ["jsonl"]
        assert recipe.buffer == []
        for same in ("objective", "train_only", "max_length", "prompt_length", "seed"):
            assert getattr(recipe, same) == getattr(paper, same)

    def test_the_lora_recipe_fits_one_gpu(self) -> None:
        recipe, paper = load_recipe("llama-3.1-8b/bfpo-lora"), load_recipe("mistral-7b/bfpo")
        assert recipe.lora is not None
        assert recipe.lora.target_modules == "all-linear"
        assert recipe.train_only is None
        assert recipe.model_dtype == "bfloat16"
        assert (recipe.data, recipe.buffer) == (paper.data, paper.buffer)
        assert recipe.objective == paper.objective

    def test_the_small_one_has_every_part_of_the_large_ones(self) -> None:
        recipe, paper = load_recipe(PREFERENCE), load_recipe("mistral-7b/bfpo")
        assert [s.hub_id for s in recipe.data] == [s.hub_id for s in paper.data]
        assert [s.hub_id for s in recipe.buffer] == [s.hub_id for s in paper.buffer]
        assert (recipe.stage, recipe.train_only) == (paper.stage, paper.train_only)
        assert recipe.objective_name == "bfpo"

    def test_every_accelerate_configuration_names_its_kind(self) -> None:
        kinds = {
            file.stem: yaml.safe_load(file.read_text())["distributed_type"]
            for file in ACCELERATE.glob("*.yaml")
        }
        sharded = {"fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}
        assert kinds == {"ddp": "MULTI_GPU", **sharded}

    def test_sharding_leaves_every_process_its_weights(self) -> None:
        """Each scores a part of the reference before the model is sharded."""
        fsdp = yaml.safe_load((ACCELERATE / "fsdp2.yaml").read_text())["fsdp_config"]
        assert fsdp["fsdp_cpu_ram_efficient_loading"] is False


class TestChanges:
    def test_dots_reach_inside_and_numbers_into_lists(self) -> None:
        recipe = load_recipe(
            PREFERENCE,
            ["training.max_steps=10", "data.0.fraction=0.25", "buffer.0.split=test_prefs"],
        )
        assert recipe.training.max_steps == 10
        assert recipe.training.save_steps == load_recipe(PREFERENCE).training.save_steps
        assert (recipe.data[0].fraction, recipe.data[0].revision) == (0.25, PKU_COMMIT)
        assert recipe.buffer[0].split == "test_prefs"

    def test_whole_values_lists_and_null(self) -> None:
        data = "data=[{source: jsonl, path: my pairs.jsonl}, {source: pku-saferlhf}]"
        recipe = load_recipe(PREFERENCE, [data, "buffer=[]", "train_only=null", "lora={r: 4}"])
        assert [str(spec.path or spec.hub_id) for spec in recipe.data] == [
            "my pairs.jsonl",
            "PKU-Alignment/PKU-SafeRLHF",
        ]
        assert (recipe.buffer, recipe.train_only) == ([], None)
        assert recipe.lora is not None
        assert (recipe.lora.r, recipe.lora.lora_alpha) == (4, 32)

    def test_a_key_that_the_file_lacks_is_made(self) -> None:
        recipe = load_recipe(PREFERENCE, ["train_only=null", "lora.r=4"])
        assert recipe.lora is not None
        assert recipe.lora.r == 4

    def test_the_last_of_one_key_wins_and_a_value_may_hold_an_equals_sign(self) -> None:
        recipe = load_recipe(PREFERENCE, ["seed=1", "name=a=b", "seed=2"])
        assert (recipe.seed, recipe.name) == (2, "a=b")

    @pytest.mark.parametrize("tau", ["1e-2", "1.0e-2", "0.01"])
    def test_exponents_are_numbers_in_the_command(self, tau: str) -> None:
        recipe = load_recipe(PREFERENCE, ["training.learning_rate=5e-7", f"objective.tau={tau}"])
        assert recipe.training.learning_rate == 5e-7
        assert recipe.objective_args["tau"] == 0.01

    def test_exponents_are_numbers_in_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "recipe.yaml"
        file.write_text(
            "{name: n, stage: preference, model: m, output: o, data: [{source: pku-saferlhf, "
            "fraction: 2e-1}], objective: {name: bfpo, tau: 1e-2}, lora: {r: 4}, "
            "training: {learning_rate: 5e-7, save_steps: 1e2}}",
        )
        recipe = load_recipe(str(file))
        assert (recipe.training.learning_rate, recipe.training.save_steps) == (5e-7, 100)
        assert (recipe.data[0].fraction, recipe.objective_args) == (0.2, {"tau": 0.01})

    def test_places_begin_at_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A shell leaves the ~ of output=~/models alone; one of an unknown user is a plain name."""
        monkeypatch.setenv("HOME", "/somewhere")
        recipe = load_recipe(PREFERENCE, ["output=~/m", "reference_cache=~nobody-of-that-name/c"])
        assert recipe.output == Path("/somewhere/m")
        assert recipe.reference_cache == Path("~nobody-of-that-name/c")

    def test_the_prompt_gets_half_the_length_unless_it_is_said(self) -> None:
        changes = ["max_prompt_length=null", "max_length=300"]
        assert load_recipe(PREFERENCE, changes).prompt_length == 150

    def test_a_user_s_file_goes_before_a_shipped_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = (FOLDER / "two-cores" / "bfpo.yaml").read_text()
        (tmp_path / "two-cores").mkdir()
        (tmp_path / "two-cores" / "bfpo").write_text(text.replace("two-cores-bfpo", "mine"))
        monkeypatch.chdir(tmp_path)
        assert load_recipe("two-cores/bfpo").name == "mine"


class TestDump:
    def test_it_is_resolved_and_plain(self) -> None:
        """What the file left out stands in it as it was decided, and what is nothing does not."""
        told = load_recipe(PREFERENCE).dump()
        assert told["output"] == "models/two-cores-bfpo"
        assert told["training"]["optim"] == "adamw_torch"
        assert told["training"]["max_grad_norm"] == 1
        assert told["data"][0]["hub_id"] == "PKU-Alignment/PKU-SafeRLHF"
        assert "lora" not in told
        assert "max_steps" not in told["training"]


class TestDifferences:
    def differences(self, *changes: str) -> list[str]:
        return load_recipe(PREFERENCE).differences(load_recipe(PREFERENCE, changes).dump())

    def test_none(self) -> None:
        assert self.differences() == []

    def test_they_are_named_inside_mappings(self) -> None:
        assert self.differences(
            "training.max_steps=3", "objective.tau=1", "seed=1", "data.0.limit=3"
        ) == ["data", "objective.tau", "seed", "training.max_steps"]

    def test_a_mapping_that_only_one_has_is_named_itself(self) -> None:
        assert self.differences("train_only=null", "lora={r: 4}") == ["lora", "train_only"]

    def test_where_things_lie_is_no_difference(self) -> None:
        assert self.differences("output=elsewhere", "reference_cache=there") == []
