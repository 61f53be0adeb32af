"""Other people's JavaScript that a report ships: Vega's from vl-convert, DataTables' from itables."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from bfpo_bench.cache import default_cache
from bfpo_bench.errors import UserError
from bfpo_bench.runs.jsonl import write_atomically

_EXPORT = re.compile(r"export\s*\{([^{}]*)\};?")

LICENCES = """\
This report carries the following software, each under its own licence.

Vega, Vega-Lite and Vega-Embed (assets/vega.js), bundled by vl-convert
  Copyright University of Washington Interactive Data Lab and contributors, BSD-3-Clause
  https://github.com/vega
  vl-convert: Copyright Jon Mease, BSD-3-Clause, https://github.com/vega/vl-convert

DataTables (assets/datatables.js), bundled by itables
  Copyright SpryMedia Ltd, MIT, https://datatables.net/license
  With jQuery (OpenJS Foundation and contributors, MIT), JSZip (Stuart Knightley, MIT), pako (MIT)
  and FileSaver.js (Eli Grey, MIT): their notices are in the file.
  itables: Copyright Marc Wouts, MIT, https://github.com/mwouts/itables

Everything else in assets/ belongs to bfpo-bench, Apache-2.0.
"""


def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script, which sets `window.vegaEmbed`.

    Bundling takes seconds, so that the result is kept in the cache, by vl-convert's version. Raises
    UserError where vl-convert is not installed.
    """
    version = _version("vl-convert-python")
    kept = default_cache() / "report" / f"vega-{version}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        from vl_convert import javascript_bundle

        made = javascript_bundle("window.vegaEmbed=vegaEmbed;")
        write_atomically(kept, made)
        return made


def datatables() -> str:
    """DataTables as one classic script, which sets `window.DataTable`.

    itables ships it as an ES module, which browsers do not load from disk. Raises UserError where
    itables is not installed.
    """
    _version("itables")
    import itables

    return classic((Path(itables.__file__).parent / "html" / "dt_bundle.js").read_text("utf-8"))


def classic(module: str) -> str:
    """A bundled ES module as a classic script that sets `window.DataTable` to its default export.

    Raises ValueError for a module that exports no default in a list at its end.
    """
    lists = list(_EXPORT.finditer(module))
    name = re.search(r"([\w$]+)\s+as\s+default\b", lists[-1][1]) if lists else None
    if name is None:
        raise ValueError("the bundle of itables has no default export")
    body = module[: lists[-1].start()] + f"window.DataTable={name[1]};" + module[lists[-1].end() :]
    return f"(()=>{{{body}\n}})();\n"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"A report needs {package}, which is not installed: pip install {package}."
        ) from error
