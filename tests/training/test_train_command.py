"""`bfpo-bench train` as users start it: what it leaves behind, and that it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from bench import REFUSER, bench, start
from training import ONE_THREAD, SMALL, Trained, distance, train
from transformers import AutoModelForCausalLM, AutoTokenizer

from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.training.guards import last_checkpoint
from bfpo_bench.training.recipe import load_recipe

PKU_COMMIT = "ff7ba91063016c78a225b0f74e1c0860bb18230f"
COMMAND = (*SMALL, "output=o")


@pytest.fixture(scope="module")
def whole(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """In one go."""
    folder = tmp_path_factory.mktemp("whole")
    done = bench("train", *COMMAND, cwd=folder, **ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("model: o (bfpo alpha=0.5 b1=3 tau=0.1 on ")
    assert done.stdout.endswith("\nnext: bfpo-bench run --model o\n")
    return Trained(folder / "o")


def stop(folder: Path, how: signal.Signals, after: int) -> tuple[int, str]:
    """Start it, and stop it once a checkpoint of `after` steps or more is whole."""
    process = start("train", *COMMAND, cwd=folder, changes=ONE_THREAD)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        found = last_checkpoint(folder / "o" / "checkpoints")
        if found is not None and int(found.name.removeprefix("checkpoint-")) >= after:
            break
        time.sleep(0.02)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert not (folder / "o" / "training_manifest.json").exists()
    return process.returncode, said


@pytest.fixture(scope="module")
def stopped(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Stopped by Ctrl-C after two steps, killed after four, moved, and given once more."""
    folder = tmp_path_factory.mktemp("stopped")
    code, said = stop(folder, signal.SIGINT, after=2)
    assert code == 130
    assert said.endswith("stopped; the same command goes on from here\n")
    assert "Traceback" not in said
    code, said = stop(folder, signal.SIGKILL, after=4)
    assert code == -signal.SIGKILL
    assert "going on from o/checkpoints/checkpoint-" in said
    assert "step 1/7" not in said
    moved = Path(shutil.move(folder / "o", tmp_path_factory.mktemp("moved") / "o"))
    done = bench("train", *COMMAND, cwd=moved.parent, **ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on from o/checkpoints/checkpoint-" in done.stderr
    assert "step 4/7" not in done.stderr
    assert "step 7/7" in done.stderr
    return Trained(moved)


class TestWhole:
    def test_transformers_loads_it(self, whole: Trained) -> None:
        model, told = AutoModelForCausalLM.from_pretrained(whole.folder, output_loading_info=True)
        assert not told["missing_keys"]
        assert model.dtype == torch.float32
        tokenizer = AutoTokenizer.from_pretrained(whole.folder)
        assert tokenizer.chat_template == AutoTokenizer.from_pretrained(REFUSER).chat_template

    def test_only_down_proj_has_changed(self, whole: Trained) -> None:
        before = AutoModelForCausalLM.from_pretrained(REFUSER, dtype="float32").state_dict()
        changed = {n for n, v in whole.weights.items() if not torch.equal(v, before[n])}
        assert changed == {f"model.layers.{i}.mlp.down_proj.weight" for i in range(6)}

    def test_the_manifest_says_it_all(self, whole: Trained) -> None:
        """Six layers of down_proj, 864 x 320 each, are 1,658,880 parameters. Seven steps took 28 pairs
        of the data and 28 of the buffer."""
        told = whole.manifest
        assert (told["format"], told["stage"], told["steps"]) == (1, "preference", 7)
        assert told["objective"] == "bfpo"
        assert told["objective_args"] == {"tau": 0.1, "b1": 3, "alpha": 0.5}
        commit = resolve_subject(REFUSER).base.commit
        assert told["base"] == {"name": REFUSER, "commit": commit, "weights": commit}
        [data], [buffer] = told["data"], told["buffer"]
        assert (data["origin"], data["revision"]) == ("PKU-Alignment/PKU-SafeRLHF", PKU_COMMIT)
        assert (data["taken"], data["used"], sum(data["cases"].values())) == (12, 12, 12)
        assert buffer["cases"] == {"safe/safe": 10}
        assert len(told["data_sha256"]) == 64
        assert told["parameters"] == {"trained": 6 * 864 * 320, "all": 9404480}
        assert told["tokens"] > 56 * 2 * 10
        assert told["seconds"] > 0
        assert {"torch", "transformers", "trl", "peft", "accelerate"} <= told["versions"].keys()
        assert told["command"] == ["bfpo-bench", "train", *COMMAND]

    def test_the_recipe_is_kept_resolved(self, whole: Trained) -> None:
        kept = load_recipe(str(whole.folder / "recipe.yaml"))
        assert kept == load_recipe(COMMAND[0], COMMAND[1:])
        assert kept.dump() == whole.manifest["recipe"]

    def test_the_card_has_the_recipe(self, whole: Trained) -> None:
        _, head, text = (whole.folder / "README.md").read_text().split("---\n", 2)
        assert yaml.safe_load(head)["base_model"] == REFUSER
        assert f"```yaml\n{(whole.folder / 'recipe.yaml').read_text()}```" in text
        assert whole.manifest["data_sha256"] in text

    def test_the_metrics_have_every_step(self, whole: Trained) -> None:
        """At the first step policy and reference are one: h is 0, and each buffer pair's loss is the
        square of its target, (1 - 0.5) / 0.1 = 5."""
        first, *_ = entries = whole.metrics
        assert [entry["step"] for entry in entries] == [1, 2, 3, 4, 5, 6, 7]
        assert first["loss/buffer"] == pytest.approx(25, rel=1e-4)
        assert first["h/safe_safe"] == pytest.approx(0, abs=1e-3)
        assert first["target/safe_safe"] == 5
        for entry in entries:
            assert entry["loss"] == pytest.approx(entry["loss/main"] + entry["loss/buffer"])
            assert entry["grad_norm"] > 0

    def test_given_again_it_does_nothing(
        self, whole: Trained, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(whole.folder.parent)
        before = {p: p.stat().st_mtime_ns for p in whole.folder.rglob("*")}
        said = train(*COMMAND)
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith("o is trained already; delete it to train it again.\n")
        assert {p: p.stat().st_mtime_ns for p in whole.folder.rglob("*")} == before

    def test_json_is_the_manifest(self, whole: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(whole.folder.parent)
        said = train(*COMMAND, "--json")
        assert json.loads(said.out) == whole.manifest

    def test_another_recipe_is_refused_there(
        self, whole: Trained, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(whole.folder.parent)
        said = train(*COMMAND, "seed=7", "training.max_steps=9", "objective.tau=0.2")
        assert (said.code, said.out) == (2, "")
        assert "another objective.tau, seed, training.max_steps: name another" in said.err


class TestStopped:
    def test_it_ends_at_the_weights_of_one_in_one_go(
        self, whole: Trained, stopped: Trained
    ) -> None:
        """To the last digit, and these have moved since the first checkpoint."""
        assert distance(stopped.weights, whole.weights) == 0
        before = AutoModelForCausalLM.from_pretrained(REFUSER, dtype="float32").state_dict()
        assert distance(whole.weights, {n: before[n] for n in whole.weights}) > 1e-5

    def test_its_metrics_are_those_of_one_in_one_go(self, whole: Trained, stopped: Trained) -> None:
        """But for the speed."""
        for found, expected in zip(stopped.metrics, whole.metrics, strict=True):
            assert found.keys() == expected.keys()
            for key in found.keys() - {"tokens_per_second"}:
                assert found[key] == expected[key]

    def test_its_manifest_claims_no_time(self, whole: Trained, stopped: Trained) -> None:
        """Nobody watched it from end to end."""
        own, other = stopped.manifest, whole.manifest
        assert (own["seconds"], own["tokens"]) == (None, None)
        assert own["data_sha256"] == other["data_sha256"]
        assert (own["steps"], own["parameters"]) == (other["steps"], other["parameters"])
