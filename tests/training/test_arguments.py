"""From a recipe to the arguments of transformers, and what these refuse before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recipes import recipe

from bfpo_bench.errors import UserError
from bfpo_bench.training.output import CHECKPOINTS
from bfpo_bench.training.prepare import arguments_of
from bfpo_bench.training.recipe import load_recipe

on_a_cpu = pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU")


def arguments(folder: Path, **training: Any) -> Any:
    return arguments_of(recipe(folder / "o", training={"learning_rate": 1e-3, **training}))


def test_the_paper_s_recipe_arrives_whole() -> None:
    """Steps of 100: the first 10 warm up. 2 pairs on each GPU, 4 times before a step."""
    found = arguments_of(load_recipe("mistral-7b/bfpo"))
    assert (found.objective, found.objective_args) == (
        "bfpo",
        {"tau": 0.01, "b1": 3.0, "alpha": 0.5},
    )
    assert found.learning_rate == 5e-7
    assert (found.lr_scheduler_type, found.get_warmup_steps(100)) == ("cosine", 10)
    assert (found.num_train_epochs, found.max_steps) == (1, -1)
    assert (found.per_device_train_batch_size, found.gradient_accumulation_steps) == (2, 4)
    assert found.optim == "adamw_torch"
    assert (found.max_length, found.max_prompt_length) == (1024, 512)
    assert found.train_only == ["down_proj"]
    assert found.precompute_ref_log_probs
    assert found.seed == 42


def test_the_supervised_stage_has_trl_s_own() -> None:
    found = arguments_of(load_recipe("mistral-7b/sft"))
    assert type(found).__name__ == "SFTConfig"
    assert (found.packing, found.max_length, found.learning_rate) == (True, 2048, 5e-7)


def test_steps_are_saved_below_the_output_folder(tmp_path: Path) -> None:
    found = arguments(tmp_path, save_steps=3, save_total_limit=1)
    assert found.output_dir == str(tmp_path / "o" / CHECKPOINTS)
    assert (found.save_steps, found.save_total_limit) == (3, 1)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(("warm_up", "steps"), [(0.25, 10), (0.0, 0), (3, 3), (3.0, 3)])
def test_a_warm_up_below_1_is_a_share(tmp_path: Path, warm_up: float, steps: int) -> None:
    """Of 40 steps."""
    assert arguments(tmp_path, warmup_steps=warm_up).get_warmup_steps(40) == steps


def test_a_live_reference_is_not_precomputed(tmp_path: Path) -> None:
    assert not arguments_of(recipe(tmp_path / "o", reference="live")).precompute_ref_log_probs


def test_reference_values_are_kept_where_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))
    assert arguments(tmp_path).reference_cache == str(tmp_path / "cache" / "reference")
    given = recipe(tmp_path / "o", reference_cache=str(tmp_path / "mine"))
    assert arguments_of(given).reference_cache == str(tmp_path / "mine")


@on_a_cpu
@pytest.mark.parametrize("stage", ["mistral-7b/sft", "mistral-7b/bfpo"])
def test_a_cpu_computes_in_float32(stage: str) -> None:
    found = arguments_of(load_recipe(stage))
    assert (found.bf16, found.fp16, found.use_cpu) == (False, False, True)


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"lr_scheduler_type": "cosin"}, "cosin is not a valid SchedulerType"),
        ({"optim": "adam"}, "adam is not a valid OptimizerNames"),
        ({"report_to": ["wandbb"]}, "wandbb is not supported, only .*: mend training.optim or "),
        pytest.param({"bf16": True}, "training.bf16 needs a GPU: leave it out", marks=on_a_cpu),
    ],
)
def test_what_transformers_does_not_know_is_refused(
    tmp_path: Path, training: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=f"Recipe small: {words}"):
        arguments(tmp_path, **training)


@pytest.mark.parametrize(
    ("package", "training"),
    [
        ("bitsandbytes", {"optim": "adamw_bnb_8bit"}),
        ("wandb", {"report_to": ["wandb"]}),
    ],
)
def test_a_package_that_is_not_there_is_named(
    tmp_path: Path, package: str, training: dict[str, Any]
) -> None:
    from importlib.util import find_spec

    if find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=f"{package}.*: mend training.optim or training.report_to"):
        arguments(tmp_path, **training)


def test_without_trackio_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    integrations = "transformers.integrations.integration_utils"
    monkeypatch.setattr(f"{integrations}.is_trackio_available", lambda: False)
    with pytest.raises(UserError, match=r"requires trackio to be installed.*training.report_to"):
        arguments(tmp_path, report_to=["trackio"])


def test_processes_without_weights_cannot_score_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of FSDP, as `accelerate launch` tells it to each process, with frugal loading and without."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        with pytest.raises(UserError, match="set fsdp_cpu_ram_efficient_loading to false"):
            arguments(tmp_path)
        arguments_of(load_recipe("mistral-7b/sft"))
        monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "false")
        arguments(tmp_path)
    finally:
        torch.distributed.destroy_process_group()
