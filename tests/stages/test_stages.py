"""A stage's process gives its result, or one clause why not; and nothing of it outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import stage_targets as targets
from bench import hear_ctrl_c

from bfpo_bench.errors import UserError
from bfpo_bench.stages.process import Progress, StageCrash, run_stage


def run(target: Callable[..., Any], job: Any, log: Path, **options: Any) -> Any:
    return run_stage("respond", target, job, log=log, report=lambda _: None, **options)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "respond.log"


def wait_until(true: Callable[[], bool], seconds: float = 60) -> bool:
    for _ in range(int(seconds / 0.05)):
        if true():
            return True
        time.sleep(0.05)
    return False


def alive(process: int) -> bool:
    """Whether it still runs; a dead one that nobody has waited for does not."""
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ids(file: Path) -> list[int]:
    assert wait_until(file.exists)
    return [int(number) for number in file.read_text().split()]


class TestResults:
    def test_the_result_comes_from_another_process(self, log: Path) -> None:
        result = run(targets.add, (2, 3), log)
        assert result["sum"] == 5
        assert result["process"] != os.getpid()

    def test_progress_comes_before_it(self, log: Path) -> None:
        seen: list[Progress] = []

        def report(progress: Progress) -> None:
            seen.append(progress)

        run_stage("respond", targets.add, (2, 3), log=log, report=report)
        assert seen == [Progress("adding", 1, 2), Progress("adding", 2, 2)]

    def test_what_is_said_aloud_comes_at_once_and_stands_in_the_log(self, log: Path) -> None:
        seen: list[Progress] = []
        run_stage("respond", targets.speak_up, None, log=log, report=seen.append)
        assert seen == [
            Progress("asking", 1, 9),
            Progress("asking", 1, 9, "somebody is away"),
            Progress("asking", 9, 9),
        ]
        assert log.read_text() == "somebody is away\n"

    def test_the_environment_is_the_stages_alone(self, log: Path) -> None:
        environment = {"BFPO_BENCH_TEST": "word"}
        assert run(targets.read_variable, "BFPO_BENCH_TEST", log, environment=environment) == "word"
        assert "BFPO_BENCH_TEST" not in os.environ

    def test_what_a_stage_leaves_running_ends_with_it(self, log: Path, tmp_path: Path) -> None:
        assert run(targets.leave_children_and_return, str(tmp_path / "ids"), log) == "done"
        stage, child = ids(tmp_path / "ids")
        assert wait_until(lambda: not alive(stage) and not alive(child))


class TestFaults:
    def test_a_user_error_crosses(self, log: Path) -> None:
        with pytest.raises(UserError, match=r"^The thing is wrong: mend it\.$"):
            run(targets.name_a_mend, None, log)

    def test_an_exit_without_a_result(self, log: Path) -> None:
        with pytest.raises(StageCrash) as crash:
            run(targets.exit_with, 7, log)
        assert crash.value.reason == "ended with exit status 7"
        assert str(crash.value) == f"stage respond ended with exit status 7; its log is {log}"

    def test_a_kill_hints_at_memory(self, log: Path) -> None:
        with pytest.raises(StageCrash) as crash:
            run(targets.be_killed, None, log)
        assert crash.value.reason == "was ended by SIGKILL (out of memory?)"

    def test_a_bug_is_one_line_and_its_traceback_is_in_the_log(self, log: Path) -> None:
        with pytest.raises(StageCrash) as crash:
            run(targets.have_a_bug, None, log)
        assert crash.value.reason == "failed (ZeroDivisionError: there is a bug)"
        written = log.read_text()
        assert "about to divide" in written
        assert "Traceback" in written
        assert "and more about it" in written

    def test_a_result_that_cannot_be_sent_is_a_bug(self, log: Path) -> None:
        with pytest.raises(StageCrash, match="pickle"):
            run(targets.answer_with_a_lock, None, log)

    def test_a_full_disk_is_the_users_to_mend(self, log: Path) -> None:
        with pytest.raises(UserError) as error:
            run(targets.fill_the_disk, "runs/a/responses.jsonl", log)
        assert str(error.value) == (
            "Writing runs/a/responses.jsonl failed (No space left on device): free some space and "
            "give the same command again; what was finished is kept."
        )

    def test_a_device_that_is_really_full(self, log: Path) -> None:
        with pytest.raises(UserError, match="No space left on device"):
            run(targets.write_to_the_full_device, None, log)

    def test_another_system_error_is_a_bug(self, log: Path, tmp_path: Path) -> None:
        with pytest.raises(StageCrash, match="FileNotFoundError"):
            run(targets.miss_a_file, str(tmp_path / "none"), log)

    def test_a_death_is_noticed_while_a_fork_holds_the_pipe(
        self, log: Path, tmp_path: Path
    ) -> None:
        """vLLM forks its engine: when the stage is killed, its pipe does not close."""
        with pytest.raises(StageCrash, match="exit status 7"):
            run(targets.leave_a_fork_and_die, str(tmp_path / "ids"), log)
        assert wait_until(lambda: not any(alive(p) for p in ids(tmp_path / "ids")))

    def test_a_death_takes_a_daemon_along(self, log: Path, tmp_path: Path) -> None:
        """One that left the stage's session, and has no parent when the stage is dead."""
        with pytest.raises(StageCrash) as crash:
            run(targets.leave_a_daemon_and_die, str(tmp_path / "ids"), log)
        assert crash.value.reason == "was ended by SIGSEGV"
        assert not any(alive(p) for p in ids(tmp_path / "ids"))


