"""`bfpo-bench sweep` on a model of one layer: stopped, gone on with, and in shards.

Everything happens in this process: what a stage's own process is for is tested where it lives.
"""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Said, command
from recipes import pair_records, write_records
from safetensors.torch import load_file, save_file

import bfpo_bench.pipeline
import bfpo_bench.training.stage
from bfpo_bench.cli.sweep import check_asked
from bfpo_bench.demo import model as demo
from bfpo_bench.demo.corpus import taught
from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.progress import Progress, Report
from bfpo_bench.stages.process import StageCrash

TASKS = Path(bfpo_bench.__file__).with_name("demo") / "tasks"
SUITE = f"""\
name: sides
version: 1
title: A task of choices for each side
include_path: {TASKS}
tasks: [bfpo_demo_facts, bfpo_demo_kindness]
dimensions: {{helpfulness: [helpfulness/discriminative], harmlessness: [harmlessness/discriminative]}}
"""
RECIPE = """\
name: small
stage: preference
model: base
output: unused
data: [{source: jsonl, path: pairs.jsonl}]
objective: {name: bfpo, tau: 0.1}
max_length: 128
training: {learning_rate: 1.0e-3, max_steps: 3, save_steps: 1, gradient_checkpointing: false}
"""
MEASURED = ("--suite", "sides.yaml", "--engine", "transformers", "--limit", "20")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base that knows a few words, another like it, eight pairs, recipe and suite."""
    folder = tmp_path_factory.mktemp("sweep")
    size = demo.Recipe(vocabulary=512, hidden=64, heads=1, layers=1, feed_forward=64, batch=4)
    demo.train(folder / "base", taught("helpful"), size, steps=2)
    (folder / "other").mkdir()
    for file in (folder / "base").iterdir():
        (folder / "other" / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "base" / "model.safetensors")
    torch.manual_seed(0)
    moved = {name: value + torch.randn_like(value) for name, value in weights.items()}
    save_file(moved, folder / "other" / "model.safetensors", metadata={"format": "pt"})
    write_records(folder / "pairs.jsonl", pair_records(8))
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "sides.yaml").write_text(SUITE)
    return folder


@contextmanager
def stages_here() -> Iterator[list[str]]:
    """Stages run in this process, what they print goes to their logs; the points whose trainings are
    begun, in their order."""
    begun: list[str] = []

    def stage(name: str, target: Any, job: Any, *, log: Path, report: Report, **_: Any) -> Any:
        if name == "train":
            begun.append(job.recipe.output.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file, redirect_stdout(file):
            return target(job, report)

    with pytest.MonkeyPatch.context() as patch, demo.few_threads():
        for module in (bfpo_bench.pipeline, bfpo_bench.training.stage):
            patch.setattr(module, "run_stage", stage)
        yield begun


@pytest.fixture
def begun() -> Iterator[list[str]]:
    with stages_here() as found:
        yield found


def sweep(cwd: Path, out: str, *more: str, over: str = "objective.tau=0.1,1") -> Said:
    asked = ("sweep", "recipe.yaml", "--over", over, "--out", out, *MEASURED)
    return command(*asked, *more, "--leaderboard", f"{out}.csv", cwd=cwd, cache=cwd / "cache")


@contextmanager
def stopped_at(point: str, step: int) -> Iterator[None]:
    """Ctrl-C when the point's training has taken so many steps, after which it has a checkpoint."""
    whole: Callable[..., Any] = bfpo_bench.training.stage.run_stage

    def stage(name: str, target: Any, job: Any, *, report: Report, **rest: Any) -> Any:
        def watching(progress: Progress) -> None:
            if progress.phase == "steps" and progress.done == step:
                raise KeyboardInterrupt
            report(progress)

        here = watching if job.recipe.output.name == point else report
        return whole(name, target, job, report=here, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bfpo_bench.training.stage, "run_stage", stage)
        yield


def record(out: Path) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads((out / "sweep.json").read_text())["points"]}


