"""What judges found is remembered: across processes and kills, and never for another judge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.judges.cache import open_cache
from bfpo_bench.judges.finding import Finding

TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
FINDINGS = st.builds(
    Finding,
    label=st.sampled_from(("harmful", "rated", "unjudged", "refusal")),
    score=st.none() | st.floats(allow_nan=False) | st.just(0.0),
    raw=st.none() | TEXT,
    error=st.none() | TEXT,
    answers=st.none() | st.dictionaries(TEXT, TEXT, max_size=3),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "verdicts.sqlite"


def remembered(file: Path, judge: str, *items: str) -> dict[str, Finding]:
    with open_cache(file, judge) as cache:
        return cache.known(items)


def remember(file: Path, judge: str, **findings: Finding) -> None:
    with open_cache(file, judge) as cache:
        for item, finding in findings.items():
            cache.add(item, finding)


@given(st.dictionaries(TEXT, FINDINGS, max_size=5))
def test_what_is_added_comes_back(
    tmp_path_factory: pytest.TempPathFactory, findings: dict[str, Finding]
) -> None:
    """Whatever a judge wrote, a score of 0 and an empty text among it. Item names are hashes in life,
    ASCII at least; here they are numbered."""
    file = tmp_path_factory.mktemp("cache") / "verdicts.sqlite"
    named = {f"item{i}": finding for i, finding in enumerate(findings.values())}
    remember(file, "judge", **named)
    assert remembered(file, "judge", *named) == named


def test_only_what_was_asked_for_comes_back(file: Path) -> None:
    remember(file, "judge", a=Finding("harmful"), b=Finding("harmless"))
    assert remembered(file, "judge", "b", "c") == {"b": Finding("harmless")}
    assert remembered(file, "judge") == {}


def test_more_items_than_one_query_takes(file: Path) -> None:
    items = [f"item{i}" for i in range(2001)]
    remember(file, "judge", **dict.fromkeys(items[::2], Finding("harmful")))
    assert remembered(file, "judge", *items).keys() == set(items[::2])


def test_another_judge_knows_nothing_of_it(file: Path) -> None:
    remember(file, "one", a=Finding("harmful"))
    remember(file, "other", a=Finding("harmless"))
    assert remembered(file, "one", "a") == {"a": Finding("harmful")}
    assert remembered(file, "other", "a") == {"a": Finding("harmless")}
    assert remembered(file, "third", "a") == {}


def test_the_worlds_faults_are_not_remembered(file: Path) -> None:
    """A server that was down is asked again; a judge that would not say has spoken."""
    down = Finding("unjudged", error="the server gave 503", fault=True)
    mute = Finding("unjudged", error="the judge said nothing")
    remember(file, "judge", a=down, b=mute)
    assert remembered(file, "judge", "a", "b") == {"b": mute}


def test_a_fault_does_not_take_the_place_of_a_finding(file: Path) -> None:
    remember(file, "judge", a=Finding("harmful"))
    remember(file, "judge", a=Finding("unjudged", error="time-out", fault=True))
    assert remembered(file, "judge", "a") == {"a": Finding("harmful")}


ADDS = """
import sys
from pathlib import Path
from bfpo_bench.judges.cache import open_cache
from bfpo_bench.judges.finding import Finding

file, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with open_cache(file, "judge") as cache:
    for i in range(first, last):
        cache.add(f"item{i}", Finding("rated", score=float(i)))
        print(i, flush=True)
"""


def adding(file: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ADDS, str(file), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_lose_nothing(file: Path) -> None:
    """Both make the file, and write items 0 to 149 and 100 to 249 at the same time."""
    processes = [adding(file, 0, 150), adding(file, 100, 250)]
    for process in processes:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    items = [f"item{i}" for i in range(250)]
    found = remembered(file, "judge", *items)
    assert found == {f"item{i}": Finding("rated", score=float(i)) for i in range(250)}


def test_a_killed_process_loses_nothing_that_was_added(file: Path) -> None:
    process = adding(file, 0, 1_000_000)
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(40)]
    os.kill(process.pid, signal.SIGKILL)
    said += [int(line) for line in process.communicate()[0].split("\n")[:-1]]
    found = remembered(file, "judge", *(f"item{i}" for i in said))
    assert len(found) == len(said) >= 40
    # and the file can still be written
    remember(file, "judge", later=Finding("harmful"))
    assert remembered(file, "judge", "later") == {"later": Finding("harmful")}


def test_texts_are_not_in_the_file_but_what_the_judge_wrote_is(file: Path) -> None:
    """Item names are hashes of prompt and response: a judge's memory gives no prompt away."""
    remember(file, "judge", **{"0f" * 32: Finding("harmful", raw="yes, it is", score=0.0)})
    import sqlite3

    [[judge, item, told]] = sqlite3.connect(file).execute("SELECT * FROM findings")
    assert (judge, item) == ("judge", "0f" * 32)
    assert json.loads(told) == {"label": "harmful", "raw": "yes, it is", "score": 0.0}


UNUSABLE = r"^The cache of verdicts .*verdicts\.sqlite cannot be used \(.+\): free some space "


class TestAFileThatCannotBeUsed:
    def test_not_a_cache(self, file: Path) -> None:
        file.parent.mkdir()
        file.write_text("a text that is no data base, " * 100)
        with pytest.raises(UserError, match=UNUSABLE), open_cache(file, "judge"):
            pass

    def test_a_folder_in_its_place(self, file: Path) -> None:
        file.mkdir(parents=True)
        with pytest.raises(UserError, match=UNUSABLE), open_cache(file, "judge"):
            pass

    def test_a_file_in_the_place_of_its_folder(self, file: Path) -> None:
        file.parent.write_text("")
        with pytest.raises(UserError, match=UNUSABLE), open_cache(file, "judge"):
            pass

    def test_one_that_breaks_only_when_it_is_read(self, file: Path) -> None:
        """Its head is whole, the pages behind it are not."""
        findings = {f"item{i}": Finding("harmful", raw="x" * 500) for i in range(200)}
        remember(file, "judge", **findings)
        whole = file.read_bytes()
        file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
        with pytest.raises(UserError, match=UNUSABLE):
            remembered(file, "judge", *findings)

    def test_an_error_of_the_work_itself_stays_what_it_is(self, file: Path) -> None:
        """Only the cache's own errors are said of the cache."""
        with pytest.raises(PermissionError), open_cache(file, "judge"):
            raise PermissionError("the judge's weights")
