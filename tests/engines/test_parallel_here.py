"""The split that a model gets on the machine that is seen, and what `plan` says of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from bench import HEAD64
from commands import command
from model_shapes import LLAMA_8B, LLAMA_70B

from bfpo_bench.engines import parallel_here, probe
from bfpo_bench.engines.parallel_here import placed
from bfpo_bench.engines.probe import VllmProbe
from bfpo_bench.engines.select import EngineChoice
from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.errors import UserError

GPUS = VllmProbe(True, "", "0.32.0", "cuda", ("LlamaForCausalLM",), (), (80.0,) * 8)
CPU = VllmProbe(True, "", "0.32.0", "cpu", ("LlamaForCausalLM",), (32, 64))
VLLM = EngineChoice("vllm", "as asked")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what the probe shall find."""
    return lambda found: monkeypatch.setattr(probe, "probe_vllm", lambda **_: found)


def model(config: dict[str, Any], stored: int | None = None) -> Any:
    return SimpleNamespace(name="meta/Llama", config=config, weight_bytes=lambda: stored)


def test_the_split_goes_into_the_engines_arguments(here: Any) -> None:
    here(GPUS)
    found = placed(VLLM, model(LLAMA_70B), 8192, {"dtype": "bfloat16"})
    assert found.arguments({"dtype": "bfloat16"}) == {
        "tensor_parallel_size": 4,
        "data_parallel_size": 2,
        "dtype": "bfloat16",
    }
    assert found.told.startswith("as asked; 8 x 80 GiB: tensor 4, data 2: about 33 GiB of weights")


def test_the_users_own_sizes_are_all_there_are(here: Any) -> None:
    """`tensor_parallel_size=1` is how to stay on one GPU."""
    here(GPUS)
    given = {"tensor_parallel_size": 1}
    found = placed(VLLM, model(LLAMA_8B), 8192, given)
    assert found.arguments(given) == given
    assert "tensor 1, data 1" in found.told


def test_more_than_the_machine_has_is_refused_before_anything_loads(here: Any) -> None:
    here(replace(GPUS, devices=(80.0, 80.0)))
    with pytest.raises(UserError, match="takes 4 devices, and this machine shows 2 devices"):
        placed(VLLM, model(LLAMA_8B), 8192, {"tensor_parallel_size": 4})


def test_a_smaller_share_of_the_memory_is_kept_to(here: Any) -> None:
    """15 + 16 + 2 GiB are more than 0.4 x 80."""
    here(GPUS)
    found = placed(VLLM, model(LLAMA_8B), 8192, {"gpu_memory_utilization": 0.4})
    assert found.split is not None
    assert (found.split.tensor, found.split.data) == (2, 4)


@pytest.mark.parametrize(
    ("named", "told", "split"),
    [
        (["LlamaForCausalLM"], True, (1, 2, 4)),
        (["LlamaForCausalLM"], False, (1, 1, 8)),
        # The one that vLLM knows is asked about
        (["Own", "LlamaForCausalLM"], True, (1, 2, 4)),
        (["Own"], True, (1, 1, 8)),
    ],
)
def test_a_pipeline_is_for_architectures_that_have_one(
    here: Any,
    monkeypatch: pytest.MonkeyPatch,
    named: list[str],
    told: bool,
    split: tuple[int, int, int],
) -> None:
    """71 heads, which only a pipeline divides: 64 GiB of weights fit on one of 80 with few requests at
    a time, on two with 16."""
    here(GPUS)
    monkeypatch.setattr(
        parallel_here, "has_pipelines", lambda name: name == "LlamaForCausalLM" and told
    )
    odd = {"num_attention_heads": 71, "num_key_value_heads": 2, "head_dim": 128}
    config = LLAMA_70B | odd | {"architectures": named}
    found = placed(VLLM, model(config, 64 * 2**30), 8192, {}).split
    assert found is not None
    assert (found.tensor, found.pipeline, found.data) == split


def test_a_scorer_has_one_copy(here: Any) -> None:
    here(GPUS)
    given = {"data_parallel_size": 16}
    found = placed(VLLM, model(LLAMA_8B), 2048, given, copies=False)
    assert found.split is not None
    assert (found.split.tensor, found.split.data) == (1, 1)


def test_nothing_is_said_of_what_cannot_be_known(here: Any) -> None:
    here(GPUS)
    assert placed(VLLM, model({}), 8192, {}) == VLLM
    here(replace(GPUS, platform="xpu", devices=()))
    assert placed(VLLM, model(LLAMA_8B), 8192, {"tensor_parallel_size": 2}) == VLLM


