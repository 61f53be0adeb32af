"""What `bfpo-bench train` says when it trains nothing: lists, help, and a sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import REFUSER, STORIES, bench
from training import SMALL, TINY, train

from bfpo_bench.training.recipe import ACCELERATE, shipped

NOWHERE = "http://127.0.0.1:9"
"""A port at which nobody listens."""


def test_alone_it_lists_the_recipes(tmp_path: Path) -> None:
    done = bench("train", cwd=tmp_path)
    assert done.returncode == 0
    assert [line.strip() for line in done.stdout.splitlines()[1:]] == shipped()


def test_help_fits_a_narrow_terminal(tmp_path: Path) -> None:
    said = bench("train", "--help", cwd=tmp_path, COLUMNS="80").stdout
    assert max(map(len, said.splitlines())) <= 80
    assert "train [OPTIONS] [RECIPE] [KEY=VALUE]..." in said
    assert "CONFIG=$(bfpo-bench train --accelerate fsdp2)" in said
    assert "accelerate launch --config_file $CONFIG -m bfpo_bench train RECIPE" in said


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_it_knows_where_accelerate_s_configurations_lie(name: str) -> None:
    said = train("--accelerate", name)
    assert (said.code, said.out) == (0, f"{ACCELERATE / name}.yaml\n")


def test_a_process_of_its_own_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    """The hub is out of reach and the model unknown: the recipe's mistake is found before either."""
    command = (*SMALL, "model=nobody/no-such-model", "output=o")
    done = bench("train", *command, "training.optim=adam", cwd=tmp_path, HF_ENDPOINT=NOWHERE)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        "error: Recipe two-cores-bfpo: adam is not a valid OptimizerNames"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "o").exists()


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "configuration": (
        ("--accelerate", "zero1"),
        "no configuration zero1: ddp, fsdp2, zero2, zero3",
    ),
    "recipe": (("two-core/bfpo",), "There is no recipe two-core/bfpo"),
    "key": ((*SMALL, "training.max_step=3"), "did you mean max_steps"),
    "model": ((*SMALL, "model=fixtures/refuser-8M"), "There is no model fixtures/refuser-8M"),
    "model folder": ((*SMALL, "model=./nowhere"), "There is no model folder ./nowhere"),
    "template": ((*SMALL, f"model={STORIES}"), f"{STORIES} has no chat template"),
    "data file": (
        (*SMALL, "data=[{source: jsonl, path: nowhere.jsonl}]"),
        "nowhere.jsonl cannot be read",
    ),
    "data revision": (
        (*SMALL, "buffer.0.revision=no-such-branch"),
        "has no revision 'no-such-branch'",
    ),
    "part": (
        (*SMALL, "train_only=[donw_proj]"),
        "train_only 'donw_proj' is in no parameter's name",
    ),
    "layer": (
        (*SMALL, "train_only=null", "lora={r: 4, target_modules: [donw_proj]}"),
        "no layer 'donw_proj' (did you mean down_proj",
    ),
    "margin": ((*TINY, "objective={name: modpo}"), "no column margin"),
    "scheduler": ((*SMALL, "training.lr_scheduler_type=cosin"), "cosin is not a valid Scheduler"),
}


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_one_sentence_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    monkeypatch.chdir(tmp_path)
    command, words = MISTAKES[mistake]
    changes = () if mistake in ("configuration", "recipe") else ("output=o",)
    said = train(*command, *changes)
    assert (said.code, said.out) == (2, "")
    *_, last = said.err.splitlines()
    assert last.startswith("error: ")
    assert words in last
    assert "Traceback" not in said.err


@pytest.mark.usefixtures("hub")
def test_a_mistake_mended_the_same_folder_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(*TINY, "output=o", "model=fixtures/refuser-8M").code == 2
    assert train(*TINY, "output=o", "training.max_steps=1").code == 0


@pytest.mark.usefixtures("hub")
def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("thesis.txt").write_text("years of work")
    said = train(*SMALL, "output=.")
    assert said.code == 2
    assert "is not empty and holds no recipe.yaml" in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("hub")
def test_debug_shows_where_it_went_wrong(tmp_path: Path) -> None:
    done = bench("train", f"model={REFUSER}", "--debug", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "UserError: There is no recipe" in done.stderr
