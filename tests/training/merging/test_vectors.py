"""Preference vectors: their weights, the sum in float64, and which base they belong to."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from commands import Said, command
from markov import sayer
from preference import saved_model
from recipes import pair_records, write_records
from safetensors.torch import load_file, save_file
from training import Trained, distance, train
from transformers import AutoModelForCausalLM

from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import Base, TrainingManifest
from bfpo_bench.training.merging.checks import Ingredient
from bfpo_bench.training.merging.soup import merge
from bfpo_bench.training.merging.tensor_files import SINGLE
from bfpo_bench.training.merging.vectors import vector_weights
from bfpo_bench.training.output import INPUTS, RECIPE

GB = 10**9


class TestWeights:
    @pytest.mark.parametrize(
        ("text", "count", "expected"),
        [
            (".5", 3, (1, 0.5, -0.5)),
            ("1, -.25", 5, (1, 1, -1, -0.25, 0.25)),
            ("0", 3, (1, 0, 0)),
        ],
    )
    def test_good_ones(self, text: str, count: int, expected: tuple[float, ...]) -> None:
        assert vector_weights(text, count) == expected

    @pytest.mark.parametrize(
        ("text", "count", "said"),
        [
            ("half", 3, "is not a list of numbers: give one a vector"),
            (".5,", 5, "is not a list of numbers"),
            ("nan", 3, "are not all finite"),
            (".5", 2, "takes 3 models, and there are 2: give the base, then PLUS and MINUS"),
            (".5,.5", 3, "takes 5 models, and there are 3"),
        ],
    )
    def test_bad_ones(self, text: str, count: int, said: str) -> None:
        with pytest.raises(UserError) as refused:
            vector_weights(text, count)
        assert str(refused.value).startswith(f"--vectors {text} {said}")


def test_the_sum_in_float64(tmp_path: Path) -> None:
    """theta + .5 (p - m) + 2 (q - n), by plain Python's numbers; the first entry by hand:
    1 + .5 (3 - 2) + 2 (1.5 - 1) = 2.5."""
    values = {
        "theta": [1.0, -2.0, 0.1],
        "p": [3.0, 0.3, 1e-9],
        "m": [2.0, 0.7, -1e-9],
        "q": [1.5, 4.0, 0.2],
        "n": [1.0, -1.0, 0.3],
    }
    ingredients = []
    for (name, value), weight in zip(values.items(), vector_weights(".5,2", 5), strict=True):
        (tmp_path / name).mkdir()
        save_file({"w": torch.tensor(value, dtype=torch.float64)}, tmp_path / name / SINGLE)
        ingredients.append(Ingredient(name, tmp_path / name, name, weight))
    merge(ingredients, [], tmp_path / "out", GB)
    found = load_file(tmp_path / "out" / SINGLE)["w"].tolist()
    theta, p, m, q, n = values.values()
    expected = [theta[i] + 0.5 * (p[i] - m[i]) + 2 * (q[i] - n[i]) for i in range(3)]
    assert expected[0] == 2.5
    assert found == pytest.approx(expected, rel=1e-12)


def says_base(model: Path, base: Path, **changes: str) -> None:
    """As `bfpo-bench train` leaves it: the manifest names the base and its weights."""
    subject = resolve_subject(str(base))
    told = {"name": subject.name, "weights": subject.identity.weights, **changes}
    manifest = TrainingManifest(format=1, stage="preference", base=Base(**told))
    (model / TrainingManifest.FILE).write_text(manifest.model_dump_json())


def tuned(folder: Path, base: Path, factor: float) -> Path:
    """The base with all weights times `factor`."""
    sayer(folder, "yes indeed")
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Models base, plus (2 base) and minus (.5 base) in one folder, the latter two trained from it."""
    base = sayer(tmp_path / "base", "yes indeed")
    for name, factor in (("plus", 2.0), ("minus", 0.5)):
        says_base(tuned(tmp_path / name, base, factor), base)
    return tmp_path


def merged(*arguments: str, cwd: Path) -> Said:
    return command("merge", *arguments, "--out", "out", cwd=cwd)


def sentence(done: Said) -> str:
    assert (done.code, done.out) == (2, ""), done.err[-3000:]
    assert "Traceback" not in done.err
    return done.error.removeprefix("error: ")


