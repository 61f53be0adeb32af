"""vLLM's data parallelism behind vllm_core, with a stand-in for AsyncLLM that answers and dies.

The real one is in test_vllm_parallel.py.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.vllm_async import BalancedLlm, engines
from bfpo_bench.engines.vllm_core import AT_ONCE, Ask, VllmCore

DEADLY = 700
WORDS = {"data_parallel_size": 2, "dtype": "float32"}


class EngineDead(Exception):
    pass


class Refusal(Exception):
    pass


class Collector:
    def __init__(self, token: int, engine: Engines) -> None:
        self.token, self.engine = token, engine

    async def get(self) -> Any:
        """A turn of the loop later, by when others are in; the name is one of vLLM's own."""
        await asyncio.sleep(0)
        if self.engine.dead:
            raise EngineDead
        outputs = [SimpleNamespace(finish_reason="stop")]
        name = f"{self.token}-1f2e3d"
        return SimpleNamespace(
            request_id=name, finished=True, outputs=outputs, answer=2 * self.token
        )


class Engines:
    """vLLM's `AsyncLLM`: dead once it is asked DEADLY, and then for everybody."""

    made: ClassVar[list[Engines]] = []
    model_config = "the model's"
    vllm_config = "vLLM's"

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.dead, self.closed = told, False, False
        Engines.made.append(self)

    @classmethod
    def from_engine_args(cls, told: dict[str, Any], usage_context: str) -> Engines:
        return cls(told | {"usage_context": usage_context})

    async def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any) -> Any:
        [token] = prompt["prompt_token_ids"]
        if self.dead:
            raise EngineDead
        if token < 0:
            raise Refusal("token out of range")
        self.dead = token == DEADLY
        return Collector(token, self)

    def shutdown(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that both modules take from vLLM and what it brings along."""
    monkeypatch.setattr(Engines, "made", [])
    for name, content in {
        "vllm": {},
        "vllm.engine": {},
        "vllm.engine.arg_utils": {"AsyncEngineArgs": dict},
        "vllm.usage": {},
        "vllm.usage.usage_lib": {"UsageContext": SimpleNamespace(LLM_CLASS="LLM")},
        "vllm.sampling_params": {
            "SamplingParams": SimpleNamespace,
            "RequestOutputKind": SimpleNamespace(FINAL_ONLY=2),
        },
        "vllm.exceptions": {"VLLMClientError": Refusal},
        "zmq": {},
        "zmq.error": {"ZMQError": ConnectionError},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.async_llm": {"AsyncLLM": Engines},
        "vllm.v1.engine.exceptions": {"EngineDeadError": EngineDead},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)


def answers(core: VllmCore, prompts: Iterable[int]) -> dict[int, Any]:
    """Each prompt is its own key; one that is told twice fails here."""
    found: dict[int, Any] = {}
    for key, given in core.stream(Ask(p, (p,), {}) for p in prompts):
        assert key not in found
        found[key] = given if isinstance(given, Failure) else given.answer
    return found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({}, 1), ({"data_parallel_size": 4}, 4), ({"data_parallel_size": None}, 1)],
)
def test_how_many_engines(arguments: dict[str, Any], expected: int) -> None:
    assert engines(arguments) == expected


def test_it_is_loaded_with_the_users_arguments_and_the_batches_of_an_llm() -> None:
    llm = BalancedLlm("folder", WORDS)
    quiet = {"disable_log_stats": True, "enable_log_requests": False}
    assert Engines.made[0].told == WORDS | quiet | {"model": "folder", "usage_context": "LLM"}
    assert (llm.llm_engine.model_config, llm.vllm_config) == ("the model's", "vLLM's")
    llm.shutdown()


def test_everyone_gets_their_own_and_as_many_are_inside_as_all_engines_take() -> None:
    core = VllmCore(lambda: BalancedLlm("folder", WORDS), engines=2)
    assert core.at_once == 2 * AT_ONCE
    prompts = [p for p in range(5000) if p != DEADLY]
    assert answers(core, prompts) == {p: 2 * p for p in prompts}
    core.close()


def test_what_it_refuses_is_a_failure_and_the_rest_go_on() -> None:
    core = VllmCore(lambda: BalancedLlm("folder", WORDS))
    told = Failure("vLLM refuses it: token out of range")
    assert answers(core, [20, -1, 21]) == {20: 40, -1: told, 21: 42}
    core.close()


def test_who_kills_the_engines_is_found() -> None:
    """All of them die at once; every death brings new ones, and the old are shut down."""
    core = VllmCore(lambda: BalancedLlm("folder", WORDS))
    prompts = range(650, 750)
    dies = Failure("vLLM's engine dies of it, also when it is asked alone")
    assert answers(core, prompts) == {p: dies if p == DEADLY else 2 * p for p in prompts}
    assert len(Engines.made) == core.restarts + 1 > 2
    core.close()
    assert all(made.closed for made in Engines.made)


def test_who_waits_is_told_of_a_death_that_nothing_else_tells() -> None:
    """`vllm_setting.watch` puts it where the outputs come."""
    llm = BalancedLlm("folder", WORDS)
    llm.engine_core.outputs_queue.put_nowait(EngineDead())
    with pytest.raises(EngineDead):
        llm.step()
    llm.shutdown()


def test_nothing_is_left_of_its_thread() -> None:
    before = threading.active_count()
    llm = BalancedLlm("folder", WORDS)
    assert threading.active_count() == before + 1
    llm.shutdown()
    assert threading.active_count() == before
