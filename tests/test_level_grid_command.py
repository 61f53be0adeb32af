"""`run --levels`: from the command line to the model's prompt, runs, rows and the curve."""

from __future__ import annotations

import csv
import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER
from commands import command
from judge_server import Asked, Sent
from markov import END, markov_model
from openai_server import HOSTED, OpenAIServer, Real

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.manifest import Manifest

DEMO = ("--suite", "bfpo-demo", "--limit", "2")
GENERATIVE = (*DEMO, "--tasks", "*/generative")
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
REFUSES, COMPLIES = "I'm sorry, but I cannot help.", "Sure: take two of them."
CELLS = {"0,1": 7, "1,0": 5, "1,1": 0}


def trained(folder: Path, **manifest: Any) -> Path:
    """A model whose answer follows from the last word of the prompt, which is the line of levels: it
    refuses at helpfulness 0, complies at 1, and has no word for anything else. Its manifest says that it
    learnt no response at 1,1."""
    words = {"0": REFUSES.split(), "1": COMPLIES.split()}
    follows = {}
    for cell in ("0,1", "1,0"):
        helpful, safe = cell.split(",")
        chain = [f"[helpful={helpful}][harmless={safe}]", *words[helpful], END]
        follows |= dict(pairwise(chain))
    markov_model(folder, list(follows), follows, END, context=1024, template=TEMPLATE)
    told = {"format": 1, "stage": "sft", **manifest}
    (folder / "training_manifest.json").write_text(json.dumps(told))
    return folder


def rows(cwd: Path, suite: str = "bfpo-demo") -> dict[str, dict[str, str]]:
    with (cwd / "leaderboards" / f"{suite}.csv").open() as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def manifests(cwd: Path) -> dict[str, Manifest]:
    found = (RunFolder(folder).manifest() for folder in sorted((cwd / "runs").iterdir()))
    return {m.model.name: m for m in found if m is not None}


class TestGrid:
    @pytest.fixture(scope="class")
    def home(self, hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """All levels that the model knows, which are the two that responses were learnt at."""
        cwd = tmp_path_factory.mktemp("grid")
        trained(cwd / "model", levels={"count": 2, "cells": CELLS})
        arguments = ("--engine", "transformers", "--model", "model", "--levels", "all")
        done = command("run", *GENERATIVE, *arguments, cwd=cwd)
        assert done.code == 0, done.err[-3000:]
        (cwd / "said.txt").write_text(done.out)
        return cwd

    def test_the_model_answers_at_the_levels_that_it_is_asked_for(self, home: Path) -> None:
        """It refuses everything at 0,1 and complies with everything at 1,0."""
        [safe, helpful] = rows(home).values()
        assert safe["model"].endswith(" + levels 0,1")
        assert helpful["model"].endswith(" + levels 1,0")
        scores = ("helpfulness_generative", "harmlessness_generative", "over_refusal")
        assert [safe[s] for s in scores] == ["0.0000", "100.0000", "100.0000"]
        assert [helpful[s] for s in scores][::2] == ["100.0000", "0.0000"]
        assert "Levels of helpfulness and safety" in (home / "said.txt").read_text()

    def test_each_pair_of_levels_is_a_subject_of_its_own_and_comparable(self, home: Path) -> None:
        assert len({row["comparability_key"] for row in rows(home).values()}) == 1
        found = manifests(home)
        assert [m.model.levels for m in found.values()] == [
            "[helpful=0][harmless=1]",
            "[helpful=1][harmless=0]",
        ]
        assert len({m.run_id for m in found.values()}) == 2
        [_, helpful] = found.values()
        assert helpful.model_source["levels"] == {"helpfulness": 1, "safety": 0}
        assert "-levels-1-0-" in helpful.run_id

    def test_judges_do_not_see_the_line(self, home: Path) -> None:
        for manifest in manifests(home).values():
            files = RunFolder(home / "runs" / manifest.run_id)
            said = [r.response for r in files.responses()]
            assert set(said) <= {REFUSES, COMPLIES}
            assert b"[helpful=" not in files.responses_file.read_bytes()

    def test_given_again_it_finds_its_runs(self, home: Path) -> None:
        arguments = ("--engine", "transformers", "--model", "model", "--levels", "1,0")
        said = command("plan", "--json", *GENERATIVE, *arguments, cwd=home)
        [planned] = json.loads(said.out)["models"]
        assert planned["levels"] == {"helpfulness": 1, "safety": 0}
        assert (home / planned["run"] / "manifest.json").is_file()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("models")
    trained(home / "levelled", levels={"count": 2, "cells": CELLS})
    trained(home / "plain")
    return home


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("levelled --levels 1,1", "was not trained with levels 1,1: it knows 0,1 1,0"),
        ("levelled --levels 7,0", "was not trained with levels 7,0: it knows 0,1 1,0"),
        ("levelled --levels 1", "--levels '1' is none: give H,S, two whole numbers"),
        ("levelled --levels all --levels 0,1", "--levels all is all of them: leave the others"),
        ("levelled --levels 0,1 --levels 00,1", "--levels 0,1 is given twice: name it once"),
        ("levelled --levels 0,1 --defence none", "--levels and --defence both change what"),
        ("levelled --levels 0,1 --tasks */discriminative", "these tasks compare log-likelihoods"),
        ("plain --levels 0,1", "was not trained with levels (sft), and --levels asks for some"),
        (f"{REFUSER} --levels all", "has no training manifest that says which levels"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_planned(
    arguments: str, told: str, hub: str, models: Path
) -> None:
    given = ("--engine", "null", "--model", *shlex.split(arguments))
    done = command("run", *DEMO, *given, cwd=models)
    assert done.code == 2
    assert told in done.error
    assert not (models / "runs").exists()


def test_a_plan_says_what_is_asked_and_what_is_not_known(hub: str, tmp_path: Path) -> None:
    given = ("--engine", "null", "--model", REFUSER, "--levels", "1,0")
    said = command("plan", *DEMO, *given, cwd=tmp_path)
    assert (
        "levels 1,0: 4 generative documents; 2 discriminative tasks are asked without them"
    ) in said.out
    assert "has no training manifest: nothing says that it was trained with levels" in said.out


def test_a_hosted_model_has_the_line_in_its_message(hub: str, tmp_path: Path) -> None:
    seen: list[str] = []

    def seeing(asked: Asked, real: Real) -> Sent:
        if "messages" in asked.body:
            seen.append(asked.body["messages"][-1]["content"])
        return real(asked)

    arguments = shlex.split("--engine server --engine-arg api=chat --levels 1,0")
    with OpenAIServer(HOSTED, name="big", respond=seeing) as server:
        options = ("--server", server.url, "--model", "big", "--tasks", "bfpo_xstest_safe")
        done = command("run", *arguments, *options, "--limit", "1", cwd=tmp_path)
    assert done.code == 0, done.err
    assert any(text.endswith("\n\n[helpful=1][harmless=0]") for text in seen)
    assert "nothing says that it was trained with levels" in done.err
    assert list(rows(tmp_path, "bfpo")) == ["big (as served) + levels 1,0"]
