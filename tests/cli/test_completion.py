"""What the shell completes, asked for as bash asks; no model library is imported on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import environment

from bfpo_bench.cli import complete
from bfpo_bench.judges.load import judge_names
from bfpo_bench.suite.suites import suite_names
from bfpo_bench.training.recipe import shipped

HEAVY = {"torch", "transformers", "datasets", "pandas", "numpy", "yaml", "huggingface_hub", "httpx"}


def completed(line: str, folder: Path) -> list[str]:
    """The words that bash is offered at the end of `line`."""
    code = (
        "import atexit, json, pathlib, sys\n"
        "told = lambda: pathlib.Path('modules.json').write_text(json.dumps(sorted(sys.modules)))\n"
        "atexit.register(told)\n"
        "sys.argv = ['bfpo-bench']\n"
        "from bfpo_bench.cli.app import main\n"
        "main()\n"
    )
    asked = {"_BFPO_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": line}
    asked["COMP_CWORD"] = str(line.count(" "))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(**asked),
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert not HEAVY & set(json.loads((folder / "modules.json").read_text()))
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bfpo-bench lea", ["leaderboard"]),
        ("bfpo-bench run --engine tr", ["transformers"]),
        ("bfpo-bench judge runs/a", ["runs/a-1"]),
    ],
)
def test_the_shell_is_offered(line: str, offered: list[str], tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a-1"
    run.mkdir(parents=True)
    (run / "manifest.json").write_text("{}")
    assert completed(line, tmp_path) == offered


class TestNames:
    """Found without reading a file, they are what the program knows."""

    def test_suites(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mine.yaml").touch()
        assert complete.suites("") == sorted([*suite_names(), "mine.yaml"])
        assert complete.suites("bfpo-q") == ["bfpo-quick"]

    def test_files_in_a_folder_that_was_begun(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own" / "deeper").mkdir(parents=True)
        (tmp_path / "own" / "mine.yaml").touch()
        assert complete.suites("own/") == ["own/deeper/", "own/mine.yaml"]

    def test_judges(self) -> None:
        assert complete.judges("") == sorted(judge_names())

    def test_recipes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert complete.recipes("") == sorted(shipped())

    def test_the_task_after_the_last_comma(self) -> None:
        assert complete.tasks("bfpo_alert,bfpo_xstest_s") == ["bfpo_alert,bfpo_xstest_safe"]

    def test_a_run_whose_name_is_two_lines_is_not_offered(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("a\nb", "good"):
            (tmp_path / "runs" / name).mkdir(parents=True)
            (tmp_path / "runs" / name / "manifest.json").touch()
        assert complete.runs("") == ["runs/good"]
