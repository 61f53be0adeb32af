"""What becomes of requests that a cluster loses, on a script in the place of Ray: none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.ray import core as room
from bfpo_bench.engines.ray.core import Model, RayCore
from bfpo_bench.engines.ray.raised import explained
from bfpo_bench.engines.ray.room import Node, Shape
from bfpo_bench.engines.vllm_core import Ask
from bfpo_bench.progress import ALOUD

ray = pytest.importorskip("ray")

COUNT = 40


@dataclass(frozen=True)
class Pass:
    """One pipeline: it is handed so many blocks, of whose requests it answers so many; then it ends, or
    `dies`. A node is `lost` during it. Under the last request that it is handed Ray's stage `raises`."""

    blocks: int = COUNT
    answers: int = COUNT
    dies: bool = False
    lost: bool = False
    raises: str = ""


class Feed:
    """Hands requests in when the script says so."""

    error = None

    def __init__(self, ledger: Any, count: int, rows: int) -> None:
        self.ledger, self.rows = ledger, rows
        ledger._window = 10 * COUNT

    def dataset(self) -> Feed:
        return self

    def close(self) -> None:
        pass


class Cluster:
    def __init__(self) -> None:
        self.alive = ["a", "b"]
        self.looks = 0

    def free(self, kind: str) -> float:
        return 4.0

    def nodes(self) -> list[Node]:
        self.looks += 1
        return [Node(name, "10.0.0.1", 2, 0) for name in self.alive]

    def rejoin(self) -> None:
        """A Ray of our own has another node from now on."""
        self.alive = [f"{name}*" for name in self.alive]


class Scripted(RayCore):
    def __init__(self, passes: Sequence[Pass]) -> None:
        model = Model("", "generate", {"max_num_seqs": 4}, {})
        super().__init__(Cluster(), Shape(1, "CPU", 1), model)  # type: ignore[arg-type]
        self._passes = iter(passes)

    def _pipeline(self, shape: Shape, pace: Any) -> Any:
        return lambda feed: feed

    def _rows(self, feed: Any, taken: bool) -> Iterator[dict[str, Any]]:
        told = next(self._passes)
        handed: list[tuple[int, Ask[int]]] = []
        for _ in range(told.blocks):
            handed += feed.ledger.take(feed.rows)
        for number, ask in handed[: told.answers]:
            yield {"number": number, "answer": str(ask.key), "__inference_error__": ""}
        if told.raises:
            yield {"number": handed[-1][0], "__inference_error__": told.raises}
        if told.lost:
            self._cluster.alive.pop()  # type: ignore[attr-defined]
        if told.dies:
            raise ray.exceptions.ObjectLostError("0" * 56, None, "")


def stream(monkeypatch: pytest.MonkeyPatch, *passes: Pass) -> Iterator[tuple[int, Any]]:
    """Forty requests, four in a block; the third pass that ends by itself has one in each."""
    monkeypatch.setattr(room, "Feed", Feed)
    return Scripted(passes).stream((Ask(key, (key,), {}) for key in range(COUNT)), COUNT)


def answered(found: Iterator[tuple[int, Any]]) -> list[int]:
    told = list(found)
    assert not [answer for _, answer in told if isinstance(answer, Failure)]
    return sorted(key for key, _ in told)


def test_two_pipelines_die_before_what_was_lost_was_handed_in_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first is handed 20 and answers 2, the second 8 of the 18 lost and answers 1: the ten that it
    did not come to wait for the third, as do those that nobody was handed."""
    passes = Pass(5, 2, dies=True), Pass(2, 1, dies=True), Pass()
    assert answered(stream(monkeypatch, *passes)) == list(range(COUNT))


def test_pipelines_that_end_before_all_was_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times, so that 40 - 2 - 2 - 2 are left: of the last five, handed in alone, three have failed;
    that 31 were never handed in is no result of theirs."""
    found = stream(monkeypatch, Pass(5, 2), Pass(5, 2), Pass(5, 2))
    told = dict(next(found) for _ in range(9))
    assert sum(isinstance(answer, Failure) for answer in told.values()) == 3
    with pytest.raises(RuntimeError, match="lost 31 requests on the way"):
        next(found)


