"""A seal holds while nothing has changed: neither what was to do nor any file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bfpo_bench.runs.seal import Seals

JOB = {"judge": "harm", "tasks": ["mischief"]}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("responses.jsonl", "verdicts.jsonl")]
    for file in made:
        file.write_text("{}\n")
    return made


def test_what_was_sealed_holds_for_the_same_job_and_files(
    tmp_path: Path, files: list[Path]
) -> None:
    seals = Seals(tmp_path / "seals.json")
    assert not seals.holds("judge harm", JOB, files)
    seals.set("judge harm", JOB, files)
    assert Seals(tmp_path / "seals.json").holds("judge harm", JOB, files)
    assert not seals.holds("judge refusal", JOB, files)
    assert not seals.holds("judge harm", JOB | {"tasks": []}, files)


def _edit_in_place(file: Path) -> None:
    """Other bytes of the same size."""
    before = file.stat().st_mtime_ns
    file.write_text("[]\n")
    os.utime(file, ns=(before + 1, before + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.open("a").write("{}\n"),
        lambda file: file.unlink(),
        lambda file: os.truncate(file, 1),
        _edit_in_place,
        # A clock that goes backwards
        lambda file: os.utime(file, ns=(0, 0)),
    ],
)
def test_a_file_that_changed_breaks_it(
    tmp_path: Path, files: list[Path], change: Callable[[Path], object]
) -> None:
    seals = Seals(tmp_path / "seals.json")
    seals.set("respond", JOB, files)
    change(files[1])
    assert not seals.holds("respond", JOB, files)


def test_a_file_that_appeared_breaks_it(tmp_path: Path, files: list[Path]) -> None:
    files[0].unlink()
    seals = Seals(tmp_path / "seals.json")
    seals.set("respond", JOB, files)
    assert seals.holds("respond", JOB, files)
    files[0].touch()
    assert not seals.holds("respond", JOB, files)


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"respond": 3}', "\x00\xff"])
def test_damaged_seals_hold_nothing_and_are_written_anew(
    tmp_path: Path, files: list[Path], damage: str
) -> None:
    path = tmp_path / "seals.json"
    path.write_text(damage, encoding="latin-1")
    seals = Seals(path)
    assert not seals.holds("respond", JOB, files)
    seals.set("respond", JOB, files)
    assert seals.holds("respond", JOB, files)


def test_one_stage_does_not_break_anothers(tmp_path: Path, files: list[Path]) -> None:
    seals = Seals(tmp_path / "seals.json")
    seals.set("respond", JOB, files)
    seals.set("judge harm", JOB, files[:1])
    assert seals.holds("respond", JOB, files)


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Of two splits in two folders, say."""
    files = [tmp_path / folder / "data.jsonl" for folder in ("train", "test")]
    for file in files:
        file.parent.mkdir()
        file.write_text("{}\n")
    seals = Seals(tmp_path / "seals.json")
    seals.set("respond", JOB, files)
    assert seals.holds("respond", JOB, files)
    for file in files:
        before = file.stat().st_mtime_ns
        os.utime(file, ns=(0, 0))
        assert not seals.holds("respond", JOB, files)
        os.utime(file, ns=(before, before))
