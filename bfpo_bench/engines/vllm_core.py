"""Requests in, vLLM's outputs as they finish, whatever becomes of the process that computes them."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bfpo_bench.engines.base import Failure
from bfpo_bench.engines.vllm_setting import started
from bfpo_bench.errors import first_line

AT_ONCE = 2048
"""Requests inside vLLM: twice its largest default batch, and few enough to keep memory flat."""

PARTS = 16
"""A death costs a load, a smaller group little: sixteenths find one of 2,048 in three deaths more."""

MOST_DEATHS = 5
"""So many deaths without one answer in between make us ask whether it is the requests' fault."""

K = TypeVar("K")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask(Generic[K]):
    """One request; `key` is the caller's own, `params` the arguments of `vllm.SamplingParams`."""

    key: K
    prompt: tuple[int, ...]
    params: dict[str, Any]


class VllmCore:
    """An `LLM` that is loaded again when vLLM's engine process dies.

    Those that it was at work on are asked again in ever smaller groups until one that kills it
    stands alone. When none does, there were too many at once: from then on it gets fewer.
    """

    def __init__(self, start: Callable[[], Any], lora: Any = None, engines: int = 1) -> None:
        """`start` loads an `LLM` of so many `engines`."""
        self._start = start
        self._lora = lora
        self._count = 0
        self._deaths = 0
        self._answered: Ask[Any] | None = None
        self.restarts = 0
        self.most = self.at_once = AT_ONCE * engines
        self.llm, self._processes = started(start)

    def stream(self, asks: Iterable[Ask[K]]) -> Iterator[tuple[K, Any | Failure]]:
        """Each key with its `RequestOutput`, or with why vLLM has none for it.

        Raises RuntimeError when the engine dies on whatever it is asked.
        """
        waiting = iter(asks)
        while unanswered := (yield from self._ask(waiting, self.at_once)):
            if not (yield from self._isolate(unanswered)):
                self.at_once = max(1, self.at_once // 4)
                log.warning(
                    "vLLM's engine died of %d requests, and of none of them alone; from now on it "
                    "gets at most %d at once",
                    len(unanswered),
                    self.at_once,
                )

    def _ask(
        self, waiting: Iterator[Ask[K]], at_once: int
    ) -> Generator[tuple[K, Any | Failure], None, list[Ask[K]]]:
        """Ask in order, a bounded number ahead; returns those that the engine had when it died."""
        from vllm.v1.engine.exceptions import EngineDeadError
        from zmq.error import ZMQError

        inside: dict[str, Ask[K]] = {}
        try:
            while True:
                while len(inside) < at_once and (ask := next(waiting, None)) is not None:
                    name = str(self._count)
                    self._count += 1
                    inside[name] = ask
                    if (refusal := self._add(name, ask)) is not None:
                        yield inside.pop(name).key, refusal
                if not inside:
                    return []
                for output in self.llm.llm_engine.step():
                    if output.finished:
                        ask = inside.pop(output.request_id)
                        self._deaths, self._answered = 0, ask
                        yield ask.key, _judged(output)
        except (EngineDeadError, ZMQError) as error:
            log.warning("vLLM's engine died with %d requests inside", len(inside))
            self._recover(error)
            return list(inside.values())

    def _recover(self, error: Exception) -> None:
        """Load the engine again.

        After many deaths in a row it is asked what it has answered before. Raises RuntimeError when
        it dies of that, too, or when there is nothing of the kind.
        """
        self._deaths += 1
        if self._deaths >= MOST_DEATHS and self._answered is None:
            raise RuntimeError(
                f"vLLM's engine died {self._deaths} times without one answer in between"
            ) from error
        self._reload()
        if self._deaths >= MOST_DEATHS and (known := self._answered) is not None:
            # Gone while it is asked, so that a death of it raises
            self._answered = None
            deque(self._ask(iter([known]), 1), maxlen=0)

    def _add(self, name: str, ask: Ask[K]) -> Failure | None:
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        try:
            # As `LLM.generate` has them: no output for every token. Nobody else has these parameters
            params = SamplingParams(
                **ask.params,
                detokenize=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
                skip_clone=True,
            )
            prompt = {"prompt_token_ids": list(ask.prompt)}
            self.llm.llm_engine.add_request(name, prompt, params, lora_request=self._lora)
        except (VLLMClientError, ValueError) as error:
            return Failure(f"vLLM refuses it: {first_line(error)}")
        return None

    def _isolate(
        self, suspects: Sequence[Ask[K]]
    ) -> Generator[tuple[K, Any | Failure], None, bool]:
        """Ask in parts those that were inside when the engine died; returns whether one was guilty.

        The guilty are told last: an engine that dies of everything is none of theirs.
        """
        guilty: list[Ask[K]] = []
        groups = deque(_parts(suspects))
        while groups:
            group = groups.popleft()
            waiting = iter(group)
            unanswered = yield from self._ask(waiting, len(group))
            if unanswered and len(group) == 1:
                guilty += group
            else:
                groups.extendleft(reversed(_parts([*unanswered, *waiting])))
        for ask in guilty:
            yield ask.key, Failure("vLLM's engine dies of it, also when it is asked alone")
        return bool(guilty)

    def _reload(self) -> None:
        """A dead engine leaves workers that hold their memory: they go first."""
        self.restarts += 1
        self.close()
        self.llm, self._processes = started(self._start)

    def close(self) -> None:
        import psutil

        self.llm.llm_engine.engine_core.shutdown()
        del self.llm
        for process in self._processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(self._processes, timeout=10)


def _judged(output: Any) -> Any | Failure:
    """vLLM ends a request with "abort" or "error" when it gives it up, and answers the others."""
    reason = output.outputs[0].finish_reason
    if reason in ("stop", "length"):
        return output
    return Failure(f"vLLM ended it with {reason!r}")


def _parts(asks: Sequence[Ask[K]]) -> list[Sequence[Ask[K]]]:
    size = math.ceil(len(asks) / PARTS)
    return [asks[start : start + size] for start in range(0, len(asks), max(size, 1))]
