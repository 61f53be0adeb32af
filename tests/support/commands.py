"""The command in this process, which saves seconds of imports: stages still get their own."""

from __future__ import annotations

import io
import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench import CACHE, bench


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on stderr, where a sentence for the user stands."""
        return self.err.splitlines()[-1]


def command(*arguments: str, cwd: Path, cache: Path = CACHE, **changes: str) -> Said:
    """`bfpo-bench ARGUMENTS` in `cwd`; in a process of its own where `changes` make the environment
    another, which libraries read as they are imported."""
    if changes:
        done = bench(*arguments, cwd=cwd, **{"BFPO_BENCH_CACHE": str(cache), **changes})
        return Said(done.returncode, done.stdout, done.stderr)
    from bfpo_bench.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        chdir(cwd),
        patch.object(sys, "argv", ["bfpo-bench", *arguments]),
        patch.dict(os.environ, {"BFPO_BENCH_CACHE": str(cache), "COLUMNS": "200"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    return Said(code, out.getvalue(), err.getvalue())
