"""Every kind of file of a run, damaged in every way: the same scores, or one sentence that names it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from faults import RESPONSES, Bench, Damaged, finished_run

from benchmarks.torture.disks import kilobytes, may_mount, small_disk


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with finished_run(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture
def damaged(bench: Bench, tmp_path: Path) -> Damaged:
    return bench.copy(tmp_path / "copy")


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def cut_line(path: Path) -> None:
    """The third line lost its second half."""
    found = lines(path)
    middle = min(2, len(found) // 2)
    found[middle] = found[middle][: len(found[middle]) // 2] + b"\n"
    path.write_bytes(b"".join(found))


def no_text(path: Path) -> None:
    """Bytes in the third line that are no UTF-8."""
    found = lines(path)
    middle = min(2, len(found) // 2)
    half = len(found[middle]) // 2
    found[middle] = found[middle][:half] + b"\xff\x00\xfe" + found[middle][half:]
    path.write_bytes(b"".join(found))


def no_record(path: Path) -> None:
    """The third line is JSON, and not what is stored there."""
    found = lines(path)
    found[min(2, len(found) // 2)] = b'{"task":7}\n'
    path.write_bytes(b"".join(found))


def cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def one_digit(path: Path) -> None:
    """A digit of the third line, or after it, is another: it is as good JSON as before."""
    found = lines(path)
    start = sum(map(len, found[: min(2, len(found) // 2)]))
    content = path.read_bytes()
    at = re.compile(rb"\d").search(content, start)
    assert at is not None
    digit = b"%d" % ((int(at[0]) + 1) % 10)
    path.write_bytes(content[: at.start()] + digit + content[at.end() :])


GROWING = (
    "responses.jsonl",
    "discriminative/loglikelihoods.jsonl",
    "verdicts/refusal.jsonl",
    "verdicts/harm.jsonl",
    "verdicts/rating*.jsonl",
)
"""What was asked of a model or a judge, a line each: nothing makes it again but asking."""

DERIVED = (
    "scores.json",
    "splits.jsonl",
    "seals.json",
    "documents.parquet",
    "lm_eval/results_*.json",
    "discriminative/results.json",
    "discriminative/samples_bfpo_torture_sums.jsonl",
    "leaderboards/torture.keys.json",
)
"""What is made anew from what is stored."""

KEPT = ("manifest.json", "data.json", "leaderboards/torture.csv")
"""What says which run this is, and rows of other runs: nothing makes it again."""


Damage = Callable[[Path], None]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((GROWING[0], damage) for damage in (one_digit, cut_line, no_text, no_record)),
        *((name, damage) for name in GROWING[1:] for damage in (one_digit, no_record)),
    ],
)
def test_a_broken_line_is_named_with_its_number(
    damaged: Damaged, name: str, damage: Damage
) -> None:
    path = damaged.file(name)
    damage(path)
    said = damaged.again()
    assert said.code == 2, said.err[-2000:]
    assert f"{path.relative_to(damaged.cwd)}, line 3 " in said.error
    assert "delete that line" in said.error
    assert "Traceback" not in said.err


def test_and_without_that_line_it_is_done_again(damaged: Damaged) -> None:
    """What the sentence says to do is what mends it."""
    files = {path: lines(path) for path in map(damaged.file, GROWING)}
    for path, found in files.items():
        path.write_bytes(b"".join(found[:2] + found[3:]))
    assert damaged.again().code == 0
    assert damaged.same()
    for path, found in files.items():
        assert lines(path) == [*found[:2], *found[3:], found[2]]


@pytest.mark.parametrize("name", GROWING)
def test_a_deleted_file_is_asked_for_again(damaged: Damaged, name: str) -> None:
    path = damaged.file(name)
    found = sorted(lines(path))
    path.unlink()
    assert damaged.again().code == 0
    assert damaged.same()
    assert sorted(lines(path)) == found


@pytest.mark.parametrize("damage", [cut_file, emptied])
def test_what_is_missing_at_the_end_is_asked_for_again(damaged: Damaged, damage: Damage) -> None:
    files = {path: sorted(lines(path)) for path in map(damaged.file, GROWING)}
    for path in files:
        damage(path)
    assert damaged.again().code == 0
    assert damaged.same()
    assert {path: sorted(lines(path)) for path in files} == files


def doubled(found: list[bytes]) -> list[bytes]:
    return [*found[:3], found[1], *found[3:], found[0]]


def backwards(found: list[bytes]) -> list[bytes]:
    return found[::-1]


def with_a_stranger(found: list[bytes]) -> list[bytes]:
    """A line of a task that this run does not have."""
    return [checked(found[0].replace(b'"bfpo_torture_', b'"bfpo_nobody_s_')), *found]


def checked(line: bytes) -> bytes:
    """A changed line with the checksum that it would have been written with."""
    told = line[: line.rindex(b'"crc":')]
    return told + b'"crc":"%08x"}\n' % zlib.crc32(told)


@pytest.mark.parametrize("change", [doubled, backwards, with_a_stranger])
def test_lines_count_once_and_in_any_order(
    damaged: Damaged, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    files = {path: change(lines(path)) for path in map(damaged.file, GROWING)}
    for path, changed in files.items():
        path.write_bytes(b"".join(changed))
    assert damaged.again().code == 0
    assert damaged.same()
    assert {path: lines(path) for path in files} == files


def untimed(content: bytes) -> bytes:
    """lm-eval's results without how long all sessions took: what is judged again takes time again."""
    return re.sub(rb'"total_evaluation_time_seconds": "[0-9.]+"', b"", content)


