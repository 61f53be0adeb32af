"""Requests on their way into a Ray dataset: a block at a time, and never far ahead of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bfpo_bench.engines.vllm_core import Ask

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

K = TypeVar("K")

READERS = 4
"""Processes that carry blocks into the dataset."""

SILENCE_SECONDS = 60.0
"""After so long without an answer another block is handed in: those in there may be lost."""


class Ledger(Generic[K]):
    """Which requests were handed in, and which of them are answered. Rows carry their numbers.

    `window` is how many rows the newest that is handed in may be ahead of the newest that is
    answered. A lost one holds nothing up.
    """

    def __init__(self, asks: Iterable[Ask[K]], window: int) -> None:
        self._asks = iter(asks)
        self._window = window
        self._inside: dict[int, Ask[K]] = {}
        self._handed = 0
        self._newest = 0
        self._changed = Condition()
        self._closed = False

    def take(self, size: int) -> list[tuple[int, Ask[K]]]:
        """The next requests with their numbers, when there is room for them; [] after the last."""
        with self._changed:
            while self._handed - self._newest >= self._window and not self._closed:
                if not self._changed.wait(SILENCE_SECONDS):
                    break
            taken = [] if self._closed else list(islice(self._asks, size))
            numbered = list(enumerate(taken, self._handed))
            self._inside.update(numbered)
            self._handed += len(taken)
            return numbered

    def passed(self, number: int) -> None:
        """The request of that number is through, without an answer."""
        with self._changed:
            self._newest = max(self._newest, number + 1)
            self._changed.notify()

    def answered(self, number: int) -> Ask[K] | None:
        """The request of that number; None when it was answered before."""
        self.passed(number)
        with self._changed:
            return self._inside.pop(number, None)

    def close(self) -> dict[int, Ask[K]]:
        """Hand no more in; returns those that were and have no answer by their numbers, in order."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            return dict(self._inside)


class Feed:
    """A dataset whose rows are made while it is read: `number`, `tokenized_prompt`, `params` (JSON) and
    `scored`, how many of the prompt's last tokens are scored.

    A thread of this process puts them into a queue that the dataset's read tasks take them from.
    """

    def __init__(self, ledger: Ledger[Any], count: int, rows: int) -> None:
        import ray
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._queue = Queue(
            maxsize=2 * READERS, actor_options={"num_cpus": 0, "scheduling_strategy": here}
        )
        self._ledger, self._rows = ledger, rows
        self._blocks = -(-count // rows)
        self.error: BaseException | None = None
        self._thread = Thread(target=self._hand_in, daemon=True)
        self._thread.start()

    def dataset(self) -> Dataset:
        """One block for each read task, since Ray joins the blocks of one into a large one."""
        import ray

        return ray.data.read_datasource(
            _source(self._queue, self._blocks),
            override_num_blocks=self._blocks,
            num_cpus=0,
            compute=ray.data.TaskPoolStrategy(size=READERS),
        )

    def _hand_in(self) -> None:
        import ray

        try:
            while taken := self._ledger.take(self._rows):
                self._queue.put(table(taken))
        except ray.exceptions.RayError:
            # The queue is gone: the dataset's readers know as well
            return
        except BaseException as error:
            self.error = error
        self._queue.put(None)

    def close(self) -> None:
        self._queue.shutdown(force=True)
        self._thread.join(5)


def table(taken: Sequence[tuple[int, Ask[Any]]]) -> pa.Table:
    """A block of the dataset."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("number", pa.int64()),
            ("tokenized_prompt", pa.list_(pa.int32())),
            ("params", pa.string()),
            ("scored", pa.int32()),
        ]
    )
    columns = [
        [number for number, _ in taken],
        [list(ask.prompt) for _, ask in taken],
        [json.dumps(ask.params) for _, ask in taken],
        [getattr(ask.key, "scored", 0) for _, ask in taken],
    ]
    return pa.table(columns, schema=schema)


def _source(queue: Any, blocks: int) -> Any:
    """A `ray.data.Datasource` of `blocks` read tasks, each of which takes a block from `queue`."""
    from ray.data import Datasource
    from ray.data.block import BlockMetadata
    from ray.data.datasource import ReadTask

    def read() -> Iterator[pa.Table]:
        block = queue.get()
        if block is None:
            # For the others: a read task that was begun twice has taken two blocks
            queue.put(None)
            block = table([])
        yield block

    class Requests(Datasource):
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:
            unknown = BlockMetadata(
                num_rows=None, size_bytes=None, input_files=None, exec_stats=None
            )
            return [ReadTask(read, unknown) for _ in range(blocks)]

    return Requests()
