"""SafePatching's masks and sums, against plain Python, and patched checkpoints of random tensors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from bfpo_bench.errors import UserError
from bfpo_bench.runs.training_manifest import read_training_manifest
from bfpo_bench.training.merging.checks import Ingredient
from bfpo_bench.training.merging.patches import (
    Patch,
    Patched,
    Settings,
    difference,
    pair_of_numbers,
    patch,
    patched,
    retained,
    top,
)
from bfpo_bench.training.merging.scores import ScoresManifest, read_scores, write_scores
from bfpo_bench.training.merging.tensor_files import SINGLE

GB = 10**9


class TestTop:
    @pytest.mark.parametrize(
        ("scores", "share", "expected"),
        [
            ([3, 1, 2, 5], 0.5, [1, 0, 0, 1]),
            ([3, 1, 2, 5], 0.25, [0, 0, 0, 1]),
            ([3, 1, 2, 5], 1, [1, 1, 1, 1]),
            ([3, 1, 2, 5], 0.1, [0, 0, 0, 0]),
            # Two of three equal ones have room beside the largest: the first two
            ([2, 5, 2, 1, 2, 0], 0.5, [1, 1, 1, 0, 0, 0]),
            ([0, 0, 0, 0], 0.5, [1, 1, 0, 0]),
        ],
    )
    def test_by_hand(self, scores: list[float], share: float, expected: list[int]) -> None:
        """round(.1 x 4) = 0: so small a share of four takes none."""
        assert top(torch.tensor(scores).float(), share).int().tolist() == expected

    @given(
        st.lists(st.integers(0, 4).map(float), min_size=1, max_size=40),
        st.floats(0, 1, exclude_min=True),
    )
    def test_is_the_beginning_of_a_stable_order(self, scores: list[float], share: float) -> None:
        """Python's sort keeps equal ones in their order."""
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        expected = set(order[: round(share * len(scores))])
        found = top(torch.tensor(scores, dtype=torch.float64).reshape(-1, 1), share)
        assert {i for i, chosen in enumerate(found.tolist()) if chosen} == expected


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_the_difference_set(pairs: list[tuple[bool, bool]]) -> None:
    """What either has alone, so that no entry is in both."""
    one, other = (torch.tensor([p[i] for p in pairs], dtype=torch.bool) for i in (0, 1))
    safety, over_safety = difference(one, other)
    assert safety.tolist() == [a and not b for a, b in pairs]
    assert over_safety.tolist() == [b and not a for a, b in pairs]


class TestRetained:
    def test_draws_are_of_seed_patch_and_tensor(self) -> None:
        first = retained(1000, 0.3, 42, "safety", "a")
        assert torch.equal(first, retained(1000, 0.3, 42, "safety", "a"))
        others = [(43, "safety", "a"), (42, "over-safety", "a"), (42, "safety", "b")]
        for seed, name, tensor in others:
            assert not torch.equal(first, retained(1000, 0.3, seed, name, tensor))

    def test_so_many_are_kept(self) -> None:
        """Of 100,000 at .3 30,000 +- 5 standard deviations of sqrt(.3 x .7 x 100,000) = 145; at 1 all."""
        assert abs(int(retained(100_000, 0.3, 42, "safety", "a").sum()) - 30_000) < 725
        assert retained(1000, 1, 42, "safety", "a").all()


def mask(*values: int) -> Tensor:
    return torch.tensor(values).bool()


class TestPatched:
    def test_by_hand(self) -> None:
        """Factors 2 and .5: 1 + 2 (1.5 - 1) = 2, 3 + .5 (1 - 3) = 2, and the rest is the base's."""
        base = torch.tensor([[1.0, -0.0], [3.0, 4.0]], dtype=torch.float64)
        safety = torch.tensor([[1.5, 9.0], [9.0, 9.0]], dtype=torch.float64)
        over = torch.tensor([[9.0, 9.0], [1.0, 9.0]], dtype=torch.float64)
        found = patched(base, [(mask(1, 0, 0, 0), safety, 2.0), (mask(0, 0, 1, 0), over, 0.5)])
        assert found.tolist() == [[2.0, -0.0], [2.0, 4.0]]
        assert torch.signbit(found[0, 1])

    def test_half_precision_is_computed_in_float32(self) -> None:
        """1 + 1 (-256 - 1) = -256, and -255 where bfloat16 computes: it has no 257."""
        base, model = torch.tensor([1.0, 7.0]).bfloat16(), torch.tensor([-256.0, 8.0]).bfloat16()
        assert (base + (model - base))[0] == -255
        found = patched(base, [(mask(1, 0), model, 1.0)])
        assert found.tolist() == [-256.0, 7.0]
        assert found.dtype == torch.bfloat16


