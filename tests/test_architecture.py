"""Imports point one way, heavy ones wait until they are needed, and modules stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "bfpo_bench"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Rooms of the pure part, which must not know who answers, how stages run, or who asks
PURE = ("scoring", "leaderboard", "runs")
ABOVE_PURE = (
    "engines",
    "stages",
    "pipeline",
    "plan",
    "cli",
    "demo",
    "doctor",
    "training",
    "sweep",
    "hub",
)
# What takes seconds or a GPU
MODELS = (
    "torch",
    "transformers",
    "vllm",
    "lm_eval",
    "datasets",
    "peft",
    "accelerate",
    "ray",
    "trl",
)
# What the command line starts without, so that --help answers at once
SLOW = (*MODELS, "pandas", "numpy", "huggingface_hub", "pydantic", "yaml", "statsmodels", "scipy")


def dotted(path: Path) -> str:
    parts = ("bfpo_bench", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that the file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def rooms(path: Path) -> set[str]:
    """The rooms (first names under bfpo_bench) that the file imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("bfpo_bench.")}


def loaded_after(code: str) -> set[str]:
    """Top-level names in sys.modules after `code` ran in a process of its own."""
    script = f"{code}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_import_nothing_above_them(room: str) -> None:
    for path in sorted((PACKAGE / room).glob("*.py")):
        assert not rooms(path) & set(ABOVE_PURE), path.name
        assert not {name.split(".")[0] for name in imports(path)} & set(MODELS), path.name


def test_pure_rooms_load_no_model_library() -> None:
    """Also not by way of what they import in turn."""
    names = [dotted(p) for room in PURE for p in sorted((PACKAGE / room).glob("*.py"))]
    loaded = loaded_after("\n".join(f"import {name}" for name in names))
    assert "pandas" in loaded
    assert not loaded & set(MODELS)


def test_the_command_line_starts_light() -> None:
    loaded = loaded_after("import bfpo_bench.cli.app")
    assert "typer" in loaded
    assert not loaded & set(SLOW)


@pytest.mark.parametrize("room", ["suite", "engines", "judges", *PURE])
def test_rooms_below_the_pipeline_do_not_know_it(room: str) -> None:
    for path in sorted((PACKAGE / room).rglob("*.py")):
        assert not rooms(path) & {"pipeline", "plan", "stages", "cli"}, path.name


def test_nothing_but_the_command_line_knows_the_command_line() -> None:
    for path in MODULES:
        if path.parent.name != "cli" and path != PACKAGE / "__main__.py":
            assert "cli" not in rooms(path), path


def test_one_place_knows_all_stages() -> None:
    """Whoever starts the respond stage and has its responses assessed is the pipeline."""
    wanted = {"bfpo_bench.stages.respond", "bfpo_bench.assess"}
    assert [p.name for p in MODULES if wanted <= imports(p)] == ["pipeline.py"]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_fit_a_reader(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
