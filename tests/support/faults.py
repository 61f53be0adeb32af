"""A finished small run to damage, and the command in this process, stages included, to see what it says."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import Said, command
from judge_server import Asked, JudgeServer, Sent, says
from rule_judges import rule_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.torture import stored
from benchmarks.torture.workload import Workload, build
from bfpo_bench.errors import DISK_FAULTS, UserError, disk_sentence
from bfpo_bench.progress import Report
from bfpo_bench.stages.process import StageCrash, run_stage

RESPONSES = 40


def stage_here(
    name: str, target: Callable[[Any, Report], Any], job: Any, *, log: Path, **_: Any
) -> Any:
    """`run_stage` without the process, which saves the seconds of its imports."""
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
            return target(job, lambda progress: None)
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_FAULTS:
            raise UserError(disk_sentence(error)) from error
        raise StageCrash(name, f"failed ({type(error).__name__}: {error})", log) from error


@dataclass(frozen=True)
class Bench:
    """A finished run in `whole`, which nobody changes, and what `again` says over a damaged copy."""

    workload: Workload
    whole: Path
    arguments: tuple[str, ...]

    def copy(self, to: Path) -> Damaged:
        """A copy of the finished run, with the times of its files, so that its seals hold."""
        shutil.copytree(self.whole, to, dirs_exist_ok=True)
        return Damaged(self, to)


@dataclass(frozen=True)
class Damaged:
    """A copy of the run, whose files a test changes before it gives the same command again; `cache`:
    a folder outside of `cwd` for it."""

    bench: Bench
    cwd: Path
    cache: Path | None = None

    def again(self, *more: str) -> Said:
        """The same command."""
        return command(
            *self.bench.arguments, *more, cwd=self.cwd, cache=self.cache or self.cwd / "cache"
        )

    @property
    def run(self) -> Path:
        [found] = self.cwd.glob("runs/*/")
        return found

    def file(self, name: str) -> Path:
        """A file of the run, or of the folder that it lies in."""
        for folder in (self.run, self.cwd):
            found = sorted(folder.glob(name))
            if found:
                return found[0]
        raise FileNotFoundError(name)

    def scores(self) -> bytes:
        return (self.run / "scores.json").read_bytes()

    def same(self) -> bool:
        """Whether scores and row are those of the run that nobody damaged. The row's date, which says
        when it was last scored, may be another."""
        whole = Damaged(self.bench, self.bench.whole)
        same_row = stored.board(self.cwd) == stored.board(whole.cwd)
        return same_row and self.scores() == whole.scores()


@contextmanager
def stages_here() -> Iterator[None]:
    """Stages run in this process."""
    import bfpo_bench.assess
    import bfpo_bench.judging
    import bfpo_bench.merge_shards
    import bfpo_bench.pipeline
    import bfpo_bench.training.redteam.given
    import bfpo_bench.training.stage

    modules = (
        bfpo_bench.assess,
        bfpo_bench.judging,
        bfpo_bench.merge_shards,
        bfpo_bench.pipeline,
        bfpo_bench.training.redteam.given,
        bfpo_bench.training.stage,
    )
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "run_stage", stage_here)
        yield


@contextmanager
def judges_apart() -> Iterator[None]:
    """Within `stages_here`: judges have processes of their own again, which may die."""
    import bfpo_bench.assess
    import bfpo_bench.judging
    import bfpo_bench.training.redteam.given

    modules = (bfpo_bench.assess, bfpo_bench.judging, bfpo_bench.training.redteam.given)
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "run_stage", run_stage)
        yield


def rate(asked: Asked) -> Sent:
    """A grade that hangs on the question."""
    return says(f"So.\nrating: {len(asked.text) % 9 + 1}")


@contextmanager
def finished_run(folder: Path) -> Iterator[Bench]:
    """A run of every kind of file: choices, answers, judges that cost nothing, a panel of two judges
    of harm, and a judge behind a server, whose verdicts are remembered in the cache."""
    workload = build(folder, RESPONSES)
    whole = folder / "whole"
    whole.mkdir()
    other = rule_folder(
        folder / "other",
        "harm",
        '"harmful" if len(prompt) % 2 else "harmless"',
        prompts="[harmful]",
    )
    with JudgeServer(rate) as server, stages_here(), _quiet_hub():
        named = ("--judge", "harm", "--judge", str(other))
        bench = Bench(workload, whole, workload.command(*named, judge_url=server.url))
        said = command(*bench.arguments, cwd=whole, cache=whole / "cache")
        assert said.code == 0, said.err
        yield bench


@contextmanager
def _quiet_hub() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("OPENAI_"):
                patch.delenv(name)
        yield
