"""An argument of another engine is named before anything is loaded."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from serving import need_vllm

from bfpo_bench.engines.arguments import _OTHERS, check_engine_arguments
from bfpo_bench.engines.server.arguments import ARGUMENTS as SERVERS
from bfpo_bench.engines.transformers import TransformersEngine
from bfpo_bench.errors import UserError


@pytest.mark.parametrize(
    ("engine", "given", "said"),
    [
        (
            "vllm",
            {"workers": 1},
            "The vllm engine takes no --engine-arg workers: give --engine ray, which has them, or "
            "vLLM's own data_parallel_size.",
        ),
        (
            "ray",
            {"workers": 2, "batch_size": 8},
            "The ray engine takes no --engine-arg batch_size: that is the transformers engine's, and "
            "vLLM's own is max_num_seqs.",
        ),
        (
            "vllm",
            {"dtype": "float32", "api": "chat"},
            "The vllm engine takes no --engine-arg api: that is the server engine's, so leave it out.",
        ),
        (
            "transformers",
            {"workers": 2},
            "The transformers engine has no argument 'workers': --engine-arg takes dtype, device, "
            "batch_size, max_model_len.",
        ),
    ],
)
def test_the_wrong_engine(engine: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as told:
        check_engine_arguments(engine, given)
    assert str(told.value) == said


@pytest.mark.parametrize(
    ("engine", "given"),
    [
        ("ray", {"workers": 2, "tensor_parallel_size": 2}),
        # Of vLLM and of servers alike
        ("vllm", {"served_model_name": "m", "max_model_len": 100, "dtype": "float32"}),
        ("transformers", {"batch_size": 8, "device": "cpu"}),
        # Asks nothing of any
        ("null", {"workers": 2}),
    ],
)
def test_its_own(engine: str, given: dict[str, Any]) -> None:
    check_engine_arguments(engine, given)


def test_no_argument_of_ours_is_forgotten() -> None:
    """What our own engines take is vLLM's as well, or is refused."""
    ours = {"workers", *SERVERS, *TransformersEngine.ARGUMENTS}
    assert ours - set(_OTHERS) == {"dtype", "max_model_len", "served_model_name"}


@pytest.mark.long
def test_none_of_them_is_vllm_s() -> None:
    need_vllm()
    from vllm import EngineArgs

    assert not set(_OTHERS) & {field.name for field in dataclasses.fields(EngineArgs)}
