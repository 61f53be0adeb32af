"""A report's folder: whole, or as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.report import vendor
from bfpo_bench.leaderboard.report.model import Page
from bfpo_bench.leaderboard.report.write import write_report


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bundling, which other tests do."""
    monkeypatch.setattr(vendor, "vega", lambda: "vega")
    monkeypatch.setattr(vendor, "datatables", lambda: "datatables")


def page(title: str = "A title") -> Page:
    return Page(title, (), (), (), (), (), "", None)


def test_a_report_is_a_page_its_assets_and_the_licences(tmp_path: Path) -> None:
    write_report(tmp_path / "out", lambda _: page("<b>&"))
    assert "<title>&lt;b&gt;&amp;</title>" in (tmp_path / "out" / "index.html").read_text()
    assert (tmp_path / "out" / "assets" / "vega.js").read_text() == "vega"
    assert "BSD-3-Clause" in (tmp_path / "out" / "LICENCES.txt").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_second_report_replaces_the_first_and_all_of_it(tmp_path: Path) -> None:
    def first(folder: Path) -> Page:
        (folder / "data").mkdir()
        (folder / "data" / "index.js").write_text("old")
        return page("one")

    write_report(tmp_path / "out", first)
    write_report(tmp_path / "out", lambda _: page("two"))
    assert "two" in (tmp_path / "out" / "index.html").read_text()
    assert not (tmp_path / "out" / "data").exists()


@pytest.mark.parametrize("name", ["notes.txt", "index.html"])
def test_a_folder_that_holds_other_things_is_left_alone(tmp_path: Path, name: str) -> None:
    """An index.html that no report wrote is somebody's page."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="holds other things than a report"):
        write_report(tmp_path, lambda _: page())
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="give another --out"):
        write_report(tmp_path / "out", lambda _: page())


def test_what_fails_halfway_leaves_the_earlier_report(tmp_path: Path) -> None:
    def fails(folder: Path) -> Page:
        raise UserError("The run is damaged.")

    write_report(tmp_path / "out", lambda _: page("one"))
    with pytest.raises(UserError, match="damaged"):
        write_report(tmp_path / "out", fails)
    assert "one" in (tmp_path / "out" / "index.html").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"The report .* cannot be written"):
        write_report(tmp_path / "file" / "out", lambda _: page())
