"""A report as a folder that opens from disk: index.html, assets/ and data/."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.report import vendor
from bfpo_bench.leaderboard.report.pages import GENERATOR, render
from bfpo_bench.runs.jsonl import write_atomically

if TYPE_CHECKING:
    from bfpo_bench.leaderboard.report.model import Page

PARTS = frozenset({"index.html", "assets", "data", "LICENCES.txt"})
_HEAD = 2000


def check_out(out: Path) -> None:
    """Raises UserError unless `out` is free: nothing, an empty folder, or an earlier report."""
    if out.is_dir():
        inside = {p.name for p in out.iterdir()}
        if not inside or (inside <= PARTS and _is_report(out / "index.html")):
            return
    elif not os.path.lexists(out):
        return
    raise UserError(
        f"{out} holds other things than a report: give another --out, or move them away."
    )


def write_report(out: Path, make: Callable[[Path], Page]) -> None:
    """Put a report into the folder `out`, whole or not at all; an earlier report there is replaced.

    `make` is given the folder that is being made, fills its data/, and returns the page. Raises
    UserError where `out` holds other things, or cannot be written.
    """
    check_out(out)
    out = out.resolve()
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    try:
        draft.mkdir(parents=True)
        page = make(draft)
        _write_assets(draft / "assets")
        write_atomically(draft / "LICENCES.txt", vendor.LICENCES)
        write_atomically(draft / "index.html", render(page))
        if out.exists():
            out.rename(old)
        draft.rename(out)
    except OSError as error:
        raise UserError(
            f"The report {out} cannot be written ({error.strerror or error}): give another --out."
        ) from error
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for left in (draft, old):
            shutil.rmtree(left, ignore_errors=True)


def _write_assets(folder: Path) -> None:
    with resources.as_file(resources.files(__package__) / "static") as static:
        shutil.copytree(static, folder)
    write_atomically(folder / "vega.js", vendor.vega())
    write_atomically(folder / "datatables.js", vendor.datatables())


def _is_report(index: Path) -> bool:
    try:
        with index.open(encoding="utf-8") as file:
            return f'content="{GENERATOR} ' in file.read(_HEAD)
    except (OSError, UnicodeDecodeError):
        return False
