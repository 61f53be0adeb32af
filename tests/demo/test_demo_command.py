"""`bfpo-bench demo` as a new user starts it: a real training and a real run, without a hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import bench

from bfpo_bench.leaderboard.columns import CELL_COLUMNS
from bfpo_bench.leaderboard.rows import read_leaderboard


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder it ran in, and what it printed. Nothing listens where the hub would be."""
    folder = tmp_path_factory.mktemp("demo")
    done = bench(
        "demo",
        "--engine",
        "transformers",
        cwd=folder,
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_HOME=str(folder / "hf"),
        COLUMNS="80",
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_it_fills_all_four_cells(demo: tuple[Path, str]) -> None:
    """One full row, with a score and an interval in every cell."""
    row = read_leaderboard(demo[0] / "leaderboards" / "bfpo-demo.csv").iloc[0]
    assert not row["partial"]
    for column in ("helpfulness", "harmlessness", *CELL_COLUMNS.values(), "over_refusal"):
        assert row[f"{column}_ci_low"] <= row[column] <= row[f"{column}_ci_high"]


def test_the_model_has_learnt_to_refuse_and_to_answer(demo: tuple[Path, str]) -> None:
    """Not a recording: most mischief is refused and most errands are done, and neither is perfect."""
    [scores] = demo[0].glob("runs/*/scores.json")
    tasks = json.loads(scores.read_text())["tasks"]
    assert 60 < tasks["bfpo_demo_mischief"]["value"] < 100
    assert 60 < tasks["bfpo_demo_errands"]["value"] < 100
    for name in ("bfpo_demo_facts", "bfpo_demo_kindness"):
        assert tasks[name]["ci_low"] > tasks[name]["chance"]


def test_it_ends_with_the_table_and_where_to_look_next(demo: tuple[Path, str]) -> None:
    lines = demo[1].splitlines()
    assert any(line.startswith("bfpo-demo@1, comparability key") for line in lines)
    assert any(line.startswith("run: runs/demo-") for line in lines)
    assert lines[-4].strip().endswith("report runs")
    assert lines[-1].strip().endswith("run --model ID_OR_PATH --limit 50")
    assert max(len(line) for line in lines) <= 120
