"""`bfpo-bench runs` and `bfpo-bench push`: what they print, and how they end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from commands import Said, command
from exchange_runs import BENIGN, HARMFUL, SPECS, finished_run
from upload_hub import TOKEN, Repository, UploadHub, upload_hub

from bfpo_bench.cli.runs import FORMS
from bfpo_bench.cli.runs_view import size, table
from bfpo_bench.cli.ui import Terminal
from bfpo_bench.exchange.published import FILES
from bfpo_bench.leaderboard.listing import list_runs

pytestmark = pytest.mark.usefixtures("stages_here")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which somebody has run a model."""
    folder = tmp_path_factory.mktemp("here")
    finished_run(folder / "runs" / "model-1a2b3c4d")
    return folder


RUN = "runs/model-1a2b3c4d"


class TestList:
    def test_a_line_a_run(self, here: Path) -> None:
        said = command("runs", "list", cwd=here)
        assert said.code == 0
        [line] = [line for line in said.out.splitlines() if "model-1a2b3c4d" in line]
        assert line.split()[:3] == ["model-1a2b3c4d", "bfpo@2,", "scored"]
        assert "56.2" in line
        assert "2026-01-02" in line
        assert "org/<b>model</b>" in said.out

    @pytest.mark.parametrize("width", [40, 60, 80, 200])
    def test_no_column_is_lost_on_a_narrow_terminal(self, here: Path, width: int) -> None:
        out = io.StringIO()
        Terminal(file=out, width=width).print(table(list_runs(here / "runs")[0]))
        told = "".join(out.getvalue().split())
        for word in ("model-1a2b3c4d", "partial", "scored", "56.2", "2026-01-02", "03:05", "kB"):
            assert word in told
        assert max(map(len, out.getvalue().splitlines())) <= width

    @pytest.mark.parametrize("width", range(60, 110, 2))
    def test_a_long_suite_takes_nothing_from_a_size(self, tmp_path: Path, width: int) -> None:
        """On no terminal is a part of a number shown."""
        finished_run(tmp_path / "runs" / "refuser-9M-ee49eb5a")
        [run] = list_runs(tmp_path / "runs")[0]
        out = io.StringIO()
        long = replace(run, suite="bfpo-late-refusal@1")
        Terminal(file=out, width=width).print(table([long]))
        assert size(run.bytes) in out.getvalue()
        assert max(map(len, out.getvalue().splitlines())) <= width

    def test_as_json(self, here: Path) -> None:
        found = json.loads(command("runs", "list", "--json", cwd=here).out)
        assert found["unreadable"] == []
        [run] = found["runs"]
        assert (run["run_id"], run["reached"]) == ("model-1a2b3c4d", "scored")

    def test_what_cannot_be_read_is_named_beside_the_rest(self, tmp_path: Path) -> None:
        finished_run(tmp_path / "runs" / "good")
        bad = tmp_path / "runs" / "bad"
        bad.mkdir()
        (bad / "manifest.json").write_text("{")
        said = command("runs", "list", cwd=tmp_path)
        assert said.code == 3
        assert "model-1a2b3c4d" in said.out
        assert said.error.startswith("not read: runs/bad: ")

    def test_no_runs(self, tmp_path: Path) -> None:
        (tmp_path / "runs").mkdir()
        assert command("runs", "list", cwd=tmp_path).out == "There is no run in runs.\n"
        said = command("runs", "list", "--out", "nowhere", cwd=tmp_path)
        assert said.code == 2
        assert (
            said.error == "error: There is no folder nowhere: run a model first, or give --out DIR."
        )


