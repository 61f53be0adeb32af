"""A request that cannot be answered is named, and costs the others nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.batching import Halving
from bfpo_bench.engines.isolation import answers
from bfpo_bench.errors import UserError

BROKEN = Failure("ValueError: broken")
MEMORY = Failure("OutOfMemoryError: CUDA out of memory")


class Model:
    """Holds `holds` rows at once; `bad` ones break every batch that they are in, `huge` ones memory."""

    def __init__(self, bad: Sequence[int] = (), huge: Sequence[int] = (), holds: int = 99) -> None:
        self.bad, self.huge, self.holds = set(bad), set(huge), holds
        self.tried: list[int] = []

    def run(self, rows: Sequence[int]) -> list[str]:
        self.tried.append(len(rows))
        if len(rows) > self.holds or self.huge & set(rows):
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        if self.bad & set(rows):
            raise ValueError("broken.\nsecond line")
        return [f"answer {row}" for row in rows]


def ask(model: Model, count: int, rows: int = 8) -> dict[int, str | Failure]:
    found = list(answers(range(count), Halving(rows), model.run))
    assert len(found) == len(dict(found))
    return dict(found)


def expected(count: int, failures: dict[int, Failure]) -> dict[int, str | Failure]:
    return {i: failures.get(i, f"answer {i}") for i in range(count)}


def test_one_that_breaks_its_batch_is_found() -> None:
    """Eight rows with a bad fifth: 8, then 4 well and 4 not, 2 not (1 not, 1 well), 2 well."""
    model = Model(bad=[4])
    assert ask(model, 8) == expected(8, {4: BROKEN})
    assert model.tried == [8, 4, 4, 2, 1, 1, 2]


@settings(max_examples=30)
@given(st.sets(st.integers(0, 29)), st.integers(1, 40))
def test_all_that_fail_are_named_and_all_others_answered(bad: set[int], rows: int) -> None:
    """Position 29 is the last and the probe: it works, so the model does."""
    bad = bad - {29}
    assert ask(Model(bad=sorted(bad)), 30, rows) == expected(30, dict.fromkeys(bad, BROKEN))


@settings(
    max_examples=20
)  # each time that memory runs out garbage is collected, which takes its time
@given(
    st.sets(st.integers(0, 18), max_size=4),
    st.sets(st.integers(0, 18), max_size=2),
    st.integers(1, 9),
)
def test_so_they_are_while_memory_runs_out(bad: set[int], huge: set[int], holds: int) -> None:
    failures = dict.fromkeys(bad, BROKEN) | dict.fromkeys(huge, MEMORY)
    model = Model(bad=sorted(bad - huge), huge=sorted(huge), holds=holds)
    assert ask(model, 20) == expected(20, failures)


def test_a_batch_that_does_not_fit_is_halved_for_good() -> None:
    model, limit = Model(holds=5), Halving(16)
    found = list(answers(range(20), limit, model.run))
    assert found == [(i, f"answer {i}") for i in range(20)]
    assert model.tried == [16, 8, 4, 4, 4, 4, 4]
    assert (limit.rows, limit.halved) == (4, 2)


def test_a_request_too_large_alone_is_a_failure() -> None:
    assert ask(Model(huge=[0]), 3) == expected(3, {0: MEMORY})


@pytest.mark.parametrize("model", [Model(bad=range(20)), Model(holds=0)])
def test_a_model_that_answers_nothing_is_an_error(model: Model) -> None:
    """Found out with the first that fails alone, and the last: 8, 4, 2, 1, and 1."""
    with pytest.raises((ValueError, torch.OutOfMemoryError), match=r"broken|out of memory"):
        ask(model, 20)
    assert model.tried == [8, 4, 2, 1, 1]


def test_two_that_fail_differently_are_two_failures() -> None:
    found = ask(Model(bad=[0], huge=[3]), 4)
    assert found == expected(4, {0: BROKEN, 3: MEMORY})


def test_the_only_request_is_a_failure() -> None:
    """Nothing says that the fault is the model's; a run that lacks one answer must be able to end."""
    assert ask(Model(bad=[0]), 1) == {0: BROKEN}


def test_a_model_that_has_worked_is_not_doubted() -> None:
    """The last fails as the first does, and all between work."""
    model = Model(bad=[8, 15])
    assert ask(model, 16) == expected(16, {8: BROKEN, 15: BROKEN})


class TestADeviceThatBreaksMidway:
    """No request may be called a Failure for it: a Failure is stored, and is not asked again."""

    def run(self, works: int, error: Exception) -> Callable[[Sequence[int]], list[str]]:
        self.calls = 0

        def run(rows: Sequence[int]) -> list[str]:
            self.calls += 1
            if self.calls > works:
                raise error
            return [f"answer {row}" for row in rows]

        return run

    @pytest.mark.parametrize(
        "error",
        [RuntimeError("DefaultCPUAllocator: can't allocate memory"), RuntimeError("CUDA error")],
    )
    @pytest.mark.parametrize("works", [1, 2, 4])
    def test_its_error_is_raised(self, works: int, error: Exception) -> None:
        """Found out with the second that fails alone: what the batches before it hold has been told."""
        found = []
        with pytest.raises(RuntimeError, match=r"memory|CUDA"):
            found.extend(answers(range(40), Halving(8), self.run(works, error)))
        assert found == [(i, f"answer {i}") for i in range(8 * works)]

    def test_so_it_is_where_one_request_is_left(self) -> None:
        found = []
        with pytest.raises(RuntimeError):
            found.extend(answers(range(9), Halving(8), self.run(1, RuntimeError("gone"))))
        assert found == [(i, f"answer {i}") for i in range(8)]

    def test_two_bad_neighbours_cost_one_request_asked_again(self) -> None:
        """Two at a time: 0 and 1 work; 2 and 3 fail together, 2 alone, 3 alone; 1 works again."""
        model = Model(bad=[2, 3])
        assert ask(model, 6, rows=2) == expected(6, dict.fromkeys([2, 3], BROKEN))
        assert model.tried == [2, 2, 1, 1, 1, 2]


@pytest.mark.parametrize(
    "error", [UserError("Do something else."), torch.AcceleratorError("device-side assert")]
)
def test_what_concerns_every_request_is_raised_at_once(error: Exception) -> None:
    tried = []

    def run(rows: Sequence[int]) -> list[str]:
        tried.append(len(rows))
        raise error

    with pytest.raises(type(error)):
        list(answers(range(8), Halving(8), run))
    assert tried == [8]


def test_results_come_as_they_are_made() -> None:
    """The first batch's are here before the second is asked: what is stored is safe."""
    model = Model()
    results = answers(range(4), Halving(2), model.run)
    assert next(results) == (0, "answer 0")
    assert model.tried == [2]


def test_the_tensors_of_a_batch_that_failed_are_let_go() -> None:
    """They hang on the traceback, and the smaller batch needs their room."""
    import weakref

    held: list[Callable[[], object]] = []

    def run(rows: Sequence[int]) -> list[str]:
        if held:
            assert held[0]() is None
            return ["answer"] * len(rows)
        tensor = torch.zeros(3)
        held.append(weakref.ref(tensor))
        raise RuntimeError(f"bad {len(tensor)}")

    assert len(list(answers(range(4), Halving(4), run))) == 4
