"""Pages that are written elsewhere: the command reference by typer, and two READMEs of folders.

In docs/ each of them is a title alone, so that nothing there can go stale.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READMES = {"task-list": "tasks/README.md", "benchmarks": "benchmarks/README.md"}
"""Page of the site -> the README that it shows."""

_LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)]*)?\)")
_CODE = re.compile(r"`[^`\n]+`")


def read_written(app: object, page: str, source: list[str]) -> None:
    """Sphinx's `source-read`: gives a page its text, and points its links into the site.

    Raises CalledProcessError where typer cannot write the commands down.
    """
    if page == "commands":
        source[0] = commands()
    text = (ROOT / READMES[page]).read_text(encoding="utf-8") if page in READMES else source[0]
    folder = (ROOT / READMES[page]).parent if page in READMES else ROOT / "docs"
    source[0] = into_site(text, folder)


def commands() -> str:
    """Every command with its options, as typer's own tool writes them in Markdown."""
    words = ["-m", "typer", "bfpo_bench.cli.app", "utils", "docs"]
    words += ["--name", "bfpo-bench", "--title", "Commands"]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    # Typer escapes for HTML also what stands between backticks
    return _CODE.sub(lambda code: html.unescape(code[0]), done.stdout)


def into_site(text: str, folder: Path) -> str:
    """A page's links to files, which start from `folder`: to pages of the site where it has them,
    and else the file's name beside the link's words."""
    pages = {(ROOT / readme).resolve(): f"{page}.md" for page, readme in READMES.items()}

    def pointed(match: re.Match[str]) -> str:
        words, file, anchor = match[1], match[2], match[3] or ""
        target = (folder / file).resolve()
        if target.is_dir():
            target /= "README.md"
        if target in pages:
            return f"[{words}]({pages[target]}{anchor})"
        if target.parent == ROOT / "docs":
            return f"[{words}]({target.name}{anchor})"
        return f"{words} (`{target.relative_to(ROOT)}`)"

    return _LINK.sub(pointed, text)
