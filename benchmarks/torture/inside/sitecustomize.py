"""Loaded by every Python process of a tortured command: kills it at a chosen moment, and notes what it asks.

Python imports a module of this name by itself when its folder is on PYTHONPATH. The environment
variable TORTURE holds JSON:

    log     file that gets a line for each thing asked, each part of the work begun, and each kill
    pause   seconds to wait before each answer of an engine, so that there are moments to hit
    part    the part of the work in which to kill: main, respond, or judge <key>; absent: kill nowhere
    event   what to count there, see EVENTS; or clock, then `count` is seconds since the part began
    count   kill when it has happened so often
    file    count the event only where this file is about to be replaced, or has been; null: any
    victim  self, main (the command's own process), or tree (both, and all that the stage started)

Nothing of the program knows of this file: its functions are wrapped when their modules are imported.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

EVENTS = (
    "answer",  # an engine has answered, nothing is stored yet
    "line",  # a line is about to be written
    "torn",  # half of a line is written
    "lined",  # a line is written
    "draft",  # a file is written whole beside the one that it shall replace
    "replaced",  # it has replaced it
    "fsync",  # a draft is written and not yet on the disk
    "finding",  # a judge has found, nothing is stored yet
    "remember",  # the finding is about to go into the cache
    "remembered",  # it is there
)
Function = Callable[..., Any]
Wrap = Callable[[Function], Function]
TOLD: dict[str, Any] = json.loads(os.environ.get("TORTURE", "{}"))


class State:
    """What this process does now, how often the event has happened in it, and which file it is about."""

    part = ""
    count = 0
    file = "-"


def note(*words: object) -> None:
    """Add a line to the log, in one write: several processes share it."""
    line = " ".join(map(str, words)) + "\n"
    descriptor = os.open(TOLD["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def begin(part: str) -> None:
    State.part, State.count = part, 0
    note("begin", time.time(), part)
    if part == TOLD.get("part") and TOLD["event"] == "clock":
        threading.Thread(target=late, args=(TOLD["count"],), daemon=True).start()


def late(seconds: float) -> None:
    time.sleep(seconds)
    strike("clock")


def end(part: str) -> None:
    note("end", time.time(), part)


def happened(event: str) -> bool:
    """Whether this is the moment."""
    if State.part != TOLD.get("part") or event != TOLD["event"]:
        return False
    if TOLD["file"] not in (None, State.file):
        return False
    State.count += 1
    return State.count == TOLD["count"]


def strike(event: str) -> None:
    victim = TOLD["victim"]
    note("kill", time.time(), victim, event, State.file, State.part)
    if victim != "self" and State.part != "main":
        os.kill(int(os.environ["TORTURE_MAIN"]), signal.SIGKILL)
    if victim == "main" and State.part != "main":
        time.sleep(60)  # whose parent is gone must end by itself
    if victim == "tree" and State.part != "main":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def at(event: str) -> None:
    if happened(event):
        strike(event)


def around(before: str, after: str) -> Wrap:
    """A wrapper that stops at `before` and `after` a call."""

    def wrap(function: Function) -> Function:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            at(before)
            result = function(*args, **kwargs)
            at(after)
            return result

        return wrapped

    return wrap


def part_of(name: Callable[[Any], str]) -> Wrap:
    """A wrapper for what a process does: `name` is of its first argument."""

    def wrap(function: Function) -> Function:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            part = name(args[0])
            begin(part)
            result = function(*args, **kwargs)
            end(part)
            return result

        return wrapped

    return wrap


class Watched:
    """An engine whose answers are counted, delayed and noted."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def generate(self, requests: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for position, result in self._engine.generate(requests):
            self._answered("response", requests[position].seed)
            yield position, result

    def loglikelihoods(self, requests: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for position, result in self._engine.loglikelihoods(requests):
            self._answered("choice", result.logprob)
            yield position, result

    def _answered(self, kind: str, what: object) -> None:
        time.sleep(TOLD.get("pause", 0.0))
        note("asked", kind, what)
        at("answer")


def watched_engine(load: Function) -> Function:
    @functools.wraps(load)
    def wrapped(*args: Any, **kwargs: Any) -> Watched:
        return Watched(load(*args, **kwargs))

    return wrapped


def watched_findings(findings: Function) -> Function:
    @functools.wraps(findings)
    def wrapped(work: Any, items: Sequence[Any], *rest: Any) -> Iterator[tuple[int, Any]]:
        for position, finding in findings(work, items, *rest):
            time.sleep(TOLD.get("pause", 0.0))
            prompt = hashlib.sha256(items[position].prompt.encode()).hexdigest()[:16]
            note("found", prompt, work.judge.key)
            at("finding")
            yield position, finding

    return wrapped


def replacing(replace: Function) -> Function:
    @functools.wraps(replace)
    def wrapped(draft: Any, target: Any) -> Any:
        State.file = pathlib.Path(target).name
        at("draft")
        result = replace(draft, target)
        at("replaced")
        return result

    return wrapped


def syncing(sync: Function) -> Function:
    @functools.wraps(sync)
    def wrapped(descriptor: Any) -> None:
        State.file = pathlib.Path(f"/proc/self/fd/{descriptor}").readlink().name
        at("fsync")
        sync(descriptor)

    return wrapped


def torn_lines(write: Function) -> Function:
    @functools.wraps(write)
    def wrapped(appender: Any, data: bytes) -> None:
        at("line")
        if happened("torn"):
            write(appender, data[: max(1, len(data) // 2)])
            strike("torn")
        write(appender, data)
        at("lined")

    return wrapped


PATCHES: dict[str, dict[str, Wrap]] = {
    "bfpo_bench.pipeline": {"execute": part_of(lambda plan: "main")},
    "bfpo_bench.stages.respond": {"respond": part_of(lambda job: "respond")},
    "bfpo_bench.stages.judge": {"judge": part_of(lambda job: f"judge {job.work.judge.key}")},
    "bfpo_bench.engines.select": {"load_engine": watched_engine},
    "bfpo_bench.judges.running.run": {"findings": watched_findings},
    "bfpo_bench.judges.cache": {"FindingCache.add": around("remember", "remembered")},
    "bfpo_bench.runs.jsonl": {"Appender._write": torn_lines},
}


def patch(module: ModuleType, patches: dict[str, Wrap]) -> None:
    for path, wrap in patches.items():
        *owners, name = path.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, name, wrap(getattr(owner, name)))


class Patching(importlib.abc.MetaPathFinder):
    """Wraps the functions of PATCHES as soon as their module has been imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in PATCHES:
            return None
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            patch(module, PATCHES[name])

        spec.loader.exec_module = exec_module
        return spec


if TOLD:
    # The command is the first of its processes to come here, and the others inherit what it says
    os.environ.setdefault("TORTURE_MAIN", str(os.getpid()))
    sys.meta_path.insert(0, Patching())
    pathlib.Path.replace = replacing(pathlib.Path.replace)  # type: ignore[method-assign]
    os.fsync = syncing(os.fsync)
