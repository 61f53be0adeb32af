"""The commands that only look: they answer, load no model, and print JSON where asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import REFUSER, STORIES, bench, environment
from commands import command

from bfpo_bench import __version__

COMMANDS = (
    (),
    ("run",),
    ("plan",),
    ("tasks",),
    ("judges",),
    ("judges", "list"),
    ("judges", "evaluate"),
    ("judge",),
    ("winrate",),
    ("data",),
    ("data", "lock"),
    ("data", "verify"),
    ("data", "pull"),
    ("contamination",),
    ("leaderboard",),
    ("leaderboard", "show"),
    ("leaderboard", "add"),
    ("leaderboard", "merge"),
    ("leaderboard", "export"),
    ("leaderboard", "plot"),
    ("report",),
    ("compare",),
    ("runs",),
    ("runs", "list"),
    ("runs", "export"),
    ("push",),
    ("doctor",),
    ("demo",),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help(words: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*words, "--help", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "Usage: " in done.out
    assert " ".join(("bfpo-bench", *words)) in " ".join(done.out.split())


def test_help_of_the_module(tmp_path: Path) -> None:
    """In a process of its own, and started by its other name."""
    done = bench("run", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage: python -m bfpo_bench run" in " ".join(done.stdout.split())


HEAVY = ["torch", "transformers", "vllm", "datasets", "lm_eval", "pandas", "numpy"]


def imported_by(*words: str, cwd: Path) -> set[str]:
    """Which heavy libraries the command's process has imported by its end."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('IMPORTED', *[m for m in {HEAVY!r} if m in sys.modules]))\n"
        f"sys.argv = ['bfpo-bench', *{list(words)!r}]\n"
        "from bfpo_bench.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("IMPORTED").split())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    assert imported_by("--help", cwd=tmp_path) == set()


def test_a_plan_imports_no_model_library(hub: str, tmp_path: Path) -> None:
    words = (
        "plan",
        "--model",
        STORIES,
        "--judge",
        f"yesno={REFUSER}",
        "--engine",
        "transformers",
    )
    assert not imported_by(*words, cwd=tmp_path) & {"torch", "transformers", "vllm", "lm_eval"}


class TestTasks:
    def test_path_is_all_that_it_prints(self, tmp_path: Path) -> None:
        done = command("tasks", "--path", cwd=tmp_path)
        folder = Path(done.out.strip())
        assert done.out == f"{folder}\n"
        assert list(folder.rglob("bfpo_advbench.yaml"))

    def test_the_list(self, tmp_path: Path) -> None:
        printed = command("tasks", "--json", cwd=tmp_path)
        tasks = {t["name"]: t for t in json.loads(printed.out)}
        assert tasks["bfpo_advbench"]["cell"] == "harmlessness/generative"
        shown = command("tasks", "--long", cwd=tmp_path)
        assert shown.code == 0
        assert "advbench" in shown.out


