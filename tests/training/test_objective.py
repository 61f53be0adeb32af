"""Objectives by their names: ours, and those that packages bring."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from bfpo_bench.errors import UserError
from bfpo_bench.training import objectives
from bfpo_bench.training.objective import OFFERED, OURS, resolve_objective

FOUR = ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
SAFETY = ("chosen_safe", "rejected_safe")
LENGTHS = ("chosen_length", "rejected_length")

BATCH = {name: torch.tensor([float(place), 1.0]) for place, name in enumerate(OFFERED)}
"""policy_chosen is [0, 1], policy_rejected [1, 1], ref_chosen [2, 1] and so on."""


# Ours


SIGNATURES: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "bfpo": ((*FOUR, *SAFETY), {"tau": 0.01, "b1": 3.0, "alpha": 0.5}),
    "dpo": (FOUR, {"beta": 0.1}),
    "ipo": (FOUR, {"tau": 0.1}),
    "ipo_mean": ((*FOUR, *LENGTHS), {"tau": 0.1}),
    "safedpo": ((*FOUR, *SAFETY), {"beta": 0.1, "delta": 10.0}),
    "bso": ((*FOUR, *SAFETY), {"beta": 0.1, "penalty": 30.0, "power": 0.2, "scale": 4.0}),
    "modpo": ((*FOUR, "margin"), {"beta": 0.1, "weight": 0.5}),
    "sft": (("policy_chosen", "chosen_length"), {}),
    "ascent": (("policy_chosen", "chosen_length"), {"bound": 10.0}),
    "midpo_safety": ((*FOUR, "margin"), {"beta": 0.1}),
    "midpo_helpfulness": ((*FOUR, "margin"), {"beta": 0.1}),
    "midpo_router": (
        (*FOUR, "safety_use", "helpfulness_lack"),
        {"beta": 0.1, "penalty": 1.0},
    ),
    "derta": (("policy_chosen", "policy_rejected", *LENGTHS), {"transition": 1.0}),
}


@pytest.mark.parametrize("name", OURS)
def test_each_of_ours_by_its_name(name: str) -> None:
    found = resolve_objective(name, {})
    assert found.name == name
    assert (found.inputs, found.parameters) == SIGNATURES[name]
    expected = getattr(objectives, name)(*(BATCH[key] for key in found.inputs))
    assert torch.equal(found(BATCH), expected)


def test_parameters_that_are_given_reach_the_loss() -> None:
    """h = (0 - 1) - (2 - 3) = 0 and 0; 1 / (2 * 0.25) = 2, squared 4."""
    found = resolve_objective("ipo", {"tau": 0.25})
    assert found.parameters == {"tau": 0.25}
    assert found(BATCH).tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("bpfo", {}, r"no objective 'bpfo' \(did you mean bfpo.*name one of bfpo, dpo"),
        ("ipo-mean", {}, r"\(did you mean ipo_mean"),
        ("bfpo_target", {}, "There is no objective 'bfpo_target'"),
        ("xyz", {}, "no objective 'xyz': name one of"),
        (
            "bfpo",
            {"taw": 1.0},
            r"bfpo has no parameter 'taw' \(did you mean tau\?\): it takes tau,",
        ),
        ("dpo", {"tau": 1.0}, r"dpo has no parameter 'tau'.*: it takes beta"),
        ("sft", {"beta": 1.0}, "sft has no parameter 'beta': it takes none"),
        ("bfpo", {"policy_chosen": 1.0}, "has no parameter 'policy_chosen'"),
        ("bfpo", {"tau": "0.01"}, "takes a finite number as tau, not '0.01'"),
        ("bfpo", {"b1": True}, "takes a finite number as b1, not True"),
        ("bfpo", {"alpha": None}, "takes a finite number as alpha, not None"),
        ("safedpo", {"delta": math.nan}, "takes a finite number as delta, not nan"),
        ("bfpo", {"tau": math.inf}, "takes a finite number as tau, not inf"),
    ],
)
def test_what_no_objective_is_or_takes(
    name: str, parameters: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        resolve_objective(name, parameters)


@pytest.mark.parametrize(
    ("name", "key", "inside", "outside"),
    [
        ("bfpo", "alpha", [1e-9, 0.5, 1 - 1e-9], [0, 1, -0.5, 1.5]),
        ("bfpo", "tau", [1e-9, 1, 50], [0, -0.01]),
        ("bfpo", "b1", [1.001, 3, 100], [1, 0, -3]),
        ("dpo", "beta", [0.001, 5], [0, -0.1]),
        ("bso", "scale", [0.1], [0]),
        ("bso", "power", [0.1], [0, -1]),
        ("modpo", "weight", [0.1, 1], [0, 1.1, -1]),
        ("safedpo", "delta", [-1, 0, 10], []),
        ("midpo_safety", "beta", [0.1], [0]),
        ("midpo_router", "penalty", [0, 0.1, 5], [-0.1]),
    ],
)
def test_parameters_have_ranges(
    name: str, key: str, inside: list[float], outside: list[float]
) -> None:
    for value in inside:
        assert resolve_objective(name, {key: value}).parameters[key] == value
    for value in outside:
        with pytest.raises(UserError, match=f"{name} needs {key} .*, not {value}"):
            resolve_objective(name, {key: value})


# Those of packages

MODULE = """
def gap(policy_chosen, policy_rejected, *, power: float = 2.0):
    return (policy_chosen - policy_rejected) ** power

