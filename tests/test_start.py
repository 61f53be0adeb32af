"""What the commands that only look load: nothing that takes seconds, and for help next to nothing.

How long they take is measured by benchmarks/start.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import environment

HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "pyarrow",
    "vllm",
    "lm_eval",
    "accelerate",
    "peft",
    "trl",
    "ray",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "statsmodels",
    "huggingface_hub",
    "httpx",
    "multiprocessing",
}
"""What takes a tenth of a second or more to import, or loads what does."""
READERS = {"yaml", "jinja2"}
"""What reads suites, tasks and judges: help reads none of them."""


def loaded(words: list[str], folder: Path) -> set[str]:
    """Top-level names in sys.modules at the end of `bfpo-bench WORDS`."""
    found = folder / "modules.json"
    code = (
        "import atexit, json, pathlib, sys\n"
        "def told():\n"
        "    names = sorted({name.split('.')[0] for name in sys.modules})\n"
        f"    pathlib.Path({str(found)!r}).write_text(json.dumps(names))\n"
        "atexit.register(told)\n"
        f"sys.argv = ['bfpo-bench', *{words!r}]\n"
        "from bfpo_bench.cli.app import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(json.loads(found.read_text()))


@pytest.mark.parametrize("words", ["tasks", "tasks --long", "tasks --json", "judges list"])
def test_lists_load_nothing_heavy(words: str, tmp_path: Path) -> None:
    modules = loaded(words.split(), tmp_path)
    assert {"typer", "pydantic"} <= modules
    assert not modules & HEAVY


def test_help_loads_next_to_nothing(tmp_path: Path) -> None:
    """Not even pydantic, with which typer itself reads the options of a command."""
    modules = loaded(["--help"], tmp_path)
    assert "typer" in modules
    assert not modules & (HEAVY | READERS | {"pydantic"})


@pytest.mark.parametrize(
    "words", ["run --help", "train --help", "judges --help", "leaderboard show --help"]
)
def test_help_of_a_command_loads_nothing_heavy(words: str, tmp_path: Path) -> None:
    assert not loaded(words.split(), tmp_path) & (HEAVY | READERS)
