"""The same recipe in two processes on a CPU (gloo), as `accelerate launch` starts it: DDP and FSDP2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sharded_on_cpus
from bench import REFUSER, bench, environment
from training import ONE_THREAD, SMALL, Trained, distance
from transformers import AutoModelForCausalLM

from bfpo_bench.errors import UserError
from bfpo_bench.training import processes
from bfpo_bench.training.processes import check_configuration
from bfpo_bench.training.recipe import ACCELERATE

COMMAND = (*SMALL, "output=o", "training.optim=sgd", "training.learning_rate=0.1")
"""SGD's steps are proportional to the gradient; Adam's turn the rounding of small ones into whole steps."""
ADAM = (*SMALL, "output=o", "training.learning_rate=1e-4")
BATCH = "training.per_device_train_batch_size"
SHARDED = sharded_on_cpus.__name__


def launch(
    configuration: str, *arguments: str, cwd: Path, module: str = "bfpo_bench"
) -> subprocess.CompletedProcess[str]:
    """Two processes, as the documentation starts them."""
    path = os.pathsep.join((str(Path(sharded_on_cpus.__file__).parent), *sys.path))
    return subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch"),
            *("--config_file", str(ACCELERATE / f"{configuration}.yaml")),
            *("--num_processes", "2", "--main_process_port", "0", "-m", module, "train"),
            *arguments,
        ],
        cwd=cwd,
        env=environment(**ONE_THREAD, PYTHONPATH=path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def one(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("one")
    done = bench("train", *COMMAND, f"{BATCH}=4", cwd=folder, **ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    return Trained(folder / "o")


@pytest.fixture(scope="module")
def launched(
    hub: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trained, subprocess.CompletedProcess[str]]:
    """Two processes with half the rows each; each scores half of the reference, too."""
    folder: Path = tmp_path_factory.mktemp("two")
    cache = f"reference_cache={folder / 'cache'}"
    done = launch("ddp", *COMMAND, f"{BATCH}=2", cache, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return Trained(folder / "o"), done


@pytest.fixture(scope="module")
def sharded(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two processes with half the model and half of Adam's moments each."""
    folder: Path = tmp_path_factory.mktemp("sharded")
    done = launch("fsdp2", *ADAM, f"{BATCH}=2", cwd=folder, module=SHARDED)
    assert done.returncode == 0, done.stderr[-3000:]
    return Trained(folder / "o")


def test_they_end_at_the_weights_of_one(
    one: Trained, launched: tuple[Trained, subprocess.CompletedProcess[str]]
) -> None:
    """To 1e-6, where the training has moved weights by more than 1e-3."""
    two, _ = launched
    assert distance(one.weights, two.weights) < 1e-6
    start = AutoModelForCausalLM.from_pretrained(REFUSER, dtype="float32").state_dict()
    assert distance(one.weights, {name: start[name] for name in one.weights}) > 1e-3
    for found, expected in zip(two.metrics, one.metrics, strict=True):
        assert found.keys() == expected.keys()
        for key in ("loss", "loss/buffer", "grad_norm", "logps/chosen"):
            assert found[key] == pytest.approx(expected[key], rel=1e-3)


def test_they_leave_one_manifest(
    one: Trained, launched: tuple[Trained, subprocess.CompletedProcess[str]]
) -> None:
    two, _ = launched
    for same in ("steps", "parameters", "data_sha256", "tokens", "base"):
        assert two.manifest[same] == one.manifest[same]


def test_the_first_alone_speaks(
    launched: tuple[Trained, subprocess.CompletedProcess[str]],
) -> None:
    _, done = launched
    assert done.stdout.count("model: o (bfpo") == 1
    for line in ("data: PKU-Alignment", "step 1/7", "parameters are trained"):
        assert done.stderr.count(line) == 1


def test_both_scored_the_reference_and_agree_whose_it_is(
    launched: tuple[Trained, subprocess.CompletedProcess[str]],
) -> None:
    two, _ = launched
    [folder] = (two.folder.parent / "cache").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["0.jsonl", "1.jsonl"]


@pytest.mark.long
def test_a_sharded_model_ends_whole_at_the_weights_of_one(sharded: Trained, tmp_path: Path) -> None:
    """To a fifth of one of Adam's seven steps of 1e-4; and transformers loads it as it lies there."""
    done = bench("train", *ADAM, f"{BATCH}=4", cwd=tmp_path, **ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    one = Trained(tmp_path / "o").weights
    start = AutoModelForCausalLM.from_pretrained(REFUSER, dtype="float32").state_dict()
    assert distance(one, {name: start[name] for name in one}) > 2e-4
    checkpoint = sharded.folder / "checkpoints" / "checkpoint-7"
    assert (checkpoint / "pytorch_model_fsdp.bin").is_file(), "FSDP was to write it"
    for folder in (sharded.folder, checkpoint):
        model, told = AutoModelForCausalLM.from_pretrained(
            folder, dtype="float32", output_loading_info=True
        )
        assert not any(told[kind] for kind in ("missing_keys", "mismatched_keys"))
        weights = model.state_dict()
        assert distance(one, {name: weights[name] for name in one}) < 2e-5


@pytest.mark.long
def test_a_sharded_training_goes_on_where_it_was_stopped(sharded: Trained, tmp_path: Path) -> None:
    """From its checkpoint after six of seven steps, moments and all, to the same weights."""
    shutil.copytree(sharded.folder, tmp_path / "o")
    for written_last in ("training_manifest.json", "model.safetensors", "metrics.jsonl"):
        (tmp_path / "o" / written_last).unlink()
    shutil.rmtree(tmp_path / "o" / "checkpoints" / "checkpoint-7")
    done = launch("fsdp2", *ADAM, f"{BATCH}=2", cwd=tmp_path, module=SHARDED)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on from o/checkpoints/checkpoint-6" in done.stderr
    assert distance(Trained(tmp_path / "o").weights, sharded.weights) < 1e-6


MISTAKES = {
    "both before they meet": (("two-core/bfpo", "output=o"), "There is no recipe two-core/bfpo"),
    "the first, which the other waits for": (
        (*COMMAND, "model=fixtures/refuser-8M"),
        "There is no model fixtures/refuser-8M",
    ),
}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_both_is_said_once(tmp_path: Path, mistake: str) -> None:
    """Each process ends with 2; the launcher adds its own account, and ends with 1."""
    arguments, words = MISTAKES[mistake]
    done = launch("ddp", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert words in done.stderr
    assert "exitcode  : 2" in done.stderr
    assert "[rank" not in done.stderr, "a process that lost the other shows a traceback"


@pytest.mark.usefixtures("hub")
def test_sharding_over_cpus_is_refused(tmp_path: Path) -> None:
    """accelerate would train with DDP, and not say so."""
    done = launch("fsdp2", *COMMAND, cwd=tmp_path)
    assert done.stderr.count("error: ") == 1
    assert "shards the model over GPUs, and there are none: take the configuration ddp" in (
        done.stderr
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["zero2", "zero3"])
def test_deepspeed_is_asked_for_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(processes, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=f"{name} needs DeepSpeed.*pip install deepspeed"):
        check_configuration(name)
    check_configuration("fsdp2")
