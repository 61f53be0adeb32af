"""`training.report_to`: what is logged arrives, under a name that says which training it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from bench import bench
from recipes import recipe
from training import ONE_THREAD, TINY

from bfpo_bench.training.loggers import logger_arguments


def named(tmp_path: Path, *loggers: str) -> dict[str, Any]:
    training = {"learning_rate": 1e-3, "report_to": list(loggers)}
    return logger_arguments(recipe(tmp_path / "o", training=training))


def test_without_a_logger_nothing_is_named(tmp_path: Path) -> None:
    assert named(tmp_path) == {}


def test_trackio_stays_on_this_disk(tmp_path: Path) -> None:
    assert named(tmp_path, "trackio") == {
        "run_name": "small",
        "project": "bfpo-bench",
        "trackio_space_id": None,
    }


def test_w_and_b_has_a_project_unless_the_user_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert named(tmp_path, "wandb") == {"run_name": "small"}
    assert os.environ["WANDB_PROJECT"] == "mine"
    monkeypatch.delenv("WANDB_PROJECT")
    named(tmp_path, "wandb")
    assert os.environ["WANDB_PROJECT"] == "bfpo-bench"


@pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed")
def test_h_its_target_and_its_residual_arrive_in_trackio(hub: str, tmp_path: Path) -> None:
    """Read by trackio's own command: at the second step everything that metrics.jsonl has of it."""
    own = {"TRACKIO_DIR": str(tmp_path / "trackio")}
    wanted = ("training.report_to=[trackio]", "training.logging_steps=1", "output=o")
    done = bench("train", *TINY, *wanted, cwd=tmp_path, **own, **ONE_THREAD)
    assert done.returncode == 0, done.stderr[-3000:]
    logged = [json.loads(x) for x in (tmp_path / "o" / "metrics.jsonl").read_text().splitlines()]
    last = [entry for entry in logged if "loss" in entry][-1]
    of = ("--project", "bfpo-bench", "--run", "two-cores-bfpo", "--step", "1", "--json")
    read = subprocess.run(
        [Path(sys.executable).with_name("trackio"), "get", "snapshot", *of],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    arrived = json.loads(read.stdout)["metrics"]
    told = {key: arrived[f"train/{key}"][0]["value"] for key in last if key != "step"}
    assert {"h/safe_safe", "target/safe_safe", "residual/safe_safe", "loss/buffer"} <= told.keys()
    assert told == pytest.approx({key: last[key] for key in told})
