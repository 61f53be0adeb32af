"""A training's output folder: whose it is, whether it is finished, and that only one writes it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from bench import environment
from recipes import recipe

from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest
from bfpo_bench.training.output import (
    CHECKPOINTS,
    INPUTS,
    RECIPE,
    check_inputs,
    claimed,
    is_finished,
    write_manifest,
    write_metrics,
)
from bfpo_bench.training.recipe import load_recipe

MANIFEST = TrainingManifest(format=1, stage="preference", steps=7)


def begun(folder: Path) -> Path:
    """The folder of a training that was stopped after its second step."""
    with claimed(recipe(folder)):
        state = folder / CHECKPOINTS / "checkpoint-2" / "trainer_state.json"
        state.parent.mkdir(parents=True)
        state.write_text("{}")
    return folder


def finished(folder: Path) -> Path:
    write_manifest(begun(folder), MANIFEST)
    return folder


def refused(folder: Path, **changes: object) -> str:
    with pytest.raises(UserError) as error:
        is_finished(recipe(folder, **changes))
    return str(error.value)


def test_a_new_folder_is_marked_with_the_recipe(tmp_path: Path) -> None:
    new = recipe(tmp_path / "models" / "small")
    assert not is_finished(new)
    with claimed(new):
        assert load_recipe(str(new.output / RECIPE)) == new
    assert not is_finished(new)


def test_the_same_training_goes_on(tmp_path: Path) -> None:
    assert not is_finished(recipe(begun(tmp_path / "o")))


def test_a_finished_one_is_finished(tmp_path: Path) -> None:
    assert is_finished(recipe(finished(tmp_path / "o")))


@pytest.mark.parametrize("stopped", [begun, finished])
def test_another_training_is_refused_naming_what_differs(
    tmp_path: Path, stopped: Callable[[Path], Path]
) -> None:
    folder = stopped(tmp_path / "o")
    before = (folder / RECIPE).read_bytes()
    changes = {"seed": 7, "training": {"learning_rate": 1e-3, "max_steps": 9}}
    said = refused(folder, **changes)
    assert "holds a training with another seed, training.max_steps: name another" in said
    with pytest.raises(UserError, match="another seed"), claimed(recipe(folder, **changes)):
        pass
    assert (folder / RECIPE).read_bytes() == before


def test_a_training_that_never_got_anywhere_makes_room(tmp_path: Path) -> None:
    """Say the model was misspelt: there is nothing to lose, and the same folder may be used."""
    with claimed(recipe(tmp_path / "o", model="org/bsae")):
        pass
    mended = recipe(tmp_path / "o")
    assert not is_finished(mended)
    with claimed(mended):
        assert load_recipe(str(mended.output / RECIPE)).model == "org/base"


@pytest.mark.parametrize("stopped", [begun, finished])
def test_a_folder_may_be_moved(tmp_path: Path, stopped: Callable[[Path], Path]) -> None:
    """Of the recipe only the output differs then."""
    old = recipe(stopped(tmp_path / "o"))
    place = shutil.move(old.output, tmp_path / "elsewhere")
    moved = old.model_copy(update={"output": Path(place), "reference_cache": tmp_path / "cache"})
    assert is_finished(moved) == (stopped is finished)


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    assert "is not empty and holds no recipe.yaml: name another" in refused(tmp_path)
    with pytest.raises(UserError, match="not empty"), claimed(recipe(tmp_path)):
        pass
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["thesis.txt"]


def test_hidden_files_are_nothing(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    assert not is_finished(recipe(tmp_path))


@pytest.mark.parametrize("text", ["name: [", "- a\n", "1: 2\nname: n\n", ""])
def test_a_broken_recipe_beside_a_checkpoint_is_no_licence_to_go_on(
    tmp_path: Path, text: str
) -> None:
    (begun(tmp_path / "o") / RECIPE).write_text(text)
    assert "cannot be read: restore it, or name another output" in refused(tmp_path / "o")


def test_a_broken_manifest_is_told(tmp_path: Path) -> None:
    (finished(tmp_path / "o") / TrainingManifest.FILE).write_text("{")
    assert "training_manifest.json is not valid JSON" in refused(tmp_path / "o")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    there = recipe(tmp_path / place)
    with pytest.raises(UserError, match=r"cannot be written .*: name another"), claimed(there):
        pass


def test_only_one_training_at_a_time(tmp_path: Path) -> None:
    """The lock ends with the process that holds it, however that ends."""
    mine = recipe(tmp_path / "o")
    script = (
        "import sys\n"
        "from bfpo_bench.training.output import claimed\n"
        "from bfpo_bench.training.recipe import load_recipe\n"
        f"with claimed(load_recipe({str(tmp_path / 'o' / RECIPE)!r})):\n"
        "    print('at work', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with claimed(mine):
        pass
    other = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "at work\n"
    with pytest.raises(UserError, match="Another training is at work in"), claimed(mine):
        pass
    other.kill()
    other.communicate()
    with claimed(mine):
        pass


def test_an_error_inside_gives_the_folder_back(tmp_path: Path) -> None:
    mine = recipe(tmp_path / "o")
    with pytest.raises(RuntimeError), claimed(mine):
        raise RuntimeError
    with claimed(mine):
        pass


def test_the_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_training_manifest(tmp_path / TrainingManifest.FILE, "small") == MANIFEST


def test_metrics_are_a_line_an_entry(tmp_path: Path) -> None:
    history = [{"step": 1, "loss": 6250.0}, {"step": 2, "loss": 5.5}]
    write_metrics(tmp_path, history)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history


class TestInputs:
    """A recipe names files and repositories, and what lies there may have changed."""

    NOW: ClassVar = {"data": "1a", "base model": "2b", "tokenizer": "3c", "chat template": "4d"}

    @pytest.mark.parametrize("name", ["data", "base model", "tokenizer", "chat template"])
    def test_changed_ones_are_refused(self, tmp_path: Path, name: str) -> None:
        folder = begun(tmp_path / "o")
        (folder / INPUTS).write_text(json.dumps(self.NOW))
        with pytest.raises(UserError, match=f"^The {name} changed since the training in .* began"):
            check_inputs(folder, {**self.NOW, name: "other"}, write=True)
        assert json.loads((folder / INPUTS).read_text()) == self.NOW

    def test_so_are_they_where_it_is_finished(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "o")
        (folder / INPUTS).write_text(json.dumps(self.NOW))
        check_inputs(folder, self.NOW, write=False)
        with pytest.raises(UserError, match=r"^The data and the tokenizer changed"):
            check_inputs(folder, {**self.NOW, "data": "0", "tokenizer": "0"}, write=False)

    def test_before_the_first_checkpoint_nothing_is_lost(self, tmp_path: Path) -> None:
        folder = tmp_path / "o"
        check_inputs(folder, self.NOW, write=True)
        check_inputs(folder, {**self.NOW, "data": "other"}, write=True)
        assert json.loads((folder / INPUTS).read_text())["data"] == "other"

    def test_what_an_older_version_did_not_write_down_changed_nothing(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "o")
        (folder / INPUTS).write_text(json.dumps(self.NOW))
        check_inputs(folder, self.NOW | {"margin model": "5e"}, write=False)