def made_anew(damaged: Damaged, names: Sequence[str], damage: Damage) -> None:
    files = {path: path.read_bytes() for path in map(damaged.file, names)}
    for path in files:
        damage(path)
    assert damaged.again().code == 0
    assert damaged.same()
    for path, before in files.items():
        if path.name != "seals.json":  # whose files have new times
            assert untimed(path.read_bytes()) == untimed(before), path


@pytest.mark.parametrize("damage", [one_digit, gone])
@pytest.mark.parametrize("name", DERIVED)
def test_what_follows_from_the_rest_is_made_anew(
    damaged: Damaged, name: str, damage: Damage
) -> None:
    made_anew(damaged, [name], damage)


@pytest.mark.parametrize("damage", [no_text, cut_file, emptied])
def test_and_also_all_at_once(damaged: Damaged, damage: Damage) -> None:
    made_anew(damaged, DERIVED, damage)


@pytest.mark.parametrize("damage", [cut_line, no_text, emptied])
@pytest.mark.parametrize("name", KEPT)
def test_what_nothing_makes_again_is_refused(damaged: Damaged, name: str, damage: Damage) -> None:
    path = damaged.file(name)
    damage(path)
    broken = path.read_bytes()
    said = damaged.again()
    assert said.code == 2, said.err[-2000:]
    assert str(path.relative_to(damaged.cwd)) in said.error
    assert "Traceback" not in said.err
    assert path.read_bytes() == broken


def test_without_its_manifest_a_run_is_not_taken_over(damaged: Damaged) -> None:
    damaged.file("manifest.json").unlink()
    said = damaged.again()
    assert said.code == 2
    assert "holds responses but no manifest" in said.error


@pytest.mark.parametrize("name", ["data.json", "leaderboards/torture.csv"])
def test_a_deleted_record_is_written_again(damaged: Damaged, name: str) -> None:
    damaged.file(name).unlink()
    assert damaged.again().code == 0
    assert damaged.same()


class TestTheCacheOfVerdicts:
    """It is asked only for verdicts that the run lacks."""

    NAME = "cache/verdicts.sqlite"

    def lacking(self, damaged: Damaged) -> Path:
        damaged.file("verdicts/rating*.jsonl").unlink()
        return damaged.file(self.NAME)

    def test_it_spares_the_judge(self, damaged: Damaged) -> None:
        self.lacking(damaged)
        said = damaged.again("--judge-url", "http://127.0.0.1:9/v1")
        assert said.code == 0, said.err
        assert f"{RESPONSES // 10} verdicts remembered" in said.err
        assert damaged.same()

    def test_deleted_it_is_made_anew(self, damaged: Damaged) -> None:
        self.lacking(damaged).unlink()
        assert damaged.again().code == 0
        assert damaged.same()
        assert damaged.file(self.NAME).exists()

    def test_broken_it_is_named(self, damaged: Damaged) -> None:
        path = self.lacking(damaged)
        path.write_bytes(b"no database" * 1000)
        said = damaged.again()
        assert said.code == 2
        assert f"The cache of verdicts {path} cannot be used" in said.error
        assert "delete it" in said.error


def test_verdicts_do_not_count_for_other_texts(damaged: Damaged) -> None:
    """The responses are gone, and the model says other things now than when its verdicts were made:
    the old verdicts stay, and new ones are made."""
    path = damaged.file("verdicts/refusal.jsonl")
    before = lines(path)
    hashed = re.compile(rb'"text_hash":"[0-9a-f]{16}"')
    old = [checked(hashed.sub(b'"text_hash":"%016x"' % i, line)) for i, line in enumerate(before)]
    path.write_bytes(b"".join(old))
    damaged.file("responses.jsonl").unlink()
    said = damaged.again()
    assert said.code == 0, said.err[-3000:] + said.out[-1000:]
    assert damaged.same()
    assert lines(path)[: len(old)] == old
    assert sorted(lines(path)[len(old) :]) == sorted(before)


class TestDisks:
    """A small tmpfs, where this machine lets one be mounted."""

    @pytest.fixture(autouse=True)
    def _mountable(self) -> None:
        if (reason := may_mount()) is not None:
            pytest.skip(reason)

    @pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
    def test_a_full_disk_is_one_sentence_and_loses_nothing(
        self, bench: Bench, tmp_path: Path, share: float
    ) -> None:
        """It fills up in one file or another; with more space, the same command ends the run."""
        needed = sum(kilobytes(bench.whole / name) for name in ("runs", "leaderboards"))
        with small_disk(tmp_path / "disk", round(share * needed)) as remount:
            mine = Damaged(bench, tmp_path / "disk", tmp_path / "cache")
            said = mine.again()
            assert said.code == 2, said.err[-2000:]
            assert "No space left on device" in said.error
            assert "Traceback" not in said.err
            answers = list(mine.cwd.glob("runs/*/responses.jsonl"))
            before = answers[0].read_bytes() if answers else b""
            remount("size=16m")
            assert mine.again().code == 0
            assert mine.same()
            kept = before[: before.rfind(b"\n") + 1]
            assert mine.file("responses.jsonl").read_bytes().startswith(kept)

    def test_a_read_only_folder_is_one_sentence(self, bench: Bench, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", 16 << 10) as remount:
            mine = bench.copy(tmp_path / "disk")
            remount("ro")
            said = mine.again()
            assert said.code == 2
            assert "Read-only file system" in said.error
            assert "Traceback" not in said.err
            remount("rw")
            assert mine.again().code == 0
            assert mine.same()