def checkpoint(folder: Path, weight: float = 1.0, **tensors: Tensor) -> Ingredient:
    folder.mkdir()
    save_file(tensors, folder / SINGLE, metadata={"format": "pt"})
    return Ingredient(folder.name, folder, f"hash of {folder.name}", weight)


def scored(folder: Path, **scores: Tensor) -> Path:
    told = ScoresManifest(model=folder.name, weights="", examples=7, loss=1.0)
    write_scores(folder, scores, told)
    return folder


def patch_of(model: Ingredient, folder: Path) -> Patch:
    told, scores = read_scores(folder)
    return Patch(model, scores, told.examples)


def random_case(
    folder: Path, settings: Settings, alpha: float, beta: float, **broken: Tensor
) -> Patched:
    """base, safety and over, each with a scored w and an unscored norm, put together as out."""
    torch.manual_seed(0)
    parts = {
        name: {
            "w": torch.randn(6, 5, dtype=torch.float64),
            "norm": torch.randn(4, dtype=torch.float64),
        }
        for name in ("base", "safety", "over")
    }
    scores = {f"{n}_scores": torch.rand(6, 5, dtype=torch.float64) for n in ("safety", "over")}
    for name, value in broken.items():
        if name in parts:
            parts[name]["w"] = value
        else:
            scores[name] = value
    base, *models = (
        checkpoint(folder / name, weight, **parts[name])
        for name, weight in (("base", 1), ("safety", alpha), ("over", beta))
    )
    patches = [
        patch_of(m, scored(folder / f"{m.name}_scores", w=scores[f"{m.name}_scores"]))
        for m in models
    ]
    return patch(base, (patches[0], patches[1]), settings, [], folder / "out", GB)


def loaded(folder: Path, name: str) -> dict[str, list[float]]:
    file = SINGLE if (folder / name / SINGLE).exists() else "scores.safetensors"
    return {k: v.reshape(-1).tolist() for k, v in load_file(folder / name / file).items()}


class TestWhole:
    def test_every_entry_in_float64(self, tmp_path: Path) -> None:
        """By plain Python: an entry is in a top share if fewer than round(share 30) scores are larger."""
        settings = Settings(shares=(0.3, 0.5))
        done = random_case(tmp_path, settings, alpha=0.7, beta=-1.3)
        names = ("base", "safety", "over", "safety_scores", "over_scores", "out")
        base, safety, over, s, o, out = (loaded(tmp_path, name) for name in names)
        counts = [0, 0]
        for i in range(30):
            in_s = sum(x > s["w"][i] for x in s["w"]) < 9
            in_o = sum(x > o["w"][i] for x in o["w"]) < 15
            b = base["w"][i]
            expected = b
            if in_s and not in_o:
                expected = b + 0.7 * (safety["w"][i] - b)
                counts[0] += 1
            elif in_o and not in_s:
                expected = b - 1.3 * (over["w"][i] - b)
                counts[1] += 1
            else:
                assert out["w"][i] == b
            assert out["w"][i] == pytest.approx(expected, rel=1e-12)
        assert out["norm"] == base["norm"]
        assert done.entries == tuple(counts)
        assert min(counts) > 0

    def test_retained_entries_are_some_of_them(self, tmp_path: Path) -> None:
        (tmp_path / "all").mkdir()
        (tmp_path / "some").mkdir()
        every = random_case(tmp_path / "all", Settings((0.5, 0.5)), 1, 1)
        some = random_case(tmp_path / "some", Settings((0.5, 0.5), retain=0.4, seed=3), 1, 1)
        base, whole, part = (
            loaded(tmp_path / run, name)["w"]
            for run, name in (("all", "base"), ("all", "out"), ("some", "out"))
        )
        assert all(p in (b, w) for b, w, p in zip(base, whole, part, strict=True))
        assert 0 < sum(some.entries) < sum(every.entries)

    def test_the_result_says_what_it_is(self, tmp_path: Path) -> None:
        done = random_case(tmp_path, Settings((0.3, 0.5), retain=0.9, seed=5), 0.7, 2)
        told = read_training_manifest(tmp_path / "out" / "training_manifest.json", "out")
        assert told.describe() == "SafePatching of base (1), safety (0.7), over (2)"
        assert told.merge is not None
        assert told.merge.arguments == {
            **{"share_safety": 0.3, "share_over_safety": 0.5, "retain": 0.9, "seed": 5},
            **{"examples_safety": 7, "examples_over_safety": 7},
            **{"entries_safety": done.entries[0], "entries_over_safety": done.entries[1]},
        }
        card = (tmp_path / "out" / "README.md").read_text()
        assert f"| safety | safety | 0.7 | 0.3 | {done.entries[0]} | `hash of safety` |" in card
        assert "kept with probability 0.9, seed 5" in card