def bare(policy_chosen, /, chosen_safe, *, name, heads=2):
    return policy_chosen * chosen_safe

def longing(policy_chosen, reward):
    return reward

def everything(*tensors):
    return tensors[0]

number = 3
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with objectives good and bad, and one that fails at its import."""
    (tmp_path / "bfpo_test_objectives.py").write_text(MODULE)
    (tmp_path / "bfpo_test_broken.py").write_text("raise RuntimeError('wants CUDA 14.\\nReally.')")
    names = ("gap", "bare", "longing", "everything", "number", "gone")
    points = [f"{name} = bfpo_test_objectives:{name}" for name in names]
    points += ["whole = bfpo_test_objectives", "broken = bfpo_test_broken:loss"]
    points += ["dpo = bfpo_test_objectives:gap"]
    info = tmp_path / "bfpo_test_objectives-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bfpo-test-obj\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "\n".join(["[bfpo_bench.objectives]", *points, "[bfpo_bench.judges]", "aside = x:y", ""])
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_a_package_brings_an_objective(package: None) -> None:
    """(0 - 1)^2 = 1 and (1 - 1)^2 = 0; to the power of 3, -1 and 0."""
    found = resolve_objective("gap", {})
    assert (found.inputs, found.parameters) == (
        ("policy_chosen", "policy_rejected"),
        {"power": 2.0},
    )
    assert found(BATCH).tolist() == [1.0, 0.0]
    assert resolve_objective("gap", {"power": 3.0})(BATCH).tolist() == [-1.0, 0.0]


def test_its_parameters_are_its_own_affair(package: None) -> None:
    """Our ranges are not theirs, and what has no default must be given, in any type."""
    assert resolve_objective("gap", {"power": -1}).parameters == {"power": -1}
    found = resolve_objective("bare", {"name": "x", "heads": [1]})
    assert found.parameters == {"name": "x", "heads": [1]}
    with pytest.raises(UserError, match="The objective bare needs name"):
        resolve_objective("bare", {})
    with pytest.raises(UserError, match="takes a finite number as power"):
        resolve_objective("gap", {"power": "2"})


def test_positional_only_tensors_are_handed_over_too(package: None) -> None:
    """policy_chosen [0, 1] times chosen_safe [4, 1]."""
    found = resolve_objective("bare", {"name": "x"})
    assert found.inputs == ("policy_chosen", "chosen_safe")
    assert found(BATCH).tolist() == [0.0, 1.0]


def test_ours_go_before_a_packages(package: None) -> None:
    assert resolve_objective("dpo", {}).function is objectives.dpo


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken", r"broken of bfpo_test_broken:loss cannot be loaded \(wants CUDA 14\): mend"),
        ("gone", "gone of bfpo_test_objectives:gone cannot be loaded"),
        ("longing", "longing asks for 'reward', which no batch has: .* policy_chosen, "),
        ("everything", "everything asks for 'tensors', which no batch has"),
        ("number", "number is no function with a signature .*package.module:function"),
        ("whole", "whole is no function with a signature"),
        (
            "gab",
            r"no objective 'gab' \(did you mean gap\?\): .* midpo_router, bare, broken, dpo, everyth",
        ),
        ("aside", "There is no objective 'aside'"),
    ],
)
def test_a_packages_fault_is_a_sentence(package: None, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        resolve_objective(name, {})


def test_a_broken_package_is_no_hindrance_to_the_others(package: None) -> None:
    assert resolve_objective("gap", {}).name == "gap"
    assert resolve_objective("bfpo", {}).name == "bfpo"
