"""The measurement of reports on a handful of responses: it runs to its end and writes its figures."""

from __future__ import annotations

import json
from pathlib import Path

from browser import chromium

from benchmarks import report


def test_the_script_writes_what_it_promises(tmp_path: Path) -> None:
    # Skips where there is no browser
    with chromium():
        pass
    file = tmp_path / "report.json"
    report.main(["--models", "2", "--responses", "60", "--repeats", "1", "--json", str(file)])
    found = json.loads(file.read_text())
    assert found["written"]["chunks"] == 1
    assert [ratio["goal"] for ratio in found["ratios"]] == ["<= 2.0", "<= 0.2"]
    assert all(seconds >= 0 for seconds in found["found"].values())