class TestProgress:
    def told(self, log: Path, sent: list[Progress]) -> list[Progress]:
        seen: list[Progress] = []

        def report(progress: Progress) -> None:
            seen.append(progress)

        run_stage("respond", targets.tell, sent, log=log, report=report)
        return seen

    def test_a_flood_does_not_come_through(self, log: Path) -> None:
        """Ten a second: 20,000 that are told within a few seconds become some dozens."""
        total = 20_000
        seen = self.told(log, [Progress("responses", n, total) for n in range(total + 1)])
        assert seen[0] == Progress("responses", 0, total)
        assert seen[-1] == Progress("responses", total, total)
        assert len(seen) < total / 50

    def test_every_phase_is_told_of(self, log: Path) -> None:
        sent = [Progress(f"loading task {n}") for n in range(30)]
        assert self.told(log, sent) == sent


class TestStalls:
    def test_a_stage_that_hangs_is_ended_with_all_it_started(
        self, log: Path, tmp_path: Path
    ) -> None:
        job = (Progress("responses", 1, 9), str(tmp_path / "ids"))
        with pytest.raises(StageCrash) as crash:
            run(targets.tell_and_hang, job, log, stall_seconds=2)
        assert crash.value.reason == (
            "made no progress for 2 seconds (give the same command again, or a longer "
            "--stall-timeout)"
        )
        assert not any(alive(p) for p in ids(tmp_path / "ids"))


PARENT = """
    import sys
    sys.path[:] = {path!r}
    import os
    from pathlib import Path
    from stage_targets import {target}
    from bfpo_bench.stages.process import run_stage

    if __name__ == "__main__":
        folder = Path({folder!r})
        # Descriptors of two digits, as where sockets and files are open
        opened = [os.dup(0) for _ in range(20)]
        run_stage("respond", {target}, str(folder / "ids"), log=folder / "log",
                  report=lambda progress: None)
"""


@pytest.fixture(params=["leave_children", "leave_a_daemon"])
def family(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A parent that runs a stage that has children, or a daemon: its process, and the others' ids."""
    script = tmp_path / "parent.py"
    code = PARENT.format(path=sys.path, folder=str(tmp_path), target=request.param)
    script.write_text(textwrap.dedent(code))
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )
    try:
        others = ids(tmp_path / "ids")
        assert all(alive(p) for p in others)
        yield parent, others
    finally:
        parent.kill()
        parent.wait(timeout=60)


class TestOrphans:
    def test_a_killed_parent_leaves_nothing_behind(
        self, family: tuple[subprocess.Popen[bytes], list[int]]
    ) -> None:
        parent, others = family
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=60)
        assert wait_until(lambda: not any(alive(p) for p in others)), others

    def test_nor_does_a_parent_that_is_told_to_end(
        self, family: tuple[subprocess.Popen[bytes], list[int]]
    ) -> None:
        parent, others = family
        parent.terminate()
        parent.wait(timeout=60)
        assert wait_until(lambda: not any(alive(p) for p in others)), others

    def test_ctrl_c_ends_the_stage_first(
        self, family: tuple[subprocess.Popen[bytes], list[int]]
    ) -> None:
        parent, others = family
        parent.send_signal(signal.SIGINT)
        said = parent.communicate()[1]
        assert b"KeyboardInterrupt" in said
        assert parent.returncode in (1, 130, -signal.SIGINT)
        assert wait_until(lambda: not any(alive(p) for p in others)), others

    def test_a_killed_stage_takes_its_children_along(
        self, family: tuple[subprocess.Popen[bytes], list[int]]
    ) -> None:
        parent, others = family
        os.kill(others[0], signal.SIGKILL)
        said = parent.communicate(timeout=60)[1]
        assert b"was ended by SIGKILL" in said
        assert wait_until(lambda: not any(alive(p) for p in others)), others
