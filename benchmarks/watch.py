"""What a process and its descendants take, and a file that is watched while they write it."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil


def family(process: psutil.Process | None = None) -> list[psutil.Process]:
    """The process (this one unless given) and its living descendants."""
    process = process or psutil.Process()
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def cpu_seconds() -> float:
    """User and system time of this process, its living descendants, and those it waited for.

    Its own to the microsecond; what the system tells of others comes in hundredths of a second.
    """
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + waited.ru_utime + waited.ru_stime
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def resident_mib(processes: Sequence[psutil.Process]) -> float:
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / 2**20


@dataclass
class Watch:
    """What a second pair of eyes saw of a file that grows and of the processes that write it.

    `samples` are (seconds since the start, bytes of the file, MiB of the process, MiB of all of them).
    """

    began: float = field(default_factory=time.perf_counter)
    first: float | None = None
    samples: list[tuple[float, int, float, float]] = field(default_factory=list)

    def quarters(self) -> list[dict[str, float]]:
        """The resident memory when the file held 25, 50, 75 and 100 % of its bytes."""
        whole = self.samples[-1][1]
        found = []
        for percent in (25, 50, 75, 100):
            sample = next(s for s in self.samples if s[1] >= whole * percent / 100)
            found.append({"percent": percent, "mib": sample[2], "mib_all": sample[3]})
        return found


@contextmanager
def watching(
    file: Callable[[], Path | None], process: psutil.Process | None = None
) -> Iterator[Watch]:
    """Looks 50 times a second for the file's first byte, and 5 times a second at the memory."""
    watch, stop = Watch(), threading.Event()
    process = process or psutil.Process()

    def look() -> None:
        ticks = 0
        while not stop.wait(0.02):
            look_once(ticks % 10 == 0)
            ticks += 1
        look_once(True)

    def look_once(memory: bool) -> None:
        path = file()
        size = path.stat().st_size if path is not None and path.exists() else 0
        if not size:
            return
        now = time.perf_counter() - watch.began
        if watch.first is None:
            watch.first = now
        if memory:
            sample(now, size)

    def sample(now: float, size: int) -> None:
        processes = family(process)
        watch.samples.append((now, size, resident_mib(processes[:1]), resident_mib(processes)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
