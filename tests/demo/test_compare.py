"""The models of `demo --compare` under equal budgets: trained once, kept, gone on with if killed."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
from faults import stages_here
from safetensors.torch import load_file
from small_corpus import TINY, small_corpus

from bfpo_bench.cli.demo_compare import compare_and_print
from bfpo_bench.demo import compare
from bfpo_bench.demo.compare import METHODS, SFT, Comparison, ensure_models, folder_name, recipes
from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.training_manifest import TrainingManifest, read_training_manifest

# A rival and BFPO are enough for every path, and each model that is measured takes seconds to start
SMALL = Comparison(methods=METHODS[-2:], supervised=TINY, steps=3, pairs=2)
COMMAND = ["bfpo-bench", "demo", "--compare"]


class Watching:
    """Lists the stages that were shown, and stops with Ctrl-C at one step of one stage."""

    def __init__(self, stop: tuple[str, int] = ("", 0)) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self._stop = stop

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        self.stages.append(title)

        def report(progress: Progress) -> None:
            if progress.phase == "steps" and (title, progress.done) == self._stop:
                raise KeyboardInterrupt

        yield report


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small_corpus(patch)
        yield


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """Everything from an empty cache: the folder that holds cache, runs and leaderboard; what was
    printed; the exit code."""
    folder = tmp_path_factory.mktemp("compare")
    with stages_here(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("BFPO_BENCH_CACHE", str(folder / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("COLUMNS", "80")
        patch.chdir(folder)
        with redirect_stdout(io.StringIO()) as printed:
            code = compare_and_print("auto", Path("runs"), None, COMMAND, SMALL)
    return folder, printed.getvalue(), code


def models(compared: tuple[Path, str, int]) -> Path:
    return compared[0] / "cache" / folder_name(SMALL)


def manifest(folder: Path) -> TrainingManifest:
    return read_training_manifest(folder / TrainingManifest.FILE, folder.name)


def test_all_methods_have_the_same_steps_of_as_many_pairs_from_the_same_files() -> None:
    """A batch of BFPO counts its main pairs, and as many of the buffer come with them."""
    found = recipes(Path("f"), Comparison())
    assert [r.name for r in found] == [m.name for m in METHODS]
    assert {r.training.max_steps for r in found} == {Comparison().steps}
    for recipe in found:
        pairs = recipe.training.per_device_train_batch_size * (2 if recipe.buffer else 1)
        assert pairs == 2 * Comparison().pairs
        assert recipe.model == f"f/{SFT}"
        files = [spec.path.name for spec in (*recipe.data, *recipe.buffer) if spec.path]
        assert files == [compare.SAFETY, compare.HELPFULNESS]
        same = recipe.training.model_dump(exclude={"learning_rate", "per_device_train_batch_size"})
        assert same == found[0].training.model_dump(
            exclude={"learning_rate", "per_device_train_batch_size"}
        )


def test_each_method_is_what_its_name_says() -> None:
    found = {r.name: r for r in recipes(Path("f"), Comparison())}
    for name in ("helpful-only", "safety-only", "mixed"):
        assert found[f"dpo-{name}"].pair_policy == name
        assert found[f"dpo-{name}"].objective_name == "dpo"
        assert found[f"dpo-{name}"].train_only is None
    assert found["bfpo"].train_only == ["down_proj"]
    assert [spec.assume_safe for spec in found["bfpo"].buffer] == [True]


def test_the_folder_is_another_for_another_seed_budget_method_or_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slower = (SMALL.methods[0], replace(SMALL.methods[1], learning_rate=1e-5))
    others = [
        replace(SMALL, seed=1),
        replace(SMALL, steps=4),
        replace(SMALL, supervised=replace(TINY, steps=4)),
        replace(SMALL, methods=slower),
    ]
    names = [folder_name(comparison) for comparison in (SMALL, *others)]
    with monkeypatch.context() as patch:
        patch.setattr(compare, "safety_pairs", lambda: [])
        names.append(folder_name(SMALL))
    assert len(set(names)) == len(names)
    assert folder_name(SMALL) == names[0]


def test_the_rows_say_how_each_model_was_trained(compared: tuple[Path, str, int]) -> None:
    table = read_leaderboard(compared[0] / "leaderboards" / "bfpo-demo.csv")
    assert compared[2] == 0
    assert [name.partition("@")[0] for name in table["model"]] == list(SMALL.names)
    assert [text.split(" ")[0] for text in table["training"]] == ["sft", "dpo", "bfpo"]
    assert [base.partition("@")[0] for base in table["base"]] == ["", SFT, SFT]
    assert not table["partial"].any()
    assert table["helpfulness"].notna().all()


def test_it_prints_table_scatter_words_and_what_to_do_next(
    compared: tuple[Path, str, int],
) -> None:
    lines = compared[1].splitlines()
    heads = ["bfpo-demo@1, comparability key", "harmless (percent)", "Most helpful: ", "The models"]
    places = [next(i for i, line in enumerate(lines) if line.startswith(h)) for h in heads]
    assert places == sorted(places)
    assert sum(line.startswith("bfpo against ") for line in lines) == 2
    assert "\n  3 bfpo " in compared[1]
    assert any(line.endswith(" report runs") for line in lines)
    [told] = [line.split() for line in lines if " compare runs/" in line]
    assert [run.partition("/")[2].split("-")[0] for run in told[-2:]] == ["sft", "bfpo"]
    assert lines[-1].endswith(" train")


def test_every_folder_has_its_training_manifest_and_the_trained_ones_recipe_and_card(
    compared: tuple[Path, str, int],
) -> None:
    for name in SMALL.names:
        told = manifest(models(compared) / name)
        assert told.command == tuple(COMMAND)
        assert told.steps == 3
        if name != SFT:
            assert (models(compared) / name / "recipe.yaml").is_file()
            assert f"# {name}" in (models(compared) / name / "README.md").read_text()


def test_bfpo_changes_down_proj_alone_and_dpo_everything(
    compared: tuple[Path, str, int],
) -> None:
    before = load_file(models(compared) / SFT / "model.safetensors")
    for name in SMALL.names[1:]:
        after = load_file(models(compared) / name / "model.safetensors")
        changed = {key for key in before if not before[key].equal(after[key])}
        wanted = {key for key in before if "down_proj" in key} if name == "bfpo" else set(before)
        assert changed == wanted


def test_a_second_comparison_trains_nothing(compared: tuple[Path, str, int]) -> None:
    before = {p: p.stat().st_mtime_ns for p in models(compared).glob("*/model.safetensors")}
    ui = Watching()
    folders = ensure_models(compared[0] / "cache", COMMAND, ui, SMALL)
    assert [f.name for f in folders] == list(SMALL.names)
    assert ui.stages == []
    assert before == {p: p.stat().st_mtime_ns for p in models(compared).glob("*/model.safetensors")}
    assert len(before) == 3


def test_a_killed_comparison_goes_on_and_gives_the_same_weights(
    compared: tuple[Path, str, int], tmp_path: Path
) -> None:
    """Stopped at the second of three steps, with a checkpoint after the first."""
    with pytest.raises(KeyboardInterrupt):
        ensure_models(tmp_path, COMMAND, Watching(("dpo-mixed (2 of 3)", 2)), SMALL)
    [folder] = tmp_path.glob("compare-*")
    supervised = (folder / SFT / "model.safetensors").stat().st_mtime_ns
    assert not (folder / "dpo-mixed" / TrainingManifest.FILE).exists()
    ui = Watching()
    ensure_models(tmp_path, COMMAND, ui, SMALL)
    assert ui.stages == ["dpo-mixed (2 of 3)", "bfpo (3 of 3)"]
    assert (folder / SFT / "model.safetensors").stat().st_mtime_ns == supervised
    # Only of a training that ran in one go is it known how long it took
    assert [manifest(folder / name).seconds is None for name in SMALL.names[1:]] == [True, False]
    for name in SMALL.names:
        resumed = load_file(folder / name / "model.safetensors")
        whole = load_file(models(compared) / name / "model.safetensors")
        assert all(resumed[key].equal(whole[key]) for key in whole)


def test_an_engine_that_is_none_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="There is no engine 'vlm'"):
        compare_and_print("vlm", tmp_path, None, COMMAND, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_without_trl_it_says_what_to_install_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '.\[train\]' in the checkout"):
        compare_and_print("auto", tmp_path, None, COMMAND, SMALL)
    assert list(tmp_path.iterdir()) == []
