"""Tasks of which no requests can be made are left out, and told from those that only failed this time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.stages import built
from bfpo_bench.stages.built import built_requests

RAISES: dict[str, Exception] = {
    "refused": UserError("its chat template refuses a system message."),
    "broken": KeyError("question"),
    "disk": OSError(5, "Input/output error"),
    "memory": MemoryError(),
}


def task(name: str) -> Any:
    file = SimpleNamespace(name=f"{name}.yaml")
    return SimpleNamespace(spec=SimpleNamespace(name=name, kind="generative", path=file))


def made(how: Any, tokenizer: Any, tasks: list[Any]) -> list[str]:
    name = tasks[0].spec.name
    if name in RAISES:
        raise RAISES[name]
    return [f"a prompt of {name}"]


def test_what_can_never_be_asked_is_told_from_what_failed_this_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk may be mended, and so the same command asks again; a document stays what it is."""
    monkeypatch.setattr(built, "generative_requests", made)
    how, failed, unaskable = SimpleNamespace(context=64), {"gone": "No such data."}, list[str]()
    tasks = [task("good"), *map(task, RAISES)]
    usable, _, _, asked = built_requests(how, None, tasks, failed, unaskable)  # type: ignore[arg-type]
    assert [one.spec.name for one in usable] == ["good"]
    assert asked == ["a prompt of good"]
    assert list(failed) == ["gone", *RAISES]
    assert failed["refused"] == "Task refused: its chat template refuses a system message."
    assert unaskable == ["refused", "broken"]
