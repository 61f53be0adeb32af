"""`bfpo-bench segments` as users start it, and the training that its file is for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import Said, command
from preference import saved_model
from recipes import pair_records, write_records
from reward_models import random_llama
from training import SMALL, Trained, distance, train

from bfpo_bench.errors import UserError
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.training.ama import judged
from bfpo_bench.training.ama.cut import cut
from bfpo_bench.training.ama.rows import NOTHING_KEPT
from bfpo_bench.training.data import DataSpec, load_pairs
from bfpo_bench.training.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("stages_here")

MORE = "Then colour them in. Put it on the wall."


@pytest.fixture(scope="module")
def here(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs.jsonl and segmented.jsonl, as the embedded judge of harm makes it."""
    folder = tmp_path_factory.mktemp("segments")
    records = [
        {**r, "chosen": f"{r['chosen']} {MORE}", "rejected": f"{r['rejected']} {MORE}"}
        for r in pair_records(12)
    ]
    write_records(folder / "unsaid.jsonl", records)
    write_records(folder / "benign.jsonl", [r | {"harmful": False} for r in records])
    write_records(folder / "pairs.jsonl", [r | {"harmful": True} for r in records])
    said = segments(folder)
    assert said.code == 0, said.err[-3000:]
    return folder


def segments(folder: Path, *more: str, judge: str = "harm", out: str = "segmented.jsonl") -> Said:
    return command("segments", "pairs.jsonl", "--judge", judge, "--out", out, *more, cwd=folder)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_file_is_the_pairs_with_segments_that_a_recipe_reads(here: Path) -> None:
    given, found = lines(here / "pairs.jsonl"), lines(here / "segmented.jsonl")
    for before, after in zip(given, found, strict=True):
        assert {k: v for k, v in after.items() if not k.endswith("_segments")} == before
        for side in ("chosen", "rejected"):
            assert [s["text"] for s in after[f"{side}_segments"]] == cut(before[side])
    spec = DataSpec(source="jsonl", path=here / "segmented.jsonl")
    pairs, _ = load_pairs([spec], 0, segments=True)
    assert {len(pair.chosen_segments or ()) for pair in pairs} == {3}


def test_counts_as_json_and_as_lines(here: Path) -> None:
    said = segments(here, "--json", out="again.jsonl")
    assert json.loads(said.out) == {
        "file": "again.jsonl",
        "pairs": 12,
        "segments": 72,
        "left_out": {},
        "faults": [],
    }
    assert (here / "again.jsonl").read_bytes() == (here / "segmented.jsonl").read_bytes()
    assert "12 pairs with 72 segments: again.jsonl" in segments(here, out="again.jsonl").out


def test_a_reward_model_scores_every_beginning_once(here: Path, tmp_path: Path) -> None:
    """Asked again, with the same result, nothing is scored anew: all is remembered."""
    reward = f"reward={random_llama(tmp_path / 'scorer')}"
    options = ("--engine", "transformers")
    first = segments(here, *options, judge=reward, out="rewarded.jsonl")
    assert first.code == 0, first.err[-3000:]
    again = segments(here, *options, judge=reward, out="twice.jsonl")
    assert "verdicts remembered from before" in again.err
    assert "verdicts remembered" not in first.err
    assert (here / "twice.jsonl").read_bytes() == (here / "rewarded.jsonl").read_bytes()


