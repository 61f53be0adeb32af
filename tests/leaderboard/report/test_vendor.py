"""Other people's JavaScript, made into scripts that a page from disk may load."""

from __future__ import annotations

from pathlib import Path

import pytest

from bfpo_bench.leaderboard.report import vendor


def test_a_module_becomes_a_script_that_sets_one_name() -> None:
    made = vendor.classic('let t=1;var a="export";export{a as b,t as default,c};\n/* end */')
    assert made == '(()=>{let t=1;var a="export";window.DataTable=t;\n/* end */\n})();\n'


def test_a_module_without_a_default_is_refused() -> None:
    with pytest.raises(ValueError, match="no default export"):
        vendor.classic("export{a as b};")


def test_the_bundle_of_itables_has_what_is_asked_of_it() -> None:
    made = vendor.datatables()
    assert "window.DataTable=" in made
    assert "export{" not in made


def test_vegas_bundle_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the cache is taken as it is: bundling takes seconds."""
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda snippet: "window.vegaEmbed=1;")
    assert vendor.vega() == "window.vegaEmbed=1;"
    monkeypatch.setattr(
        "vl_convert.javascript_bundle", lambda snippet: pytest.fail("bundled again")
    )
    assert vendor.vega() == "window.vegaEmbed=1;"
