"""From a base to a patched model as users do it: two trainings, their scores, and the patch."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from commands import Said, command
from preference import saved_model
from recipes import pair_records, write_records
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.training.merging.scores import ScoresManifest
from bfpo_bench.training.merging.snip_data import trained_on

BOTH = (
    *("--safety", "safety", "safety-scores"),
    *("--over-safety", "over", "over-scores"),
)
CHANGES = (
    *("model=base", "data=[{source: jsonl, path: pairs.jsonl}]", "max_length=64"),
    *("max_prompt_length=32", "training.learning_rate=1e-3", "training.max_steps=2"),
)


def sentence(done: Said) -> str:
    assert (done.code, done.out) == (2, ""), done.err[-3000:]
    assert "Traceback" not in done.err
    return done.error.removeprefix("error: ")


@pytest.fixture(scope="module")
def world(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, safety, over, their scores, and pairs.jsonl: the shipped recipes on a tiny
    model and eight pairs, of which two are of two safe responses."""
    folder = tmp_path_factory.mktemp("world")
    saved_model(folder / "base")
    write_records(folder / "pairs.jsonl", pair_records(8))
    # A random model's responses are beyond the shipped bound already
    for out, recipe, *more in (
        ("safety", "safety-patch", "objective.bound=99"),
        ("over", "over-safety-patch"),
    ):
        changes = (*CHANGES, *more, f"output={out}")
        done = command("train", f"two-cores/{recipe}", *changes, cwd=folder)
        assert done.code == 0, done.err[-3000:]
        done = command("snip", out, "--out", f"{out}-scores", cwd=folder)
        assert done.code == 0, done.err[-3000:]
        assert re.match(rf"{out}-scores: scores of {out}@\w{{8}} on 6 responses \(", done.out)
    return folder


@pytest.fixture
def own(world: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(world, tmp_path / "world"))


class TestPatching:
    def test_the_result_is_read_by_transformers(self, world: Path) -> None:
        """Every weight is the base's or, where a patch has it, the patch's own; factor 1."""
        done = command("patch", "base", *BOTH, "--out", "out", cwd=world)
        assert done.code == 0, done.err
        assert "taken for its base" not in done.err
        folders = ("base", "safety", "over", "out")
        models = [AutoModelForCausalLM.from_pretrained(world / name) for name in folders]
        base, safety, over, found = (model.state_dict() for model in models)
        changed = {"safety": 0, "over": 0}
        scores = load_file(world / "safety-scores" / "scores.safetensors")
        for name, value in found.items():
            moved = value != base[name]
            assert name in scores or not moved.any(), name
            near = {
                key: torch.isclose(value, model[name], rtol=1e-5, atol=1e-7) & moved
                for key, model in (("safety", safety), ("over", over))
            }
            assert torch.equal(near["safety"] | near["over"], moved), name
            for key, there in near.items():
                changed[key] += int(there.sum())
        assert min(changed.values()) > 100
        AutoTokenizer.from_pretrained(world / "out")
        told = resolve_subject(str(world / "out")).training
        assert told is not None
        assert re.match(r"SafePatching of base@\w{8} \(1\), safety@\w{8} \(1\)", told.describe())
        first, one, other, after = done.out.splitlines()
        assert first.endswith("parameters in 1 file")
        assert re.match(r"  safety: 1 x safety@\w{8} at [\d,]+ weights \([\d.]+ %\)", one)
        assert re.match(r"  over-safety: 1 x over@\w{8} at [\d,]+ weights", other)
        assert after == "next: bfpo-bench run --model out"

    def test_options_and_json(self, world: Path) -> None:
        options = ("--factors", ".5,2", "--shares", ".2,.3", "--retain", ".5", "--seed", "7")
        done = command("patch", "base", *BOTH, *options, "--json", "--out", "other", cwd=world)
        assert done.code == 0, done.err
        told = json.loads(done.out)
        assert (told["safety"]["factor"], told["over-safety"]["factor"]) == (0.5, 2)
        manifest = json.loads((world / "other" / "training_manifest.json").read_text())
        assert manifest["merge"]["arguments"] == {
            **{"share_safety": 0.2, "share_over_safety": 0.3, "retain": 0.5, "seed": 7},
            **{"examples_safety": 6, "examples_over_safety": 6},
            "entries_safety": told["safety"]["entries"],
            "entries_over_safety": told["over-safety"]["entries"],
        }


