"""A model that says how it was trained: into the run's manifest and the row, and no further."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER
from commands import command

from bfpo_bench.engines.subject import resolve_subject

pytestmark = pytest.mark.usefixtures("stages_here")

COMMAND = (
    *("--model", "./refuser", "--suite", "bfpo", "--tasks", "bfpo_advbench,bfpo_ethics_cm"),
    *("--limit", "2", "--engine", "transformers", "--max-new-tokens", "8"),
)
TOLD: dict[str, Any] = {
    "format": 1,
    "stage": "preference",
    "objective": "bfpo",
    "objective_args": {"tau": 0.01},
    "base": {"name": "org/\x1b[31mbase", "commit": None, "weights": None},
    "data_sha256": "1a2b3c4d" * 8,
    "of_a_later_version": [1, 2],
}


@dataclass(frozen=True)
class Measured:
    """A folder with a model that was measured in it: what is kept, and what the terminal showed."""

    folder: Path
    said: str

    @property
    def manifest(self) -> dict[str, Any]:
        [file] = self.folder.glob("runs/*/manifest.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    @property
    def row(self) -> dict[str, str]:
        with (self.folder / "leaderboards" / "bfpo.csv").open(newline="") as file:
            [row] = csv.DictReader(file)
        return row


def measure(folder: Path, training: str) -> Measured:
    (folder / "refuser" / "training_manifest.json").write_text(training)
    done = command("run", *COMMAND, cwd=folder)
    assert done.code == 0, done.err[-3000:]
    return Measured(folder, done.out + done.err)


@pytest.fixture(scope="module")
def trained(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(resolve_subject(REFUSER).base.materialise(), folder / "refuser")
    return measure(folder, json.dumps(TOLD))


def test_the_manifest_has_it_whole_and_the_row_in_short(trained: Measured) -> None:
    assert TOLD.items() <= trained.manifest["training"].items()
    assert trained.row["base"] == "org/[31mbase"
    assert trained.row["training"] == "bfpo tau=0.01 on 1a2b3c4d"
    assert "\x1b" not in trained.said
    assert "training" not in trained.manifest["comparability"]


def test_plan_says_how_a_model_was_trained(trained: Measured) -> None:
    said = command("plan", *COMMAND, cwd=trained.folder).out
    assert "\n  training: bfpo tau=0.01 on 1a2b3c4d, from org/[31mbase\n" in said
    told = json.loads(command("plan", *COMMAND, "--json", cwd=trained.folder).out)
    [model] = told["models"]
    assert model["training"] == "bfpo tau=0.01 on 1a2b3c4d"
    assert model["training_fault"] is None


def test_a_broken_one_costs_its_words_and_nothing_else(trained: Measured, tmp_path: Path) -> None:
    """The same run and the same row, whose answers and scores are kept."""
    folder = Path(shutil.copytree(trained.folder, tmp_path / "copy"))
    broken = measure(folder, '{"format": 2}')
    fault = "ignored: refuser's training_manifest.json is of a later format than 1: update"
    assert fault in broken.said
    assert "6 of 6 requests were answered before and kept" in broken.said
    assert broken.manifest["run_id"] == trained.manifest["run_id"]
    assert broken.manifest["training"] is None
    assert broken.row == trained.row | {"base": "", "training": "", "date": broken.row["date"]}
    assert f"\n  {fault}" in command("plan", *COMMAND, cwd=folder).out


def test_the_table_stays_narrow_and_what_is_exported_has_it(trained: Measured) -> None:
    shown = command("leaderboard", "show", cwd=trained.folder, COLUMNS="80").out
    assert "bfpo tau" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    exported = command("leaderboard", "export", "--format", "json", cwd=trained.folder).out
    [block] = json.loads(exported)
    assert block["rows"][0]["training"] == "bfpo tau=0.01 on 1a2b3c4d"
