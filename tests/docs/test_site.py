"""The site as `make docs` builds it: no warning, no network, every page within reach."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROXY = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "all_proxy")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with warnings as errors; whatever would be fetched would find a closed door."""
    pytest.importorskip("furo", reason="the site needs pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    words = ["-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words, str(ROOT / "docs"), str(folder / "html")],
        env={**os.environ, **PROXY},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def test_typer_writes_the_command_reference(site: Path) -> None:
    from typer.main import get_command

    from bfpo_bench.cli.app import app

    commands = page(site, "commands")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert f'id="bfpo-bench-{name}"' in commands
        assert all(opt in commands for p in command.params for opt in p.opts if opt[:2] == "--")


def test_readmes_of_folders_are_pages(site: Path) -> None:
    assert "bfpo_advbench" in page(site, "task-list")
    assert "make torture" in page(site, "benchmarks")
    assert 'href="task-list.html"' in page(site, "architecture")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Links may lead out; scripts, styles, fonts and pictures are in the site."""
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//', text), file
        assert not re.search(r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//', text), file
    for file in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", file.read_text(encoding="utf-8")), file
