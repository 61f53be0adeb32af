"""`bfpo-bench merge` as users start it, on the stand-in's real models."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench import REFUSER, STORIES, environment
from commands import Said, command
from markov import sayer
from transformers import AutoModelForCausalLM, AutoTokenizer

from bfpo_bench.engines.subject import resolve_subject

RAMBLER = "fixtures/rambler-9M"


def merge(*arguments: str | Path, cwd: Path, out: str = "out") -> Said:
    return command("merge", *map(str, arguments), "--out", out, cwd=cwd)


def sentence(done: Said) -> str:
    assert done.code == 2, done.err[-3000:]
    assert done.out == ""
    assert "Traceback" not in done.err
    return done.err.splitlines()[-1].removeprefix("error: ")


@pytest.fixture(scope="module")
def tuned(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K with other weights, in shards, as a trainer leaves it."""
    folder = tmp_path_factory.mktemp("models") / "tuned"
    model = AutoModelForCausalLM.from_pretrained(STORIES)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.25)
    model.save_pretrained(folder, max_shard_size="500KB")
    AutoTokenizer.from_pretrained(STORIES).save_pretrained(folder)
    (folder / "README.md").write_text("# tuned")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "optimizer.pt").write_bytes(b"state")
    return folder


class TestMerging:
    def test_a_hub_model_and_a_folder(self, tuned: Path, tmp_path: Path) -> None:
        """.5 theta + .5 (1.25 theta) = 1.125 theta, up to rounding."""
        done = merge(STORIES, tuned, "--weights", ".5,.5", cwd=tmp_path, out="soups/half")
        assert done.code == 0, done.err
        folder = tmp_path / "soups" / "half"
        assert {p.name for p in folder.iterdir()} == {
            *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
            *("model.safetensors", "README.md", "training_manifest.json"),
            *("LICENSE.icpp_llm", "PROVENANCE.json"),
        }
        ours = AutoModelForCausalLM.from_pretrained(STORIES)
        mixed = AutoModelForCausalLM.from_pretrained(folder)
        for name, value in mixed.state_dict().items():
            torch.testing.assert_close(value, 1.125 * ours.state_dict()[name], rtol=1e-6, atol=0)
        subject = resolve_subject(str(folder))
        assert re.fullmatch("half@[0-9a-f]{8}", subject.name)
        told = resolve_subject(str(tuned)).name
        assert subject.training is not None
        assert subject.training.describe() == f"merge of {STORIES} (0.5), {told} (0.5)"
        count = f"{mixed.num_parameters():,} parameters in 1 file"
        assert done.out.splitlines()[0].endswith(count)
        assert done.out.splitlines()[1:] == [
            f"  0.5 x {STORIES}",
            f"  0.5 x {told}",
            "next: bfpo-bench run --model soups/half",
        ]

    def test_task_arithmetic_into_shards(self, tuned: Path, tmp_path: Path) -> None:
        """theta - 1.25 theta + 1.25 theta = theta, up to rounding."""
        arguments = (STORIES, tuned, tuned, "--weights", "1,-1,1", "--shard-size", "500KB")
        done = merge(*arguments, cwd=tmp_path)
        assert done.code == 0, done.err
        shards = sorted(p.name for p in (tmp_path / "out").glob("*.safetensors"))
        assert shards == [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
        assert "in 3 files" in done.out
        ours = AutoModelForCausalLM.from_pretrained(STORIES).state_dict()
        mixed = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
        for name, value in mixed.items():
            torch.testing.assert_close(value, ours[name], rtol=1e-5, atol=1e-7)

    def test_chat_models_in_bfloat16(self, hub: str, tmp_path: Path) -> None:
        done = merge(REFUSER, RAMBLER, "--weights", "-1,2", cwd=tmp_path)
        assert done.code == 0, done.err
        assert "differs" not in done.err
        mixed = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
        pair = [AutoModelForCausalLM.from_pretrained(m).state_dict() for m in (REFUSER, RAMBLER)]
        for name, value in mixed.items():
            assert value.dtype == torch.bfloat16
            expected = -1 * pair[0][name].float() + 2 * pair[1][name].float()
            assert torch.equal(value, expected.bfloat16()), name

    def test_another_chat_template_is_told(self, tmp_path: Path) -> None:
        """Equal weights are the default."""
        sayer(tmp_path / "a", "yes", template="{{ messages }}")
        sayer(tmp_path / "b", "yes", template="{{ messages }}.")
        done = merge("a", "b", cwd=tmp_path)
        assert done.code == 0, done.err
        assert re.search(
            r"The chat template of b@\w{8} differs from that of a@\w{8}, which is kept\.",
            done.err,
        )
        assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ messages }}"
        told = json.loads((tmp_path / "out" / "training_manifest.json").read_text())
        assert [m["weight"] for m in told["merge"]["models"]] == [0.5, 0.5]


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["a"], "A merge takes at least two models: name another."),
            (["a", "b", "--weights", ".7,.7"], "--weights .7,.7 sum to 1.4: give weights that"),
            (["a", "b", "--shard-size", "big"], "--shard-size big is not a size"),
            (["a", "b", "--out", "a"], "--out a is not empty: name a new folder"),
            (["gone/gone/gone", "a"], "There is no model folder gone/gone/gone"),
        ],
    )
    def test_what_the_command_shows(self, tmp_path: Path, arguments: list[str], said: str) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "config.json").write_text("{}")
        done = command("merge", "--out", "out", *arguments, cwd=tmp_path)
        assert sentence(done).startswith(said)

    def test_adapters(self, hub: str, tmp_path: Path) -> None:
        """Real ones, whose names are those of the command."""
        from peft import LoraConfig, get_peft_model

        for name in ("helpful", "safe"):
            model = AutoModelForCausalLM.from_pretrained(STORIES)
            config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
            get_peft_model(model, config).save_pretrained(tmp_path / name)
        said = sentence(merge("helpful", "safe", cwd=tmp_path))
        assert re.match(r"helpful is a LoRA adapter, and the sum of adapters' factors", said)
        assert "merge_and_unload" in said

    def test_weights_of_pytorch_alone(self, tuned: Path, tmp_path: Path) -> None:
        folder = tmp_path / "old"
        folder.mkdir()
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tuned / file, folder / file)
        model = AutoModelForCausalLM.from_pretrained(tuned)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        said = sentence(merge(tuned, "old", cwd=tmp_path))
        assert re.match(r"old has no model\.safetensors", said)
        assert said.endswith("save it as safetensors with save_pretrained.")

    def test_another_architecture(self, hub: str, tmp_path: Path) -> None:
        said = sentence(merge(REFUSER, STORIES, cwd=tmp_path))
        assert said.startswith(f"{REFUSER} and {STORIES} differ in head_dim of config.json (64, 8)")

    def test_a_damaged_tensor_leaves_nothing(self, tuned: Path, tmp_path: Path) -> None:
        """A NaN of a training that diverged: found on the way, named, and no output begun."""
        model = AutoModelForCausalLM.from_pretrained(tuned)
        with torch.no_grad():
            model.model.layers[2].mlp.down_proj.weight[3, 4] = torch.nan
        shutil.copytree(tuned, tmp_path / "diverged")
        model.save_pretrained(tmp_path / "diverged", max_shard_size="500KB")
        said = sentence(merge(STORIES, "diverged", cwd=tmp_path))
        assert re.fullmatch(
            r"model\.layers\.2\.mlp\.down_proj\.weight of diverged@\w{8} holds NaN or infinity: "
            r"leave that checkpoint out\.",
            said,
        )
        assert [p.name for p in tmp_path.iterdir()] == ["diverged"]


def test_a_disk_that_fills_up(tuned: Path, tmp_path: Path) -> None:
    """Really full: a small file system of its own, which has room for the weights and no more."""
    (tmp_path / "disk").mkdir()
    weights = sum(p.stat().st_size for p in tuned.glob("*.safetensors"))
    mount = f"mount -t tmpfs -o size={weights + 8192} none disk"
    inside = ["unshare", "-rm", "sh", "-c"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*inside, mount], cwd=tmp_path, capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    line = f"{sys.executable} -m bfpo_bench merge {tuned} {tuned} --out disk/out"
    done = subprocess.run(
        [*inside, f"{mount} && {line}; code=$?; ls -A disk >left; exit $code"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = sentence(Said(done.returncode, done.stdout, done.stderr))
    assert said.startswith("Writing ")
    assert "disk/out" in said
    assert "(No space left on device): free some space and give the same command again" in said
    assert (tmp_path / "left").read_text() == ""
