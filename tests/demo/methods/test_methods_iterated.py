"""The common table's entry that is made in rounds, from a crafted model whose answers make pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_corpus import small_corpus
from two_minds import in_this_process, two_minds

from bfpo_bench.demo.compare import SFT, Comparison
from bfpo_bench.demo.methods.listed import MADE
from bfpo_bench.demo.methods.make import make_all
from bfpo_bench.demo.methods.models import Iterated
from bfpo_bench.demo.methods.places import own_files, places
from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest
from bfpo_bench.training.show import Silent

SMALL = Comparison(methods=(), steps=4, pairs=2)
[LISTED] = (entry for entry in MADE if isinstance(entry, Iterated))
ENTRY = replace(LISTED, prompts=8, max_new_tokens=12)
COMMAND = ["bfpo-bench", "demo", "--all"]

pytestmark = pytest.mark.usefixtures("few")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    small_corpus(monkeypatch)
    in_this_process(monkeypatch)


def make(cache: Path, entry: Iterated = ENTRY) -> Path:
    return make_all(cache, COMMAND, Silent(), SMALL, [entry])[entry.name]


def begun(cache: Path, doubt: float) -> Path:
    """The cache with a supervised model in it that answers a prompt one time and refuses it another."""
    two_minds(places(cache, SMALL, [])[SFT], doubt)
    return cache


def test_it_is_the_last_round_of_half_the_steps(tmp_path: Path) -> None:
    found = make(begun(tmp_path, 0.0))
    told = read_training_manifest(found / TrainingManifest.FILE, found.name)
    assert told.recipe is not None
    assert told.recipe["training"]["max_steps"] == 2
    assert told.base is not None
    assert told.base.name.startswith("iterated-round-1@")
    state = json.loads((found.parent / "rounds" / ENTRY.name / "iteration.json").read_text())
    assert [one["number"] for one in state["rounds"]] == [0, 1, 2]
    assert make(tmp_path) == found


def test_prompts_are_the_pairs_own_and_half_of_them_harmful() -> None:
    [rows] = own_files(ENTRY).values()
    assert [row["harmful"] for row in rows] == [True] * 4 + [False] * 4
    assert len({row["prompt"] for row in rows}) == 8


def test_a_round_without_pairs_is_told(tmp_path: Path) -> None:
    """A model in no doubt gives equal answers twice."""
    with pytest.raises(UserError, match="Round 1 yields no pairs"):
        make(begun(tmp_path, 30.0))
    assert not places(tmp_path, SMALL, [ENTRY])[ENTRY.name].exists()
