"""What becomes of the others when a request kills vLLM's engine, with a stand-in for vLLM that dies.

Real deaths of a real engine are in test_vllm_faults.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.vllm_core import AT_ONCE, MOST_DEATHS, Ask, VllmCore

DIES = "vLLM's engine dies of it, also when it is asked alone"


class EngineDead(Exception):
    pass


class Refusal(Exception):
    pass


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that the core takes from vLLM and what it brings along."""
    for name, content in {
        "vllm": {},
        "vllm.sampling_params": {
            "SamplingParams": SimpleNamespace,
            "RequestOutputKind": SimpleNamespace(FINAL_ONLY=2),
        },
        "vllm.exceptions": {"VLLMClientError": Refusal},
        "zmq": {},
        "zmq.error": {"ZMQError": ConnectionError},
        "vllm.v1": {},
        "vllm.v1.engine": {},
        "vllm.v1.engine.exceptions": {"EngineDeadError": EngineDead},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)


class Engine:
    """Answers three requests a step, the newest first; dies when `kills(prompts inside)`."""

    def __init__(self, kills: Callable[[list[int]], bool]) -> None:
        self.inside: dict[str, int] = {}
        self.kills = kills
        self.llm_engine = self.engine_core = self

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any) -> None:
        [token] = prompt["prompt_token_ids"]
        if token < 0:
            raise Refusal("token out of range\nand more")
        self.inside[name] = token

    def step(self) -> list[Any]:
        if self.kills(list(self.inside.values())):
            raise EngineDead
        names = list(self.inside)[-3:]
        return [output(name, self.inside.pop(name)) for name in names]

    def shutdown(self) -> None:
        self.inside.clear()


class Fragile(Engine):
    """Dies when it is handed token 4000."""

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any) -> None:
        if prompt["prompt_token_ids"] == [4000]:
            raise EngineDead
        super().add_request(name, prompt, params, lora_request)


def output(name: str, token: int) -> Any:
    """A request for token 13 comes to nothing; all others stop."""
    ended = SimpleNamespace(finish_reason="error" if token == 13 else "stop")
    return SimpleNamespace(request_id=name, finished=True, outputs=[ended], answer=2 * token)


def core(kills: Callable[[list[int]], bool] = lambda inside: False) -> VllmCore:
    return VllmCore(lambda: Engine(kills))


def answers(asked: VllmCore, prompts: Iterable[int]) -> dict[int, Any]:
    """Each prompt is its own key; one that is told twice fails here."""
    found: dict[int, Any] = {}
    for key, given in asked.stream(Ask(p, (p,), {}) for p in prompts):
        assert key not in found
        found[key] = given if isinstance(given, Failure) else given.answer
    return found


def test_everyone_gets_their_own() -> None:
    told = core()
    assert answers(told, range(20, 3000)) == {p: 2 * p for p in range(20, 3000)}
    assert told.restarts == 0


def test_what_vllm_refuses_is_a_failure_and_the_rest_go_on() -> None:
    assert answers(core(), [20, -1, 21]) == {
        20: 40,
        -1: Failure("vLLM refuses it: token out of range"),
        21: 42,
    }


def test_what_vllm_gives_up_is_a_failure_and_the_rest_go_on() -> None:
    assert answers(core(), [13, 21]) == {13: Failure("vLLM ended it with 'error'"), 21: 42}


@pytest.mark.parametrize("guilty", [{0}, {2999}, {700}, {40, 41}, {5, 500, 2999}])
def test_who_kills_the_engine_is_found(guilty: set[int]) -> None:
    prompts = [p for p in range(3000) if p != 13]
    told = core(lambda inside: bool(guilty & {*inside}))
    found = answers(told, prompts)
    assert found == {p: Failure(DIES) if p in guilty else 2 * p for p in prompts}
    assert told.at_once == AT_ONCE


def test_an_engine_that_dies_before_it_has_them_all() -> None:
    """Those that were still to be handed over are asked as well: 60 comes after 4000 in its group."""
    engines = iter([Engine(lambda inside: True)])
    told = VllmCore(lambda: next(engines, None) or Fragile(lambda inside: False))
    prompts = [*range(20, 60), 4000, *range(60, 100)]
    assert answers(told, prompts) == {p: Failure(DIES) if p == 4000 else 2 * p for p in prompts}


def test_one_guilty_costs_four_loads() -> None:
    """All 2,048 die, then 128, then 8, then the one alone; it is the first each time."""
    told = core(lambda inside: 20 in inside)
    answers(told, range(20, 20 + AT_ONCE))
    assert told.restarts == 4


def test_a_guilty_one_that_is_alone_from_the_start() -> None:
    assert answers(core(lambda inside: True), [20]) == {20: Failure(DIES)}


def test_a_death_that_no_request_is_guilty_of() -> None:
    """Someone ran out of memory: nothing is lost, and fewer are asked at once from then on."""
    deaths = iter([True])
    told = core(lambda inside: len(inside) > 100 and next(deaths, False))
    assert answers(told, range(20, 700)) == {p: 2 * p for p in range(20, 700)}
    assert (told.restarts, told.at_once) == (1, AT_ONCE // 4)


def test_too_many_at_once() -> None:
    """An engine that dies of more than 70 gets 32 at once in the end, and no request is at fault."""
    told = core(lambda inside: len(inside) > 70)
    told.at_once = 512
    assert answers(told, range(20, 2000)) == {p: 2 * p for p in range(20, 2000)}
    assert told.at_once == 32


def test_an_engine_that_dies_of_everything_is_nobodys_fault() -> None:
    told = core(lambda inside: True)
    with pytest.raises(RuntimeError, match=f"died {MOST_DEATHS} times without one answer"):
        answers(told, range(20, 2000))
    assert told.restarts == MOST_DEATHS - 1


@pytest.mark.parametrize("guilty", [range(100, 104), range(100, 106), range(500, 505)])
def test_neighbours_that_all_kill_the_engine_end_nothing(guilty: range) -> None:
    """What one document asks stands together. The group that holds them dies, then each of them: five
    deaths and no answer in between. What was answered before is answered again, so they are at fault."""
    told = core(lambda inside: bool({*guilty} & {*inside}))
    found = answers(told, range(20, 2000))
    assert found == {p: Failure(DIES) if p in guilty else 2 * p for p in range(20, 2000)}


def test_an_engine_that_dies_of_everything_from_some_time_on() -> None:
    """After its first three answers. Its sixth death is of what it answered before: nobody's fault."""
    told = core(lambda inside: 1997 not in inside)
    with pytest.raises(RuntimeError, match=f"died {MOST_DEATHS + 1} times without one answer"):
        answers(told, range(20, 2000))
    assert told.restarts == MOST_DEATHS