def test_a_judge_that_dies_leaves_no_file_and_names_none(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise StageCrash("judge-harm", "was killed", Path("x.log"))

    monkeypatch.setattr(judged, "judge_texts", die)
    said = segments(here, out="lost.jsonl")
    assert said.code == 3
    assert "the same command goes on" in said.out
    assert "left out: 12 not judged" in said.out
    assert "lost.jsonl" not in said.out
    assert not (here / "lost.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("segments", "pairs.jsonl", "--judge", "harm", "--out", "pairs.jsonl"),
            "--out pairs.jsonl is the input: name another.",
        ),
        (
            ("segments", "pairs.jsonl", "--judge", "harm", "--out", "."),
            "--out . is a folder: name a file in it.",
        ),
        (("segments", "none.jsonl", "--judge", "harm", "--out", "x"), "none.jsonl cannot be read"),
        (
            ("segments", "unsaid.jsonl", "--judge", "refusal", "--out", "x"),
            "and unsaid.jsonl, line 1, does not say whether its prompt is harmful",
        ),
        (
            ("segments", "benign.jsonl", "--judge", "harm", "--out", "x"),
            "no pair is left (12 prompt of a kind that the judge does not score)",
        ),
        (("segments", "pairs.jsonl", "--judge", "ifeval", "--out", "x"), "is of kind instructions"),
        (("segments", "pairs.jsonl", "--judge", "hram", "--out", "x"), "hram"),
    ],
)
def test_what_one_can_get_wrong(here: Path, arguments: tuple[str, ...], sentence: str) -> None:
    said = command(*arguments, cwd=here)
    assert said.code == 2
    assert sentence in said.error
    assert not (here / "x").exists()


# The recipe


def trained(folder: Path, output: str, *changes: str) -> Trained:
    said = train(*changes, f"output={output}")
    assert said.code == 0, said.err[-3000:]
    return Trained(folder / output)


def test_the_recipe_trains_and_goes_on_where_it_was_killed(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of seven steps a checkpoint of four is left and nothing after it: given again, the training ends
    at the same weights, to the last digit. Without a mask it ends at others."""
    monkeypatch.chdir(here)
    recipe = ("two-cores/ama-bfpo", f"model={saved_model(tmp_path / 'start')}", *SMALL[2:])
    recipe += ("training.save_total_limit=9",)
    whole = trained(here, "whole", *recipe)
    assert whole.manifest["recipe"]["ama"] == {"baseline": 0}
    assert whole.manifest["data"][0]["origin"] == "segmented.jsonl"

    left = shutil.copytree(here / "whole", here / "killed")
    for name in (
        "training_manifest.json",
        "model.safetensors",
        *(f"checkpoints/checkpoint-{n}" for n in (6, 7)),
    ):
        gone = left / name
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    said = train(*recipe, "output=killed")
    assert "going on from killed/checkpoints/checkpoint-4" in said.err
    again = Trained(left).weights
    assert all(torch.equal(again[name], value) for name, value in whole.weights.items())

    plain = trained(here, "plain", *recipe, "ama=null")
    assert distance(whole.weights, plain.weights) > 0


def test_responses_without_a_kept_segment_are_told(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reward of this judge is above 5, so nothing of chosen is kept, in the log and the manifest."""
    monkeypatch.chdir(here)
    model = f"model={saved_model(tmp_path / 'start')}"
    recipe = ("two-cores/ama-bfpo", model, *SMALL[2:], "ama.baseline=5", "training.max_steps=1")
    said = train(*recipe, "output=none")
    assert said.code == 0, said.err[-3000:]
    assert f"{NOTHING_KEPT.format('chosen')}: 12" in said.err
    assert Trained(here / "none").manifest["changed"] == {NOTHING_KEPT.format("chosen"): 12}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("ama.baseline=median",), "ama.baseline: it must be a finite number, or mean"),
        (("ama.baseline=.nan",), "ama.baseline: it must be a finite number, or mean"),
        (("ama.base=1",), "ama.base: there is no such key (did you mean baseline?)"),
        (
            ("objective={name: derta}", "policy=safedpo"),
            "ama masks segments of the responses, and derta learns other rows",
        ),
        (("data.0={source: pku-saferlhf}",), "Source pku-saferlhf has no segment rewards"),
        (("stage=sft",), "is for the preference stage"),
    ],
)
def test_what_a_recipe_cannot_mean(changes: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        load_recipe("two-cores/ama-bfpo", changes)
    assert sentence in str(error.value)


def test_a_line_without_segments_is_named(here: Path) -> None:
    spec = DataSpec(source="jsonl", path=here / "pairs.jsonl")
    with pytest.raises(UserError, match=r"pairs.jsonl, line 1: the pair has no chosen_segments"):
        load_pairs([spec], 0, segments=True)
    assert len(load_pairs([spec], 0)[0]) == 12
