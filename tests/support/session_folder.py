"""A folder that all processes of a session of tests share: workers, commands and stages."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_VARIABLE = "BFPO_BENCH_TESTS"


def _made() -> Path:
    """By the first process that asks, which removes it at its end; its children find it named."""
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="bfpo-bench-tests-")
        atexit.register(shutil.rmtree, os.environ[_VARIABLE], ignore_errors=True)
    return Path(os.environ[_VARIABLE])


SESSION = _made()