class TestPlan:
    def test_json(self, hub: str, tmp_path: Path) -> None:
        done = command(
            *("plan", "--model", STORIES, "--model", REFUSER, "--limit", "7", "--seed", "3"),
            *("--engine", "transformers", "--json"),
            cwd=tmp_path,
        )
        assert done.code == 0, done.err
        plan = json.loads(done.out)
        assert [m["model"] for m in plan["models"]] == [STORIES, REFUSER]
        assert all(m["engine"] == "transformers" for m in plan["models"])
        assert plan["partial"] is True
        assert plan["settings"]["limit"] == 7
        assert plan["settings"]["seed"] == 3
        tasks = {t["task"]: t for t in plan["tasks"]}
        assert tasks["bfpo_bbq_ambig"]["requests"] == 7 * 12
        assert len(tasks["bfpo_advbench"]["data"]["sha"]) == 40
        assert tasks["bfpo_advbench"]["judges"] == ["harm", "refusal"]
        assert not (tmp_path / "runs").exists()

    def test_the_run_it_names_is_the_one_that_run_makes(self, hub: str, tmp_path: Path) -> None:
        options = (
            *("--model", STORIES, "--tasks", "bfpo_xstest_safe", "--limit", "1"),
            *("--engine", "transformers", "--max-new-tokens", "4"),
        )
        [planned] = json.loads(command("plan", *options, "--json", cwd=tmp_path).out)["models"]
        done = command("run", *options, "--json", cwd=tmp_path)
        assert done.code == 0, done.err
        [ran] = json.loads(done.out)
        assert ran["run"] == planned["run"]
        assert ran["fault"] is None
        assert ran["scores"]["model"] == STORIES
        # What the run left is what the leaderboard shows
        board = ("--leaderboard", "leaderboards/bfpo.csv")
        shown = command("leaderboard", "show", *board, cwd=tmp_path)
        assert shown.code == 0, shown.err
        assert "PARTIAL" in shown.out
        [block] = json.loads(command("leaderboard", "show", *board, "--json", cwd=tmp_path).out)
        assert [row["model"] for row in block["rows"]] == [STORIES]
        exported = command("leaderboard", "export", *board, cwd=tmp_path)
        assert exported.out == (tmp_path / "leaderboards" / "bfpo.csv").read_text()
        for form in ("markdown", "json"):
            file = tmp_path / f"board.{form}"
            arguments = ("export", *board, "--format", form, "--output", str(file))
            assert command("leaderboard", *arguments, cwd=tmp_path).code == 0
            assert STORIES in file.read_text()

    def test_a_judge_that_cannot_be_had_makes_the_row_partial(
        self, hub: str, tmp_path: Path
    ) -> None:
        """The hub here lacks the model of `toxicity`, which joined by itself: as `run` will say."""
        plan = json.loads(command("plan", "--suite", "bfpo", "--json", cwd=tmp_path).out)
        [reason] = plan["partial_reasons"]
        assert reason == (
            "judge toxicity is left out, unscored: bfpo_realtoxicityprompts_challenge"
        )
        assert plan["partial"] is True
        said = command("plan", "--limit", "3", cwd=tmp_path).out
        assert f"row: partial (--limit 3; {reason}), into leaderboards/bfpo.csv" in said

    def test_the_suite_alone_needs_no_model(self, hub: str, tmp_path: Path) -> None:
        done = command("plan", cwd=tmp_path)
        assert done.code == 0, done.err
        assert "crows_pairs_english" in done.out


class TestLeaderboard:
    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        done = command("leaderboard", "show", cwd=tmp_path)
        assert done.code == 2
        assert done.err.startswith(
            "error: There is no leaderboard leaderboards/bfpo.csv: run a model"
        )

    def test_an_unknown_format(self, tmp_path: Path) -> None:
        done = command("leaderboard", "export", "--format", "jsn", cwd=tmp_path)
        assert done.code == 2
        assert "There is no format 'jsn' (did you mean json?)" in done.err


def test_judges(tmp_path: Path) -> None:
    printed = json.loads(command("judges", "list", "--json", cwd=tmp_path).out)
    assert {"refusal", "harm", "yesno", "harmbench"} <= {j["name"] for j in printed}
    shown = command("judges", "list", cwd=tmp_path)
    assert "yesno=MODEL" in shown.out


def test_the_version(tmp_path: Path) -> None:
    done = bench("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"bfpo-bench {__version__}\n")


def test_a_word_that_is_no_command(tmp_path: Path) -> None:
    done = bench("rnu", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(hub: str, tmp_path: Path) -> None:
    done = bench("plan", "--model", "no/such/folder", "--debug", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_an_argument_that_no_file_could_hold_is_refused(tmp_path: Path) -> None:
    done = bench("run", "--model", os.fsdecode(b"\xff"), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: An argument is not UTF-8 text: write it as such.\n"
