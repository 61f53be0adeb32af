"""Every kind of entry of the common table, made on a tiny model, measured, and gone on with if stopped."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from commands import command
from faults import stages_here
from safetensors.torch import load_file
from small_corpus import TINY, small_corpus

from bfpo_bench.cli.demo_all import all_and_print
from bfpo_bench.demo.compare import SFT, Comparison
from bfpo_bench.demo.methods.listed import MADE, Table
from bfpo_bench.demo.methods.make import make_all
from bfpo_bench.demo.methods.models import Bias, Iterated, Made, Sum, Trained
from bfpo_bench.demo.methods.places import places
from bfpo_bench.demo.methods.rows import Row
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest

BY_NAME = {entry.name: entry for entry in MADE}
KEPT = (
    *("ama-bfpo", "safety-patch", "over-safety-patch", "safe-patching"),
    "control-tokens",
)
HALF = Sum("half", (SFT, "ama-bfpo"), (0.5, 0.5))
BIAS = Bias("tsdi", "ama-bfpo", positions=2, prompts=4)
SMALL = Table(
    comparison=Comparison(methods=(), supervised=TINY, steps=2, pairs=2),
    made=(*(BY_NAME[name] for name in KEPT), HALF, BIAS),
    rows=(
        Row(SFT),
        Row("half", bias="tsdi"),
        Row(SFT, defence="instruction"),
        Row("control-tokens", levels="1,0"),
    ),
)
COMMAND = ["bfpo-bench", "demo", "--all"]


class Watching:
    """Lists the stages that were shown, and stops with Ctrl-C at one phase of one of them."""

    def __init__(self, stop: tuple[str, str] = ("", "")) -> None:
        self.stages: list[str] = []
        self._stop = stop

    def note(self, text: str) -> None:
        return

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        self.stages.append(title)

        def report(progress: Progress) -> None:
            if (title, progress.phase) == self._stop:
                raise KeyboardInterrupt

        yield report


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, int]]:
    """Everything from an empty cache: the folder that holds cache, runs and leaderboard; what was
    printed; the exit code. The corpus stays small as long as it is in use."""
    folder = tmp_path_factory.mktemp("all")
    with stages_here(), pytest.MonkeyPatch.context() as patch:
        small_corpus(patch)
        patch.setenv("BFPO_BENCH_CACHE", str(folder / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("COLUMNS", "80")
        patch.chdir(folder)
        with redirect_stdout(io.StringIO()) as printed:
            code = all_and_print("auto", Path("runs"), Path("b.csv"), COMMAND, small())
        yield folder, printed.getvalue(), code


def small() -> Table:
    return replace(SMALL, subject=SFT)


def folders(made: tuple[Path, str, int]) -> dict[str, Path]:
    return places(made[0] / "cache", SMALL.comparison, SMALL.made)


def manifest(folder: Path) -> TrainingManifest:
    return read_training_manifest(folder / TrainingManifest.FILE, folder.name)


def test_each_row_is_in_the_leaderboard(made: tuple[Path, str, int]) -> None:
    """The bare, the defended and the levelled one share a key; decoding with a bias has another."""
    table = read_leaderboard(made[0] / "b.csv")
    assert made[2] == 0
    names = [re.sub("[0-9a-f]{8}", "#", name) for name in table["model"]]
    assert names == [
        "sft@#",
        "half@# (bias #)",
        "sft@# + instruction",
        "control-tokens@# + levels 1,0",
    ]
    keys = list(table["comparability_key"])
    assert keys[0] == keys[2] == keys[3] != keys[1]
    assert not table["partial"].any()
    assert list(table["training"])[1].startswith("merge of sft@")


def test_it_prints_the_table_the_plane_and_what_it_says(made: tuple[Path, str, int]) -> None:
    lines = made[1].splitlines()
    heads = ["bfpo-demo@1, comparability key", "harmless (percent)", "Most helpful: "]
    places = [next(i for i, line in enumerate(lines) if line.startswith(h)) for h in heads]
    assert places == sorted(places)
    for row in (
        "  1 sft ",
        "  2 half + tsdi ",
        "  3 sft + instruction ",
        "  4 control-tokens + levels 1,0",
    ):
        assert sum(line.startswith(row) for line in lines) == 1, row
    # A row of another comparability key is drawn, and is ranked with no other
    told = made[1][made[1].index("Most helpful: ") :]
    assert "tsdi" not in told[: told.index("run: ")]
    assert sum(line.startswith("run: runs/") for line in lines) == 4


def test_segments_reach_the_training(made: tuple[Path, str, int]) -> None:
    told = manifest(folders(made)["ama-bfpo"])
    assert told.recipe is not None
    assert told.recipe["ama"] == {"baseline": 0.0}
    assert told.recipe["train_only"] == ["down_proj"]
    assert told.command == tuple(COMMAND)
    # Of the pairs with an unsafe chosen response nothing of that one is kept
    assert any(reason.startswith("chosen response without a segment") for reason in told.changed)


def test_a_sum_is_the_sum(made: tuple[Path, str, int]) -> None:
    one, two, half = (
        load_file(folders(made)[name] / "model.safetensors") for name in (SFT, "ama-bfpo", "half")
    )
    for key in one:
        assert half[key].allclose(0.5 * one[key] + 0.5 * two[key], atol=1e-7)


def test_a_patched_model_tells_of_its_patches(made: tuple[Path, str, int]) -> None:
    told = manifest(folders(made)["safe-patching"]).merge
    assert told is not None
    assert told.method == "SafePatching"
    assert [m.name.partition("@")[0] for m in told.models] == [SFT, *KEPT[1:3]]
    assert told.arguments["share_safety"] == 0.1


def test_a_second_time_makes_nothing(made: tuple[Path, str, int]) -> None:
    ui = Watching()
    make_all(made[0] / "cache", COMMAND, ui, SMALL.comparison, SMALL.made)
    assert ui.stages == []


def test_what_was_stopped_goes_on(made: tuple[Path, str, int]) -> None:
    """Stopped while the model is merged: the next call makes that one, and nothing of what was there."""
    other: tuple[Made, ...] = (*SMALL.made[:1], replace(HALF, weights=(0.25, 0.75)))
    cache, title = made[0] / "cache", "half (2 of 2)"
    with pytest.raises(KeyboardInterrupt):
        make_all(cache, COMMAND, Watching((title, "tensors")), SMALL.comparison, other)
    there = places(cache, SMALL.comparison, other)["half"]
    assert not there.exists()
    ui = Watching()
    make_all(cache, COMMAND, ui, SMALL.comparison, other)
    assert ui.stages == [title]
    assert (there / "model.safetensors").is_file()


def test_all_kinds_are_among_these() -> None:
    """What is made in rounds is in test_methods_iterated.py."""
    assert {type(entry) for entry in SMALL.made} == {type(entry) for entry in MADE} - {Iterated}
    assert any(isinstance(entry, Trained) and entry.segments for entry in SMALL.made)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--all --engine vllm", "--engine vllm cannot serve every row of `demo --all`"),
        ("--all --compare", "give one of the two"),
        ("--engine server", "The demo makes its own models, which no server has yet"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    words: str, said: str, tmp_path: Path
) -> None:
    told = command("demo", *words.split(), cwd=tmp_path, cache=tmp_path / "cache")
    assert told.code == 2
    assert said in told.error
    assert list(tmp_path.iterdir()) == []