def front(out: Path) -> list[dict[str, str]]:
    with (out / "front.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def stopped(world: Path) -> Path:
    """Stopped in the second of two trainings, and given again."""
    out = world / "stopped"
    with stages_here() as begun:
        with stopped_at("recipe-tau1", 2):
            done = sweep(world, "stopped")
        assert done.code == 130, done.err
        assert done.out == ""
        assert not (out / "front.csv").exists()
        states = {name: one["state"] for name, one in record(out).items()}
        assert states == {"recipe-tau0.1": "measured", "recipe-tau1": "waiting"}
        first = (out / "recipe-tau0.1" / "model.safetensors").stat()
        done = sweep(world, "stopped")
        assert done.code == 0, done.err
        assert begun == ["recipe-tau0.1", "recipe-tau1", "recipe-tau1"]
        assert (out / "recipe-tau0.1" / "model.safetensors").stat() == first
        assert "recipe-tau0.1: measured" in done.err
        assert "going on from" in (out / "logs" / "recipe-tau1.log").read_text()
    return out


class TestRecipes:
    def test_what_it_leaves(self, stopped: Path) -> None:
        """Models, runs, rows, and the front as a table and as pictures."""
        found = front(stopped)
        assert [line["objective.tau"] for line in found] == ["0.1", "1"]
        for line in found:
            assert (stopped / "runs" / line["run"] / "scores.json").is_file()
            told = json.loads((stopped / line["point"] / "training_manifest.json").read_text())
            assert str(told["objective_args"]["tau"]) in (line["objective.tau"], "1.0")
        board = read_leaderboard(stopped.with_suffix(".csv"))
        assert [m.partition("@")[0] for m in board["model"]] == ["recipe-tau0.1", "recipe-tau1"]
        for line, value in zip(found, board["helpfulness"], strict=True):
            assert float(line["helpfulness"]) == value
        assert (stopped / "front.svg").read_text().startswith("<svg")
        assert (stopped / "front.png").read_bytes().startswith(b"\x89PNG")

    def test_shards_and_then_the_whole_are_what_one_command_makes(
        self, stopped: Path, begun: list[str]
    ) -> None:
        """The second shard first. Runs are named by a hash of the weights, which are thus the same as
        those of a training that was stopped."""
        world = stopped.parent
        second = sweep(world, "shards", "--shard", "2/2")
        assert second.code == 0, second.err
        assert begun == ["recipe-tau1"]
        assert "recipe-tau0.1: to be made and measured by another shard" in second.err
        assert "shard 2/2: 1 of its 1 points measured, of 2 in all" in second.out
        assert not list((world / "shards").glob("front.*"))
        assert sweep(world, "shards", "--shard", "1/2").code == 0
        assert not list((world / "shards").glob("front.*"))
        whole = sweep(world, "shards")
        assert whole.code == 0, whole.err
        assert begun == ["recipe-tau1", "recipe-tau0.1"]
        for name in ("front.csv", "sweep.json"):
            assert (world / "shards" / name).read_text() == (stopped / name).read_text()

    def test_a_training_that_diverges_keeps_no_other_point(
        self, world: Path, begun: list[str]
    ) -> None:
        done = sweep(world, "wild", over="training.learning_rate=1e-3,1e30")
        assert done.code == 3, done.err
        assert "recipe-learning_rate1e+30: The " in done.out
        assert "lower learning_rate or mend the batch" in done.out
        assert "1 of 1 points is on the front: learning_rate=0.001." in done.out
        assert "learning_rate=1e+30 (not measured)." in done.out
        assert [line["on_front"] for line in front(world / "wild")] == ["True", ""]
        states = [one["state"] for one in record(world / "wild").values()]
        assert states == ["measured", "failed"]

    def test_nor_does_a_process_that_dies(
        self, stopped: Path, monkeypatch: pytest.MonkeyPatch, begun: list[str]
    ) -> None:
        """The one that answers for the second point, and the one that trains the third."""
        out = shutil.copytree(stopped, stopped.parent / "dying")
        here: Callable[..., Any] = bfpo_bench.pipeline.run_stage

        def dies(name: str, target: Any, job: Any, *, log: Path, **rest: Any) -> Any:
            if name == "train" or job.run.name.startswith("recipe-tau1-"):
                raise StageCrash(name, "was ended by SIGKILL (out of memory?)", log)
            return here(name, target, job, log=log, **rest)

        for module in (bfpo_bench.pipeline, bfpo_bench.training.stage):
            monkeypatch.setattr(module, "run_stage", dies)
        done = sweep(out.parent, out.name, "--json", over="objective.tau=0.1,1,7")
        assert done.code == 3, done.err
        found = json.loads(done.out)["points"]
        assert [one["on_front"] for one in found] == [True, None, None]
        assert found[0]["fault"] is None
        assert "stage respond was ended by SIGKILL" in found[1]["fault"]
        assert "stage train was ended by SIGKILL" in found[2]["fault"]

    def test_trainings_that_read_other_data_have_no_common_front(
        self, stopped: Path, begun: list[str]
    ) -> None:
        kept = stopped / "recipe-tau1" / "inputs.json"
        before = kept.read_text()
        kept.write_text(json.dumps(json.loads(before) | {"data": "another hash"}))
        done = sweep(stopped.parent, "stopped")
        kept.write_text(before)
        assert done.code == 2
        assert "The data changed between the trainings in stopped/recipe-tau0.1 and" in done.error


class TestSoups:
    def test_the_ends_are_the_models_themselves(self, world: Path, begun: list[str]) -> None:
        """And what is between is their mean by weight. The null engine measures nothing, so that no
        point has a place on a front."""
        asked = ("sweep", "--soup", "base", "other", "--weights", "0,.25,1", "--out", "soup")
        more = ("--suite", "sides.yaml", "--engine", "null", "--limit", "1")
        done = command(*asked, *more, cwd=world, cache=world / "cache")
        assert done.code == 0, done.err
        base, other = (load_file(world / m / "model.safetensors") for m in ("base", "other"))
        first, mixed, last = (
            load_file(world / "soup" / f"soup-weight{w}" / "model.safetensors")
            for w in ("0", "0.25", "1")
        )
        for name, value in base.items():
            assert torch.equal(first[name], value)
            assert torch.equal(last[name], other[name])
            torch.testing.assert_close(mixed[name], 0.75 * value + 0.25 * other[name])
        assert "No point has a place: there is no front." in done.out
        assert {line["left_out"] for line in front(world / "soup")} == {
            "of the null engine, which measures nothing"
        }
        again = command(*asked, *more, cwd=world, cache=world / "cache")
        assert again.code == 0
        assert again.err.count(": measured") == 3

    def test_another_soup_in_the_same_place_is_refused(self, world: Path) -> None:
        (world / "taken" / "soup-weight0.5").mkdir(parents=True)
        (world / "taken" / "soup-weight0.5" / "notes.txt").write_text("mine")
        asked = ("sweep", "--soup", "base", "other", "--weights", ".5", "--out", "taken", *MEASURED)
        done = command(*asked, cwd=world, cache=world / "cache")
        assert done.code == 2
        assert "taken/soup-weight0.5 is not empty" in done.error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "A sweep is of a recipe, with --over, or of a --soup, with --weights: give one."),
        ("recipe.yaml", "--over is missing: say what to sweep"),
        ("recipe.yaml --over a=1 --soup a b", "A recipe is trained and a --soup merged"),
        ("--soup a b", "--weights is missing: say how much of B"),
        ("--soup a b --weights 1 --over a=1", "--over and KEY=VALUE change a recipe"),
        ("recipe.yaml --over output=a,b", "output is DIR/POINT for each point of a sweep"),
        ("recipe.yaml output=a --over seed=1", "output is DIR/POINT for each point of a sweep"),
        ("recipe.yaml seed=1 --over seed=1,2", "seed is swept and given a value as well"),
        (
            "recipe.yaml --over objective.alpha=0.5,1",
            "The objective bfpo needs alpha between 0 and 1",
        ),
        ("recipe.yaml --over objective.tua=1", "The objective bfpo has no parameter 'tua'"),
        (
            "recipe.yaml --over objective.tau=1,2 --over objective={name:\\ bfpo}",
            'tau=1 objective={"name": "bfpo"} and tau=2 ',
        ),
        ("recipe.yaml --over seed=1,2 --shard 3/2", "--shard 3/2 is none"),
        (
            "recipe.yaml --over objective.tau=1 --engine server",
            "A sweep makes its own models, which no server has yet",
        ),
        ("recipe.yaml --over model=base,nowhere/nothing/no", "There is no model folder nowhere"),
        (
            "recipe.yaml objective={name:\\ modpo} margin={model:\\ nowhere/no/m} --over seed=1",
            "margin.model: There is no model folder nowhere/no/m",
        ),
        (
            "recipe.yaml objective={name:\\ midpo_router} experts.safety=base "
            "experts.helpfulness=other --over seed=1",
            "experts.safety: base is no LoRA adapter",
        ),
        ("recipe.yaml --over seed=1 --suite nothing", "There is no suite"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    words: str, said: str, world: Path, begun: list[str]
) -> None:
    done = command("sweep", *shlex.split(words), "--out", "none", cwd=world, cache=world / "cache")
    assert done.code == 2, done.out
    assert done.error.removeprefix("error: ").startswith(said)
    assert begun == []
    assert not list((world / "none").glob("*"))


def test_accelerates_processes_are_sent_to_train(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of them would train every point."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="launch `train` with output=DIR/POINT for each point"):
        check_asked("recipe.yaml", None, ["seed=1"], None, None)