class TestScores:
    def test_are_of_the_unsafe_responses(
        self, world: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of eight pairs, two of each safety, six have an unsafe response; that is what is scored."""
        monkeypatch.chdir(world)
        found = trained_on(resolve_subject("safety"), 128)
        tokenizer = AutoTokenizer.from_pretrained(world / "safety")
        texts = sorted(
            tokenizer.decode(answer, skip_special_tokens=True) for _, answer in found.examples
        )
        records = pair_records(8)
        unsafe = [r["rejected"] for r in records[1::4]] + [
            r["chosen"] for r in (*records[2::4], *records[3::4])
        ]
        assert [text.strip() for text in texts] == sorted(unsafe)
        assert len(trained_on(resolve_subject("safety"), 2).examples) == 2

    def test_say_what_they_are_of(self, world: Path) -> None:
        told = json.loads((world / "safety-scores" / ScoresManifest.FILE).read_text())
        assert told["weights"] == resolve_subject(str(world / "safety")).identity.weights
        assert told["examples"] == 6
        assert told["loss"] > 0

    def test_data_that_have_changed(self, own: Path) -> None:
        write_records(own / "pairs.jsonl", pair_records(12))
        said = sentence(command("snip", "safety", "--out", "again", cwd=own))
        assert re.match(
            r"The data of safety@\w{8}'s recipe are not those that it was trained", said
        )
        assert not (own / "again").exists()

    def test_a_model_that_says_nothing(self, world: Path) -> None:
        said = sentence(command("snip", "base", "--out", "again", cwd=world))
        assert re.fullmatch(
            r"base@\w{8} does not say what it was trained on: give a model of `bfpo-bench train`\.",
            said,
        )

    def test_a_folder_that_is_there(self, world: Path) -> None:
        said = sentence(command("snip", "safety", "--out", "base", cwd=world))
        assert said.startswith("--out base is not empty")


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            (["--shares", "0,.1"], r"--shares 0 is outside \(0, 1\]"),
            (["--shares", ".1,1.5"], r"--shares 1\.5 is outside \(0, 1\]"),
            (["--retain", "nan"], r"--retain nan is outside \(0, 1\]"),
            (["--factors", "1"], "--factors 1 is not two numbers"),
            (["--shard-size", "big"], "--shard-size big is not a size"),
            (["--out", "safety"], "--out safety is not empty"),
            (["--safety", "safety", "base"], r"base holds no scores \(scores\.json"),
            (
                ["--safety", "safety", "over-scores"],
                r"The scores in over-scores are of over@\w{8}, and safety@\w{8} has other weights: make",
            ),
        ],
    )
    def test_what_is_refused(self, world: Path, changes: list[str], said: str) -> None:
        done = command("patch", "base", *BOTH, "--out", "refused", *changes, cwd=world)
        assert re.match(said, sentence(done))
        assert not (world / "refused").exists()

    def test_another_base(self, own: Path) -> None:
        """The over-safety model as a base: the safety patch was not trained from it."""
        said = sentence(command("patch", "over", *BOTH, "--out", "new", cwd=own))
        assert re.match(
            r"safety@\w{8} was trained from base@\w{8}, and over@\w{8} has other wei", said
        )
        assert not (own / "new").exists()

    def test_another_vocabulary(self, own: Path) -> None:
        file = own / "over" / "tokenizer.json"
        told = json.loads(file.read_text())
        told["model"]["vocab"]["zebra"] = max(told["model"]["vocab"].values()) + 1
        file.write_text(json.dumps(told))
        said = sentence(command("patch", "base", *BOTH, "--out", "new", cwd=own))
        assert "have different vocabularies" in said

    def test_scores_that_are_no_number(self, own: Path) -> None:
        file = own / "over-scores" / "scores.safetensors"
        scores = load_file(file)
        scores["model.layers.1.mlp.down_proj.weight"][0, 0] = torch.nan
        save_file(scores, file)
        said = sentence(command("patch", "base", *BOTH, "--out", "new", cwd=own))
        assert said.startswith(
            "The scores of model.layers.1.mlp.down_proj.weight in over-scores hold what is no score"
        )
        assert not {"new", ".new.part"} & {p.name for p in own.iterdir()}
