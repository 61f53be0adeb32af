"""lm-eval's scoring in the respond stage, one task at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.stages import evaluate
from bfpo_bench.suite.documents import LoadedTask
from bfpo_bench.suite.suites import load_suite, select_tasks


def test_a_run_whose_every_discriminative_task_breaks_while_it_is_scored_still_has_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(tasks: Any, likelihoods: Any) -> Any:
        raise ValueError("'perhaps' is not in list")

    monkeypatch.setattr(evaluate, "evaluate", broken)
    [spec] = select_tasks(load_suite("bfpo"), "bfpo_winogrande")
    run, failed = RunFolder(tmp_path), dict[str, str]()
    evaluate.evaluate_tasks(run, [LoadedTask(spec, None, (0,), "", 1)], failed)
    assert "'perhaps' is not in list" in failed["bfpo_winogrande"]
    # What scoring reads, for the tasks that are left
    assert json.loads(run.results_file.read_text()) == {"results": {}}
