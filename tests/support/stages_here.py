"""Stages in the test's own process: each of their own would load torch and lm-eval anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bfpo_bench import assess, pipeline
from bfpo_bench.progress import Report


def stages_here(patch: pytest.MonkeyPatch) -> None:
    """For tests that are not about processes: `patch` puts the stages of `run` into this one."""

    def here(
        name: str,
        target: Callable[[Any, Report], Any],
        job: Any,
        *,
        log: Path,
        report: Report,
        **_: Any,
    ) -> Any:
        return target(job, report)

    for module in (pipeline, assess):
        patch.setattr(module, "run_stage", here)