@pytest.mark.parametrize("lost", [False, True])
def test_asked_alone_it_is_the_requests_fault_unless_a_node_died(
    lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of forty has no answer in three passes. To join Ray anew changes all nodes' names, which
    says nothing."""
    found = dict(stream(monkeypatch, Pass(10, 39), Pass(1, 0), Pass(1, 0, lost=lost)))
    [failure] = [answer for answer in found.values() if isinstance(answer, Failure)]
    assert len(found) == COUNT
    assert failure.fault is lost


def test_what_vllm_refuses_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pipeline is enough for forty requests, of which the last is refused for good."""
    found = dict(stream(monkeypatch, Pass(10, 39, raises="VLLMValidationError: too long\nat all")))
    assert found.pop(39) == Failure("vLLM refuses it: VLLMValidationError: too long")
    assert not [answer for answer in found.values() if isinstance(answer, Failure)]


def test_what_else_is_raised_need_not_be_the_requests_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that was full for a while, say: the second pipeline has an answer."""
    first = Pass(10, 39, raises="OSError: no space left")
    assert answered(stream(monkeypatch, first, Pass(1, 1))) == list(range(COUNT))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (
            "OSError: no space left",
            Failure(
                "its worker fails, also when it is asked alone: OSError: no space left", fault=True
            ),
        ),
        (
            "EngineGenerateError: ",
            Failure("its worker dies of it or vLLM breaks, also when it is asked alone"),
        ),
    ],
)
def test_raised_also_alone(raised: str, expected: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times; what is not vLLM's own word is a fault, so that the same command asks again."""
    found = dict(
        stream(
            monkeypatch,
            *(Pass(10, 39, raises=raised), Pass(1, 0, raises=raised), Pass(1, 0, raises=raised)),
        )
    )
    assert found[39] == expected
    assert sum(isinstance(answer, Failure) for answer in found.values()) == 1


def test_where_nothing_is_answered_the_error_says_what_was_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = Pass(10, 0, raises="OSError: no space left")
    with pytest.raises(RuntimeError, match=r"answer one request \(OSError: no space left\)"):
        list(stream(monkeypatch, nothing, nothing, Pass(COUNT, 0, raises="OSError: no space left")))


class Busy(Cluster):
    """A cluster with so many CPUs free, which has no rows before it is looked at three times."""

    def __init__(self, free: float) -> None:
        super().__init__()
        self._free, self._ended = free, Event()

    def free(self, kind: str) -> float:
        assert kind == "CPU"
        return self._free

    def nodes(self) -> list[Node]:
        found = super().nodes()
        if self.looks == 3:
            self._ended.set()
        return found

    def iter_batches(self, **_: Any) -> Iterator[Any]:
        assert self._ended.wait(60)
        yield pa.table({"number": [1, 2]})


@pytest.mark.parametrize(
    ("taken", "free", "times"),
    [(True, 1.0, 1), (True, 2.0, 0), (False, 1.0, 0)],
    ids=["taken by others", "free since", "taken by its own workers"],
)
def test_a_worker_that_there_is_no_room_for_is_waited_for_aloud(
    taken: bool,
    free: float,
    times: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A worker takes two CPUs. Said once, however long it lasts."""
    monkeypatch.setattr(room, "_LOOK_SECONDS", 0.01)
    cluster = Busy(free)
    core = RayCore(cluster, Shape(1, "CPU", 2), Model("", "generate", {}, {}))  # type: ignore[arg-type]
    assert [row["number"] for row in core._rows(cluster, taken)] == [1, 2]
    said = [record.getMessage() for record in caplog.records if record.name == ALOUD]
    assert len(said) == times
    assert all("has no free CPU for a worker" in text for text in said)


def test_an_error_that_names_a_package_is_no_model_that_vllm_cannot_load() -> None:
    error = ray.exceptions.RayTaskError(
        "read",
        'File "/usr/lib/python3/json/__init__.py", line 346\nValueError: no',
        ValueError("no"),
    )
    assert explained(error, "folder") is error
