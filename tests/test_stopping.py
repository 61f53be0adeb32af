"""A run that is stopped, or whose engine dies, says how to go on, leaves nothing running, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import stage_targets
from bench import REFUSER, STORIES, start
from commands import command

from bfpo_bench.cli.stopping import SENTENCE
from bfpo_bench.runs.lock import run_lock
from bfpo_bench.stages.process import StageCrash, run_stage
from bfpo_bench.stages.silence import Silence

RUN = ("run", "--engine", "null", "--tasks", "bfpo_advbench", "--limit", "20")


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def in_plan(cwd: Path, running: subprocess.Popen[str]) -> bool:
    assert running.stderr is not None
    return running.stderr.readline().startswith("plan: ")


def in_judge(cwd: Path, running: subprocess.Popen[str]) -> bool:
    return any(cwd.glob("runs/*/logs/judge-*.log"))


@pytest.mark.parametrize(
    ("moment", "number"),
    [(in_plan, signal.SIGHUP), (in_judge, signal.SIGTERM)],
)
def test_a_run_that_is_told_to_end(
    hub: str,
    tmp_path: Path,
    moment: Callable[[Path, subprocess.Popen[str]], bool],
    number: signal.Signals,
) -> None:
    running = start(*RUN, "--model", STORIES, cwd=tmp_path)
    while not moment(tmp_path, running):
        assert running.poll() is None
    others = family(running)
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130
    assert said.splitlines()[-1] == SENTENCE
    assert "Traceback" not in said
    # All but multiprocessing's tracker, which ends when it sees that the others have, are gone
    assert psutil.wait_procs(others, timeout=5)[1] == []


def test_an_engine_that_dies_takes_nothing_along(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two models breaks off at its third response of 20; the second has its row. Given
    again, the command asks the first for the other 17 and changes nothing that was stored."""
    both = (*RUN, "--model", STORIES, "--model", REFUSER)
    with monkeypatch.context() as patch:
        patch.setattr("bfpo_bench.pipeline.respond", stage_targets.respond_and_die)
        said = command(*both, cwd=tmp_path)
    assert said.code == 3
    assert f"{STORIES} (null engine): stage respond was ended by SIGSEGV; its log is " in (
        " ".join(said.out.split())
    )
    assert "the same command goes on from what is stored" in said.out
    [stories] = tmp_path.glob("runs/stories260K*")
    [refuser] = tmp_path.glob("runs/refuser*")
    before = (stories / "responses.jsonl").read_bytes()
    assert before.count(b"\n") == 3
    assert not (stories / "scores.json").exists()
    assert json.loads((refuser / "scores.json").read_text())["tasks"]["bfpo_advbench"]["n"] == 20

    assert command(*both, cwd=tmp_path).code == 0
    after = (stories / "responses.jsonl").read_bytes()
    assert after.startswith(before)
    documents = [json.loads(line)["doc_id"] for line in after.splitlines()]
    assert sorted(documents) == list(range(20))


def test_how_long_a_stage_may_hang_is_the_users_to_say(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.5 minutes are 90 seconds, for both stages of `run` and for `judge`; 0 is for ever. A judge that
    hangs leaves its tasks unscored, and the run is the same run whatever was said."""
    asked: list[tuple[str, float | None]] = []

    def hangs(name: str, *_: Any, stall_seconds: float | None, log: Path, **__: Any) -> None:
        asked.append((name, stall_seconds))
        raise StageCrash(name, Silence(stall_seconds).reason(), log)

    def goes_on(name: str, *given: Any, stall_seconds: float | None, **options: Any) -> Any:
        asked.append((name, stall_seconds))
        return run_stage(name, *given, stall_seconds=stall_seconds, **options)

    monkeypatch.setattr("bfpo_bench.pipeline.run_stage", goes_on)
    monkeypatch.setattr("bfpo_bench.assess.run_stage", hangs)
    run = (*RUN, "--model", STORIES, "--judge", "refusal")
    said = command(*run, "--stall-timeout", "1.5", cwd=tmp_path)
    assert said.code == 3
    assert "judge refusal broke off: stage judge-refusal made no progress for 6 minutes" in said.err
    assert asked == [("respond", 90), ("judge-refusal", 90)]

    [folder] = tmp_path.glob("runs/*")
    asked.clear()
    judge = ("judge", str(folder), "--judge", "refusal")
    assert command(*judge, "--stall-timeout", "2", cwd=tmp_path).code == 3
    assert command(*run, "--stall-timeout", "0", cwd=tmp_path).code == 3
    assert asked == [("judge-refusal", 120), ("judge-refusal", None)]
    assert list(tmp_path.glob("runs/*")) == [folder]

    said = command(*run, "--stall-timeout", "-1", cwd=tmp_path)
    assert said.code == 2
    assert "--stall-timeout" in said.err


def test_a_run_that_another_command_works_on(hub: str, tmp_path: Path) -> None:
    run = (*RUN, "--model", STORIES)
    assert command(*run, cwd=tmp_path).code == 0
    [folder] = tmp_path.glob("runs/*")
    shown = folder.relative_to(tmp_path)
    with run_lock(folder):
        for second in (run, ("judge", str(shown), "--judge", "refusal")):
            said = command(*second, cwd=tmp_path)
            assert said.code == 2
            assert said.error.startswith(
                f"error: Another bfpo-bench is working on {shown} (process {os.getpid()} on "
            )
