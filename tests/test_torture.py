"""What `make torture` counts as a fault; and two of its parts on a small run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults import finished_run

from benchmarks.torture import __main__ as entry
from benchmarks.torture import report, stops
from benchmarks.torture.damage import damage
from benchmarks.torture.kills import Reference, Tally, compare
from benchmarks.torture.session import Ended
from benchmarks.torture.stored import Stored, read
from benchmarks.torture.workload import Workload


def test_options_are_looked_at_before_the_work(tmp_path: Path) -> None:
    """The folder of the figures is made, and no kills are no kills."""
    file = tmp_path / "deep" / "results" / "torture.json"
    asked = entry.options(["--json", str(file), "--real-kills", "0", "--kills", "0"])
    assert file.parent.is_dir()
    assert (asked.real_kills, asked.kills, asked.stops) == (0, 0, 20)
    assert entry.options(["--small"]).real_kills == 3
    assert entry.options([]).real_kills == 10


class Script:
    """Sessions that end as told, without a process: (exit code, seconds after the signal)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends: list[tuple[int, float]]) -> None:
        self.begun = 0
        monkeypatch.setattr(stops, "Session", lambda *_, **__: self)
        monkeypatch.setattr(stops, "check", lambda *_, **__: Stored())
        monkeypatch.setattr(stops, "compare", lambda *_, **__: None)
        monkeypatch.setattr(stops, "_tell", lambda *_: 100.0)
        self.started, self._ends = 90.0, iter(ends)

    def wait(self) -> Ended:
        self.begun += 1
        code, late = next(self._ends)
        return Ended(code, "", "the same command goes on", 10 + late, [], 0)


def stopped(folder: Path, wanted: int) -> stops.Stops:
    reference = Reference(folder, Stored(), {"respond": 1.0}, {})
    return stops.stop(Workload(folder, 1, 1), reference, folder, (), stops=wanted)


def test_a_signal_that_is_ignored_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SIGTERM: exit code 0 after 3 s; SIGINT: stopped after 2 s, and then the same command."""
    Script(monkeypatch, [(0, 3.0), (130, 2.0), (0, 0.0)])
    found = stopped(tmp_path, 2)
    assert found.faults == ["SIGTERM in respond: ignored, for 3.0 s"]
    assert (found.seconds, found.ignored, found.missed) == ([2.0], 1, 0)
    assert found.tried == {"respond | SIGINT": 1}


def test_signals_that_come_too_late_do_not_go_on_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every run ends well 0.2 s after its signal: ten runs for two stops are enough."""
    script = Script(monkeypatch, [(0, 0.2)] * 100)
    found = stopped(tmp_path, 2)
    assert (script.begun, found.missed, found.ignored) == (10, 10, 0)
    assert found.faults == ["only 0 of 2 signals came before the end of their run"]
    assert report.of_stops(found)["most seconds"] == 0


@pytest.mark.parametrize(("others", "faults"), [(1, []), (2, ["now: 2 of 20 answers are others"])])
def test_a_real_engine_may_give_one_other_answer_in_twenty(
    tmp_path: Path, others: int, faults: list[str]
) -> None:
    for name, count in (("was", 0), ("now", others)):
        run = tmp_path / name / "runs" / "run"
        run.mkdir(parents=True)
        told = ["other" if i < count else "same" for i in range(20)]
        lines = [
            f'{{"task":"t","doc_id":{i},"sample":0,"response":"{text}"}}\n'
            for i, text in enumerate(told)
        ]
        (run / "responses.jsonl").write_text("".join(lines))
    was = tmp_path / "was"
    reference = Reference(was, read(was / "runs" / "run"), {}, {})
    tally = Tally()
    compare(tally, reference, tmp_path / "now", exact=False)
    assert tally.faults() == faults
    assert len(tally.other_answers) == others


def test_damage_is_mended_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with finished_run(tmp_path) as bench:
        found: dict[str, Any] = {"responses": 40, "seed": 0}
        found["damage"] = report.of_damages(damage(bench, tmp_path, times=4))
    print(report.table(found))
    assert found["damage"]["tried"] >= 4
    assert "faults: 0" in capsys.readouterr().out
