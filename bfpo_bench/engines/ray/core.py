"""Requests in, answers of Ray Data's vLLM stage out as its batches finish, whatever dies on the way."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from queue import Empty, Queue
from threading import Thread
from typing import Any, TypeVar

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.ray import rows
from bfpo_bench.engines.ray.cluster import Cluster
from bfpo_bench.engines.ray.feed import Feed, Ledger
from bfpo_bench.engines.ray.raised import (
    explained,
    failed,
    is_refusal,
    ray_errors,
    refusal,
    unanswered,
)
from bfpo_bench.engines.ray.room import Shape, capacity
from bfpo_bench.engines.vllm_core import Ask
from bfpo_bench.progress import ALOUD

BATCH = 16
"""Requests that come back together. Ray spends some 10 ms on each batch, a killed worker all of its."""

AT_ONCE = 512
"""Requests that a GPU's worker is given at a time where `max_num_seqs` does not say."""

_LOOK_SECONDS = 30.0
_STAGE = "vLLMEngineStage"
_WAITS = (
    "the Ray cluster has no free %s for a worker: it is waited for until others end their work there "
    "(`ray status` shows what is taken)"
)

K = TypeVar("K")

Lost = list[tuple[Ask[K], str]]
"""Requests without an answer, each with what was raised under it, if it was told."""

log = logging.getLogger(__name__)
aloud = logging.getLogger(ALOUD)


@dataclass(frozen=True)
class Model:
    """What Ray's vLLM stage loads: the arguments of vLLM's engine, and the environment of its workers.

    `task` is Ray's: "generate" or "classify".
    """

    folder: str
    task: str
    arguments: dict[str, Any]
    environment: dict[str, str]
    adapter: str | None = None


@dataclass(frozen=True)
class Pace:
    """How many requests come in a batch, and how many batches a worker has at a time."""

    batch: int
    batches: int

    @classmethod
    def usual(cls, arguments: dict[str, Any]) -> Pace:
        """Enough to keep vLLM's own batch full while finished ones are collected."""
        at_once = int(arguments.get("max_num_seqs", AT_ONCE))
        batch = min(BATCH, at_once)
        return cls(batch, math.ceil(at_once / batch) + 2)


ALONE = Pace(1, 1)


