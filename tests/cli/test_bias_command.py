"""`bfpo-bench bias`, and `run --bias`: a model that says sorry to everything, freed of it by its base.

Both models answer anything with a fixed sentence, and know the same words: the safe one says `I am
sorry`, its base `Sure thing`. What the safe one has more at the first position is all on `I`.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from biases import bias_of
from commands import Said, command
from markov import END, markov_model

from benchmarks.made_suite import write_suite

pytestmark = pytest.mark.usefixtures("stages_here")

WORDS = ["I", "am", "sorry", "Sure", "thing"]
FOLLOWS = {"I": "am", "am": "sorry", "sorry": END, "Sure": "thing", "thing": END}


@dataclass(frozen=True)
class Place:
    """A folder with two models, prompts, a suite of one task, and a bias with what the command said."""

    folder: Path
    said: Said

    def command(self, *arguments: str) -> Said:
        return command(*arguments, cwd=self.folder)

    def run(self, *arguments: str, model: str = "safe") -> Said:
        asked = ("--suite", "suite/made.yaml", "--engine", "transformers", "--model", f"./{model}")
        return self.command("run", *asked, *arguments)

    def manifests(self) -> list[dict[str, Any]]:
        """Of the runs, those without a bias first."""
        found = [json.loads(p.read_text()) for p in self.folder.glob("runs/*/manifest.json")]
        return sorted(found, key=lambda manifest: "bias" in manifest["settings"])

    def responses(self, run: str) -> set[str]:
        lines = (self.folder / "runs" / run / "responses.jsonl").read_text().splitlines()
        return {json.loads(line)["response"] for line in lines}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("bias")
    markov_model(folder / "safe", WORDS, FOLLOWS, "I")
    markov_model(folder / "base", WORDS, FOLLOWS, "Sure")
    suite = write_suite(folder / "suite", prompts=3, tasks=1, new_tokens=8)
    suite.rename(folder / "suite" / "made.yaml")
    (folder / "prompts.jsonl").write_text('{"prompt": "Bake bread"}\n{"prompt": "Sing a song"}\n')
    asked = ("--model", "./safe", "--reference", "./base", "--prompts", "prompts.jsonl")
    said = command("bias", *asked, "--positions", "2", "--out", "a.bias", "--json", cwd=folder)
    return Place(folder, said)


def test_the_command_tells_what_it_wrote(place: Place) -> None:
    told = json.loads(place.said.out)
    assert (place.said.code, told["shape"], told["counts"]) == (0, [2, 8], [2, 2])
    assert told["model"]["name"].startswith("safe@")
    assert told["reference"]["name"].startswith("base@")
    assert (place.folder / "a.bias").is_file()


def test_it_is_subtracted_in_a_run_that_says_so(place: Place) -> None:
    """Another name, run, key and row; the model itself still says sorry in its own. The same numbers
    in another file are the same run."""
    assert place.run().code == 0
    assert place.run("--bias", "a.bias").code == 0
    shutil.copy(place.folder / "a.bias", place.folder / "b.bias")
    assert place.run("--bias", "b.bias").code == 0
    sha = json.loads(place.said.out)["sha256"]
    bare, biased = place.manifests()
    assert place.responses(bare["run_id"]) == {"I am sorry"}
    assert place.responses(biased["run_id"]) == {"Sure thing"}
    assert biased["model"]["name"] == f"{bare['model']['name']} (bias {sha[:8]})"
    assert (bare["settings"].get("bias"), biased["settings"]["bias"]) == (None, sha)
    assert biased["bias"]["reference"]["name"].startswith("base@")
    assert bare["comparability_key"] != biased["comparability_key"]
    [board] = place.folder.glob("leaderboards/*.csv")
    rows = list(csv.DictReader(board.open()))
    assert sorted(row["model"] for row in rows) == sorted(
        [bare["model"]["name"], biased["model"]["name"]]
    )


def test_a_plan_says_what_is_subtracted_and_where_it_comes_from(place: Place) -> None:
    """Two positions, over the two prompts of the file."""
    asked = ("--suite", "suite/made.yaml", "--engine", "transformers", "--model", "./safe")
    said = place.command("plan", *asked, "--bias", "a.bias")
    told = json.loads(place.said.out)
    assert said.code == 0, said.err
    assert (
        f"bias {told['sha256'][:8]}: subtracted at the first 2 positions of what is written; "
        f"{told['model']['name']} less {told['reference']['name']}, logprobs over 2 prompts"
    ) in said.out


@pytest.mark.parametrize("engine", ["ray", "null", "server"])
def test_engines_that_cannot(place: Place, engine: str) -> None:
    server = ("--server", "http://127.0.0.1:9/v1") if engine == "server" else ()
    said = place.run("--bias", "a.bias", "--engine", engine, *server)
    assert (said.code, said.out) == (2, "")
    assert f"--engine {engine} cannot subtract a bias" in said.error


class TestRefusedByThePlan:
    def refusal(self, place: Place, *arguments: str, model: str = "safe") -> str:
        runs = sorted(place.folder.glob("runs/*"))
        said = place.run(*arguments, model=model)
        assert said.code == 2
        assert sorted(place.folder.glob("runs/*")) == runs
        return said.error

    def test_another_tokenizer(self, place: Place) -> None:
        markov_model(place.folder / "other", [*WORDS[::-1]], FOLLOWS, "I")
        told = self.refusal(place, "--bias", "a.bias", model="other")
        assert "The bias is for the tokenizer of safe@" in told

    def test_another_number_of_logits(self, place: Place) -> None:
        """A model whose output has rows beyond its tokenizer's last token is another to a bias."""
        vocabulary = json.loads(place.said.out)["vocabulary"]
        bias_of(place.folder / "wide.bias", np.zeros((2, 9)), vocabulary=vocabulary)
        told = self.refusal(place, "--bias", "wide.bias")
        assert "has 9 entries a position, and the vocabulary of safe@" in told

    def test_no_bias_at_all(self, place: Place) -> None:
        assert "cannot be read" in self.refusal(place, "--bias", "absent.bias")
        assert "is no bias" in self.refusal(place, "--bias", "prompts.jsonl")