def test_other_engines_are_left_alone() -> None:
    choice = EngineChoice("transformers", "as asked")
    assert placed(choice, model(LLAMA_8B), 8192, {}) == choice


def test_on_a_cpu_memory_is_told_and_what_is_asked(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU beside vLLM's CPU build is none of its."""
    here(replace(CPU, devices=(80.0,)))
    free = SimpleNamespace(available=100 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    found = placed(VLLM, model(LLAMA_8B), 8192, {"tensor_parallel_size": 2})
    assert found.split is not None
    assert "tensor 2, data 1 in 2 processes: about " in found.told
    assert found.told.endswith("of 100 GiB of memory free (as asked)")
    assert placed(VLLM, model(LLAMA_8B), 8192, {}).arguments({}) == {}


def test_the_sizes_of_weights_come_from_the_hub_and_from_the_disk(hub: str, tmp_path: Path) -> None:
    """Before anything is downloaded, and again from the cache; both are what the files have."""
    subject = resolve_subject(HEAD64)
    told = subject.weight_bytes()
    folder = subject.base.materialise()
    files = list(folder.glob("*.safetensors"))
    assert told == sum(f.stat().st_size for f in files) > 0
    assert subject.weight_bytes() == told
    assert resolve_subject(str(folder)).weight_bytes() == told


def test_weights_that_lie_there_in_two_forms_count_once(hub: str, tmp_path: Path) -> None:
    """As in Mistral's repositories."""
    folder = tmp_path / "model"
    shutil.copytree(resolve_subject(HEAD64).base.materialise(), folder)
    before = resolve_subject(str(folder)).weight_bytes()
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert resolve_subject(str(folder)).weight_bytes() == before


@pytest.mark.parametrize("share", ["high", 0, 1.5, True])
def test_a_share_that_is_none(here: Any, share: Any) -> None:
    here(GPUS)
    with pytest.raises(UserError, match="gpu_memory_utilization must be a number above 0"):
        placed(VLLM, model(LLAMA_8B), 8192, {"gpu_memory_utilization": share})


class TestPlan:
    @pytest.fixture
    def said(self, hub: str, here: Any, tmp_path: Path) -> Any:
        here(GPUS)

        def plan(*options: str) -> Any:
            few = ("--tasks", "bfpo_xstest_*", "--judge", "refusal")
            return command("plan", "--model", HEAD64, *few, *options, cwd=tmp_path)

        return plan

    def test_it_prints_the_split(self, said: Any) -> None:
        shown = said()
        assert shown.code == 0
        assert "vllm (vLLM 0.32.0 can serve it on this cuda); 8 x 80 GiB: tensor 1, data 8: " in (
            shown.out
        )

    def test_and_in_json(self, said: Any) -> None:
        [planned] = json.loads(said("--json").out)["models"]
        assert planned["split"]["data"] == 8
        assert planned["split"]["expected"]["besides"] == 2

    def test_sizes_that_cannot_be_are_refused(self, said: Any) -> None:
        shown = said("--engine-arg", "tensor_parallel_size=16")
        assert shown.code == 2
        assert "does not divide the model's 8 attention heads" in shown.err

    def test_another_engine_s_argument_is_refused(self, said: Any) -> None:
        shown = said("--engine", "vllm", "--engine-arg", "workers=1")
        assert shown.code == 2
        assert "The vllm engine takes no --engine-arg workers: give --engine ray" in shown.err

    def test_a_limit_above_the_model_s_own_context_is_told(self, said: Any) -> None:
        """Settings are what is asked of whichever model: its row ranks with those of longer models that
        are cut to 4096. Its own context is 512; the suite's is 8192."""
        note = "  max_model_len=4096 cuts nothing of this model, whose own context is 512; the run's id"
        above = said("--engine-arg", "max_model_len=4096").out
        assert any(line.startswith(note) for line in above.splitlines())
        for other in (
            (),
            ("--engine-arg", "max_model_len=256"),
            ("--engine-arg", "max_model_len=9999"),
        ):
            assert "cuts nothing" not in said(*other).out

    def test_what_makes_another_run(self, said: Any) -> None:
        def run(*limit: str) -> str:
            [planned] = json.loads(said("--json", *limit).out)["models"]
            return str(planned["run"])

        limits = [("--engine-arg", f"max_model_len={n}") for n in (8192, 99999, 4096, 256)]
        whole, larger, above, below = [run(*limit) for limit in limits]
        assert run() == whole == larger
        assert len({whole, above, below}) == 3