class RayCore:
    """Pipelines of `ray.data.llm`, one after another, on one cluster.

    Ray Data drops the blocks of a worker that dies, and starts another where there is room. What is
    missing at a pipeline's end is asked in another pipeline; what is missing from that as well is asked
    alone, and has failed if it is missing then.
    """

    def __init__(self, cluster: Cluster, shape: Shape, model: Model) -> None:
        self._cluster, self._shape, self._model = cluster, shape, model
        self.asked_again = 0
        self._begun = False
        _set_context()

    def stream(self, asks: Iterable[Ask[K]], count: int) -> Iterator[tuple[K, Any | Failure]]:
        """Each of the `count` keys with its answer (see `rows`), or with why there is none.

        Raises UserError for a model that vLLM cannot load, RuntimeError where nothing is answered, and
        where requests were lost that no worker had.
        """
        waiting: Iterator[Ask[K]] = iter(asks)
        lost: Lost[K] = []
        usual = Pace.usual(self._model.arguments)
        paces = iter((usual, usual, ALONE))
        pace = next(paces)
        left = count
        while left:
            # What a pass does not come to, of those lost before as well, waits for the next
            waiting = chain((ask for ask, _ in lost), waiting)
            there = self._alive()
            came, lost, fault = yield from self._pass(waiting, left, pace)
            left -= came
            died = not there <= self._alive()
            if fault is not None and not came:
                raise fault
            if not left:
                return
            self.asked_again += len(lost)
            log.warning("%d requests got no answer from the cluster and are asked again", len(lost))
            self._cluster.rejoin()
            if fault is None and (following := next(paces, None)) is not None:
                pace = following
            elif fault is None:
                break
        if left and left == count:
            raise unanswered(raised for _, raised in lost)
        for ask, raised in lost:
            # What a node had that died need not be what it died of
            yield ask.key, failed(raised, died)
        if left != len(lost):
            raise RuntimeError(f"the Ray cluster lost {left - len(lost)} requests on the way")

    def _alive(self) -> set[str]:
        return {node.id for node in self._cluster.nodes()}

    def _pass(
        self, asks: Iterator[Ask[K]], count: int, pace: Pace
    ) -> Generator[tuple[K, Any | Failure], None, tuple[int, Lost[K], Exception | None]]:
        """Returns how many were answered, those that were handed in and not answered, and what ended
        the pipeline before its time."""
        came, fault, raised = 0, None, dict[int, str]()
        shape = self._fitting()
        # Of a later pipeline what is taken may be by workers of the last one
        taken = not self._begun and self._cluster.free(shape.kind) < shape.each
        self._begun = True
        ledger = Ledger(asks, 2 * shape.workers * pace.batch * pace.batches)
        feed = Feed(ledger, count, pace.batch)
        try:
            for row in self._rows(self._pipeline(shape, pace)(feed.dataset()), taken):
                number, error = int(row["number"]), str(row.get("__inference_error__") or "")
                if error and not is_refusal(error):
                    raised[number] = error
                    ledger.passed(number)
                    continue
                ask = ledger.answered(number)
                if ask is not None:
                    came += 1
                    yield ask.key, refusal(error) if error else row["answer"]
        except ray_errors() as error:
            fault = explained(error, self._model.folder)
        finally:
            lost = [(ask, raised.get(number, "")) for number, ask in ledger.close().items()]
            feed.close()
        if feed.error is not None:
            raise feed.error
        return came, lost, fault

    def _fitting(self) -> Shape:
        """As many of the workers as the nodes that live have room for."""
        room = capacity(self._cluster.nodes(), self._shape.kind, self._shape.each)
        if not room:
            raise RuntimeError("no node of the Ray cluster that lives has room for one worker")
        return Shape(min(self._shape.workers, room), self._shape.kind, self._shape.each)

    def _pipeline(self, shape: Shape, pace: Pace) -> Callable[[Any], Any]:
        from ray.data import TaskPoolStrategy
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        model = self._model
        config = vLLMEngineProcessorConfig(
            model_source=model.folder,
            task_type=model.task,
            engine_kwargs=dict(model.arguments),
            runtime_env={"env_vars": model.environment},
            batch_size=pace.batch,
            max_concurrent_batches=pace.batches,
            max_tasks_in_flight_per_actor=pace.batches,
            concurrency=(shape.workers, shape.workers),
            placement_group_config={"bundles": shape.bundles} if shape.kind == "CPU" else None,
            should_continue_on_error=True,
            log_engine_metrics=False,
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
        )
        small = {"num_cpus": 0, "compute": TaskPoolStrategy(size=2)}
        classify = model.task == "classify"
        processor = build_processor(
            config,
            preprocess=rows.to_classify if classify else rows.Generating(model.adapter),
            postprocess=rows.classified if classify else rows.generated,
            preprocess_map_kwargs=small,
            postprocess_map_kwargs=small,
        )
        # A worker that dies is started again where there is room. Its requests do not wait for it:
        # where there is none they would for ever
        stage = processor.get_stage_by_name(_STAGE)
        # In place: to assign it would let the stage work out its resources anew, and wrongly
        stage.map_batches_kwargs.update(max_restarts=-1, max_task_retries=0)
        return processor

    def _rows(self, dataset: Any, taken: bool) -> Iterator[dict[str, Any]]:
        """A block's rows when it is there. `taken`: there was no room for one worker at the beginning;
        where there still is none after a while, that is said aloud.

        Raises RuntimeError when the cluster has lost all nodes that a worker fits on.
        """
        blocks: Queue[Any] = Queue(maxsize=4)

        def pull() -> None:
            # Prefetching holds a finished block back until another one is there
            how = {"batch_size": None, "prefetch_batches": 0, "batch_format": "pyarrow"}
            try:
                for block in dataset.iter_batches(**how):
                    blocks.put(block)
            except Exception as error:
                blocks.put(error)
            else:
                blocks.put(None)

        Thread(target=pull, daemon=True).start()
        while True:
            try:
                block = blocks.get(timeout=_LOOK_SECONDS)
            except Empty:
                shape = self._fitting()
                if taken and self._cluster.free(shape.kind) < shape.each:
                    aloud.warning(_WAITS, shape.kind)
                taken = False
                continue
            if block is None:
                return
            if isinstance(block, Exception):
                raise block
            yield from block.to_pylist()


def _set_context() -> None:
    """Of Ray Data in this process, which is a stage's own."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # What a dead worker had is asked again, and a stage has its own limit on silence
    context.max_errored_blocks = -1
    context.execution_no_progress_timeout_s = -1