class TestExport:
    @pytest.mark.parametrize("form", [f for f in FORMS if f != "inspect"])
    def test_every_form_says_what_it_wrote(self, here: Path, tmp_path: Path, form: str) -> None:
        said = command("runs", "export", RUN, "--to", form, "--out", str(tmp_path / "o"), cwd=here)
        assert said.code == 0, said.err
        files = [Path(line) for line in said.out.splitlines() if line.startswith("/")]
        assert files
        assert sorted(files) == sorted(p for p in (tmp_path / "o").rglob("*") if p.is_file())

    def test_inspect_s_form_opens(self, here: Path, tmp_path: Path) -> None:
        inspect_log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed")
        said = command("runs", "export", RUN, "--to", "inspect", "--out", str(tmp_path), cwd=here)
        assert said.code == 0, said.err
        assert all(inspect_log.read_eval_log(line) for line in said.out.splitlines())

    def test_a_data_set_says_what_it_keeps_back(self, here: Path, tmp_path: Path) -> None:
        to = ("--to", "dataset", "--out", str(tmp_path / "o"))
        said = command("runs", "export", RUN, *to, cwd=here)
        assert "kept back: 5 of 12 responses" in said.out
        said = command("runs", "export", RUN, *to, "--include-harmful", cwd=here)
        assert "kept back: 0 of 12 responses" in said.out

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((RUN, "--to", "lmeval", "--out", "o"), "There is no form 'lmeval'"),
            ((RUN, "--to", "inspect", "--out", "o", "--include-harmful"), "is for --to dataset"),
            (("runs/none", "--to", "lm-eval", "--out", "o"), "does not exist"),
            ((RUN, "--to", "lm-eval", "--out", f"{RUN}/scores.json"), "give another --out"),
        ],
    )
    def test_what_cannot_be(self, here: Path, arguments: tuple[str, ...], words: str) -> None:
        said = command("runs", "export", *arguments, cwd=here)
        assert said.code == 2
        assert words in said.error


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with upload_hub() as found:
        for task in (BENIGN, HARMFUL):
            found.repositories[str(SPECS[task].hub_id)] = Repository()
        yield found


class Typed(io.StringIO):
    """A terminal at which somebody has typed something."""

    def isatty(self) -> bool:
        return True


class TestPush:
    def push(self, here: Path, *options: str) -> Said:
        return command("push", RUN, "--to-hub", "answers", *options, cwd=here)

    def test_a_dry_run_says_what_would_go_up_and_sends_nothing(
        self, here: Path, hub: UploadHub
    ) -> None:
        said = self.push(here, "--dry-run")
        assert said.code == 0
        assert "To the data set tester/answers on the hub (private, new), as tester:" in said.out
        assert all(f"  {name}  " in said.out for name in FILES)
        assert "kept back: 5 of 12 responses" in said.out
        assert not [asked for asked in hub.asked if asked.startswith("POST")]

    def test_a_dry_run_without_a_token_asks_nobody(
        self, here: Path, hub: UploadHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_TOKEN")
        said = self.push(here, "--dry-run")
        assert said.code == 0, said.err
        assert "which data sets are gated besides those known here, was not checked." in said.out
        assert "To the data set answers on the hub (private):" in said.out
        assert all(f"  {name}  " in said.out for name in FILES)
        assert "kept back: 5 of 12 responses" in said.out
        assert hub.asked == []

    def test_with_yes_it_is_pushed(self, here: Path, hub: UploadHub) -> None:
        said = self.push(here, "--yes")
        assert said.code == 0
        assert said.out.endswith(f"pushed: {hub.url}/datasets/tester/answers\n")
        assert set(hub.repositories["tester/answers"].files) == set(FILES)
        assert hub.repositories["tester/answers"].private

    def test_in_public_and_with_harm_it_says_so_loudly(self, here: Path, hub: UploadHub) -> None:
        said = self.push(here, "--dry-run", "--public", "--include-harmful")
        assert "(PUBLIC, new)" in said.out
        assert "HARMFUL RESPONSES ARE INCLUDED." in said.out

    def test_where_there_is_nobody_to_ask_nothing_is_pushed(
        self, here: Path, hub: UploadHub
    ) -> None:
        said = self.push(here)
        assert said.code == 2
        assert said.error.endswith("give --yes to push, or --dry-run to look.")
        assert hub.asked == []

    @pytest.mark.parametrize(("typed", "pushed"), [("y\n", True), ("n\n", False), ("\n", False)])
    def test_on_a_terminal_it_asks(
        self,
        here: Path,
        hub: UploadHub,
        monkeypatch: pytest.MonkeyPatch,
        typed: str,
        pushed: bool,
    ) -> None:
        monkeypatch.setattr("sys.stdin", Typed(typed))
        said = self.push(here)
        assert "Push it? [y/N]" in said.out
        assert ("tester/answers" in hub.repositories) is pushed
        assert said.code == (0 if pushed else 2)
        assert ("Nothing was pushed." in said.out) is not pushed

    def test_a_token_is_in_nothing_that_it_says(self, here: Path, hub: UploadHub) -> None:
        hub.status = 403
        said = self.push(here, "--yes")
        assert said.code == 2
        assert "may not write" in said.error
        assert TOKEN not in said.out + said.err


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000_000, "2.0 GB"), (3e15, "3000.0 TB")],
)
def test_sizes_are_read_by_people(count: int, told: str) -> None:
    assert size(count) == told