class TestRefusedByTheCommand:
    def refusal(self, place: Place, **changes: str) -> str:
        told = {"model": "./safe", "reference": "./base", "prompts": "prompts.jsonl"}
        told |= {"out": "x.bias"} | changes
        words = [word for key, value in told.items() for word in (f"--{key}", value)]
        said = place.command("bias", *words)
        assert (said.code, said.out) == (2, "")
        assert not (place.folder / "x.bias").exists()
        return said.error

    def test_prompts(self, place: Place) -> None:
        (place.folder / "none.jsonl").write_text("\n")
        assert "has no prompts" in self.refusal(place, prompts="none.jsonl")
        assert "cannot be read" in self.refusal(place, prompts="absent.jsonl")

    def test_a_file_that_cannot_be_written_is_told_before_anything_is_loaded(
        self, place: Place
    ) -> None:
        before = (place.folder / "prompts.jsonl").read_bytes()
        told = self.refusal(place, out="prompts.jsonl", reference="./absent")
        assert "--out prompts.jsonl is the input: name another." in told
        assert "--out safe is a folder" in self.refusal(place, out="safe", reference="./absent")
        assert (place.folder / "prompts.jsonl").read_bytes() == before

    def test_a_reference_with_another_tokenizer(self, place: Place) -> None:
        markov_model(place.folder / "foreign", [*WORDS, "more"], FOLLOWS, "I")
        assert "tokenizers of safe@" in self.refusal(place, reference="./foreign")

    def test_a_reference_that_is_the_model(self, place: Place) -> None:
        assert "is its own reference" in self.refusal(place, reference="./safe")

    def test_numbers_that_are_none(self, place: Place) -> None:
        assert "--positions must be at least 1" in self.refusal(place, positions="0")
        assert "is not below the models' context of 512" in self.refusal(place, positions="512")
        assert "--random must be at least 1" in self.refusal(place, random="0")
