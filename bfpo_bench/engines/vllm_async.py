"""vLLM's data parallelism behind the interface that `vllm_core` asks.

`vllm.LLM` refuses data_parallel_size > 1 in one process (0.32); `AsyncLLM` serves it, and balances
requests over its engines by itself. It lives in an event loop on a thread of its own here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

CLOSING_SECONDS = 10


def engines(arguments: dict[str, Any]) -> int:
    """How many engines these arguments ask of vLLM, each with the whole model."""
    return int(arguments.get("data_parallel_size") or 1)


class BalancedLlm:
    """As much of `vllm.LLM` and of its parts as `VllmCore` uses, with several engines behind it.

    They live and die together: vLLM ends the others when one of them is gone.
    """

    def __init__(self, folder: str, arguments: dict[str, Any]) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        quiet = {"disable_log_stats": True, "enable_log_requests": False}
        told = AsyncEngineArgs(model=folder, **quiet | arguments)
        self.outputs_queue: SimpleQueue[Any] = SimpleQueue()
        # The context decides about the sizes of batches: those of `LLM`
        self._engine = AsyncLLM.from_engine_args(told, usage_context=UsageContext.LLM_CLASS)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="vllm-requests", daemon=True)
        self._thread.start()
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def llm_engine(self) -> BalancedLlm:
        return self

    @property
    def engine_core(self) -> BalancedLlm:
        return self

    @property
    def model_config(self) -> Any:
        return self._engine.model_config

    @property
    def vllm_config(self) -> Any:
        return self._engine.vllm_config

    def add_request(self, name: str, prompt: Any, params: Any, lora_request: Any = None) -> None:
        """Raises what `AsyncLLM` raises for a request that it refuses, and where an engine is dead."""
        self._done(self._add(name, prompt, params, lora_request))

    async def _add(self, name: str, prompt: Any, params: Any, lora_request: Any) -> None:
        collector = await self._engine.add_request(name, prompt, params, lora_request=lora_request)
        # Kept: the loop itself holds tasks by weak references alone
        task = asyncio.create_task(self._answer(name, collector))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, name: str, collector: Any) -> None:
        """One output: the parameters ask for the final one alone."""
        try:
            output = await collector.get()
            # Inside, vLLM makes names of its own where two requests could have the same
            output.request_id = name
        except Exception as error:
            output = error
        self.outputs_queue.put(output)

    def step(self) -> list[Any]:
        """The outputs that are there, at least one. Raises EngineDeadError when an engine died."""
        found = [self.outputs_queue.get()]
        try:
            while True:
                found.append(self.outputs_queue.get_nowait())
        except Empty:
            pass
        for output in found:
            if isinstance(output, Exception):
                raise output
        return found

    def shutdown(self) -> None:
        self._engine.shutdown()
        self._done(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSING_SECONDS)

    async def _end(self) -> None:
        waiting = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=CLOSING_SECONDS) if waiting else None

    def _done(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