def refusal(folder: Path, settings: Settings = Settings(), **broken: Tensor) -> str:
    with pytest.raises(UserError) as refused:
        random_case(folder, settings, 1, 1, **broken)
    assert not {"out", ".out.part"} & {p.name for p in folder.iterdir()}
    return str(refused.value)


class TestRefusals:
    @pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
    def test_shares_outside_of_0_to_1(self, share: float) -> None:
        said = rf"--shares {share:g} is outside \(0, 1\]: give a share, like \.1\."
        for shares in ((share, 0.5), (0.5, share)):
            with pytest.raises(UserError, match=said):
                Settings(shares=shares)
        with pytest.raises(UserError, match=r"--retain .* is outside \(0, 1\]"):
            Settings(retain=share)

    @pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,1", "1,inf"])
    def test_no_two_numbers(self, text: str) -> None:
        with pytest.raises(UserError, match=f"^--factors {text} "):
            pair_of_numbers("--factors", text)
        assert pair_of_numbers("--factors", ".5,-1") == (0.5, -1)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
    def test_scores_that_are_none(self, tmp_path: Path, value: float) -> None:
        scores = torch.rand(6, 5, dtype=torch.float64)
        scores[2, 3] = value
        said = refusal(tmp_path, over_scores=scores)
        assert re.match(r"The scores of w in \S*over_scores hold what is no score: make them", said)

    @pytest.mark.parametrize("name", ["base", "safety", "over"])
    def test_weights_that_are_no_number(self, tmp_path: Path, name: str) -> None:
        said = refusal(tmp_path, **{name: torch.full((6, 5), torch.nan, dtype=torch.float64)})
        assert said == f"w of {name} holds NaN or infinity: leave that checkpoint out."

    def test_another_shape_of_scores(self, tmp_path: Path) -> None:
        said = refusal(tmp_path, over_scores=torch.rand(5, 6))
        assert re.match(r"\S*over_scores has scores of w, which base has not in that shape", said)

    def test_equal_scores_have_no_difference(self, tmp_path: Path) -> None:
        ones = torch.ones(6, 5)
        said = refusal(tmp_path, safety_scores=ones, over_scores=ones)
        assert said.startswith("The safety patch changes no weight: either its model is the base's")

    def test_a_patch_that_was_not_trained(self, tmp_path: Path) -> None:
        """Its scores have entries of their own, at which its model is the base, as `random_case` has it."""
        torch.manual_seed(0)
        said = refusal(tmp_path, over=torch.randn(6, 5, dtype=torch.float64))
        assert said.startswith(
            "The over-safety patch changes no weight: either its model is the base"
        )

    def test_scores_of_different_weights(self, tmp_path: Path) -> None:
        models = [checkpoint(tmp_path / n, w=torch.ones(2)) for n in ("base", "safety", "over")]
        one, other = (
            scored(tmp_path / "a", w=torch.ones(2)),
            scored(tmp_path / "b", v=torch.ones(2)),
        )
        patches = (patch_of(models[1], one), patch_of(models[2], other))
        with pytest.raises(UserError, match=r"a and .*b hold scores of different weights"):
            patch(models[0], patches, Settings(), [], tmp_path / "out", GB)


_SLOWLY = """
import sys, time
from pathlib import Path
from bfpo_bench.training.merging.checks import Ingredient
from bfpo_bench.training.merging.patches import Patch, Settings, patch
from bfpo_bench.training.merging.scores import read_scores

folder = Path(sys.argv[1])
models = [Ingredient(n, folder / n, n, 1.0) for n in ("base", "safety", "over")]
both = [Patch(m, read_scores(folder / f"{m.name}_scores")[1], 1) for m in models[1:]]

def report(done, total):
    print(done, total, flush=True)
    if "kill" in sys.argv:
        time.sleep(60)

patch(models[0], tuple(both), Settings((.5, .5)), [], folder / "out", 40, report)
"""


def test_killed_half_way_leaves_nothing_half_written(tmp_path: Path) -> None:
    """After the first of two tensors, each in a shard of its own: no output, and the next start makes
    it whole."""
    for name in ("base", "safety", "over"):
        checkpoint(tmp_path / name, a=torch.randn(10), b=torch.randn(10))
    for name in ("safety", "over"):
        scored(tmp_path / f"{name}_scores", a=torch.rand(10), b=torch.rand(10))
    start = [sys.executable, "-c", _SLOWLY, str(tmp_path)]
    with subprocess.Popen([*start, "kill"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1 2\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.part").exists()
    assert subprocess.run(start, capture_output=True, text=True).stdout == "1 2\n2 2\n"
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 2
    assert not (tmp_path / ".out.part").exists()
