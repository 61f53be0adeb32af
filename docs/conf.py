"""How Sphinx builds these pages: `make docs`, without a network, every warning an error."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from written_pages import read_written  # noqa: E402

from bfpo_bench import __version__  # noqa: E402

project = "bfpo-bench"
author = "The bfpo-bench contributors"
version = release = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# A block of code without a language may be a shell's, YAML or Python
highlight_language = "none"
# It would make a dash of the two in --option
smartquotes = False

html_theme = "furo"
html_title = f"bfpo-bench {version}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False


def setup(app: object) -> None:
    app.connect("source-read", read_written)  # type: ignore[attr-defined]