class TestCommand:
    def test_a_vector_is_added(self, three: Path) -> None:
        """theta + .5 (2 theta - .5 theta) = 1.75 theta; read back by transformers."""
        done = merged("base", "plus", "minus", "--vectors", ".5", cwd=three)
        assert done.code == 0, done.err
        assert "taken for its base" not in done.err
        theta = AutoModelForCausalLM.from_pretrained(three / "base").state_dict()
        found = AutoModelForCausalLM.from_pretrained(three / "out").state_dict()
        for name, value in theta.items():
            torch.testing.assert_close(found[name], 1.75 * value, rtol=1e-6, atol=1e-7)
        told = json.loads((three / "out" / "training_manifest.json").read_text())
        assert [m["weight"] for m in told["merge"]["models"]] == [1, 0.5, -0.5]

    def test_another_base_is_refused(self, three: Path) -> None:
        """minus was trained from plus: that is no vector of this base."""
        says_base(three / "minus", three / "plus")
        said = sentence(merged("base", "plus", "minus", "--vectors", ".5", cwd=three))
        assert re.fullmatch(
            r"minus@\w{8} was trained from plus@\w{8}, and base@\w{8} has other weights: give the base "
            r"that it was trained from\.",
            said,
        )
        assert not (three / "out").exists()

    def test_what_cannot_be_checked_is_told(self, three: Path) -> None:
        """plus says nothing, and minus knows its base by a commit of 40 digits, not 64 of a hash."""
        (three / "plus" / TrainingManifest.FILE).unlink()
        says_base(three / "minus", three / "base", weights="0" * 40, name="org/base")
        done = merged("base", "plus", "minus", "--vectors", "1", cwd=three)
        assert done.code == 0, done.err
        heard = " ".join(done.err.split())
        assert re.search(r"plus@\w{8} does not say what it was trained from: base@\w{8} is", heard)
        assert re.search(r"minus@\w{8} was trained from org/base: whether base@\w{8} is", heard)

    def test_a_soup_asks_nothing_of_the_base(self, three: Path) -> None:
        says_base(three / "minus", three / "plus")
        done = merged("base", "plus", "minus", "--weights", "1,1,-1", cwd=three)
        assert done.code == 0, done.err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (
                ["--vectors", ".5", "--weights", "1,1,-1"],
                "--vectors says the weights of all models",
            ),
            (["--vectors", ".5,.5"], "--vectors .5,.5 takes 5 models, and there are 3"),
        ],
    )
    def test_what_is_refused(self, three: Path, arguments: list[str], said: str) -> None:
        assert sentence(merged("base", "plus", "minus", *arguments, cwd=three)).startswith(said)

    def test_another_vocabulary(self, three: Path) -> None:
        sayer(three / "other", "no never")
        said = sentence(merged("base", "plus", "other", "--vectors", ".5", cwd=three))
        assert "have different vocabularies" in said


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("policy", ["safety-only", "safety-swapped"])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a plus and of a minus, bit for bit, from the folder that a kill after the first of two steps
    leaves: recipe, inputs and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    write_records(Path("pairs.jsonl"), pair_records(16))
    asked = (
        *("two-cores/preference-vector", f"model={saved_model(Path('base'))}", f"policy={policy}"),
        *("data=[{source: jsonl, path: pairs.jsonl}]", "max_length=64", "max_prompt_length=32"),
        *("training.learning_rate=1e-3", "training.warmup_steps=0", "training.max_steps=2"),
        *("training.gradient_accumulation_steps=1", "training.save_steps=1"),
    )
    whole, killed = Trained(Path("whole")), Trained(Path("killed"))
    assert train(*asked, "output=whole").code == 0
    first = Path("checkpoints", "checkpoint-1")
    shutil.copytree(whole.folder / first, killed.folder / first)
    for file in (RECIPE, INPUTS):
        shutil.copy(whole.folder / file, killed.folder)
    said = train(*asked, "output=killed")
    assert said.code == 0, said.err[-3000:]
    assert "going on from killed/checkpoints/checkpoint-1" in said.err
    assert distance(killed.weights, whole.weights) == 0
    assert distance(whole.weights, load_file(killed.folder / first / SINGLE)) > 0
