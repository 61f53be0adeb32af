"""`run --shard` and `runs merge`: the parts of a run are the run, byte for byte."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench import HEAD64, REFUSER, STORIES, bench, environment, killed, start
from commands import Said, command
from near_ties import NEAR, gaps
from pages import ROOT, File, parse_file
from rule_judges import asked, rule_folder

from bfpo_bench import merge_shards
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.stages.process import StageCrash

pytestmark = pytest.mark.usefixtures("stages_here")

TASKS = (
    "bfpo_advbench,bfpo_xstest_*,bfpo_alpaca_eval,bfpo_ethics_justice,bfpo_crows_pairs_english,"
    "bfpo_toxigen"
)
COUNT = 4
RUN = "refuser-9M-null-engine-????????"
LINES = (
    "responses.jsonl",
    "discriminative/loglikelihoods.jsonl",
    "verdicts/*.jsonl",
    "data.json",
    "documents.parquet",
    "scores.json",
)


def ask(*more: str) -> tuple[str, ...]:
    """Tasks of both kinds, with examples in prompts, a judge of harm and one that compares."""
    asking = ("run", "--engine", "null", "--model", REFUSER, "--tasks", TASKS, "--limit", "37")
    judging = ("--judge", "./stern", "--judge", "./picky", "--baseline", "base")
    return *asking, "--num-fewshot", "2", *judging, *more


def small(*more: str, tasks: str = "bfpo_advbench,bfpo_ethics_cm") -> tuple[str, ...]:
    """A command of a few documents."""
    return "run", "--engine", "null", "--model", REFUSER, "--tasks", tasks, "--limit", "5", *more


def run_of(cwd: Path) -> Path:
    [found] = cwd.glob(f"runs/{RUN}")
    return found


def shards_of(cwd: Path) -> list[Path]:
    return sorted(cwd.glob(f"runs/{RUN}.shard-*"))


def rows(cwd: Path) -> list[dict[str, str]]:
    """The leaderboard without dates."""
    with (cwd / "leaderboards" / "bfpo.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "date"} for row in csv.DictReader(file)]


def manifest(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return found


def furnish(folder: Path) -> Path:
    """What the command names: two judges, and the run that one of them compares with."""
    folder.mkdir()
    rule_folder(folder / "stern", "harm", '"harmful" if len(prompt) % 3 else "harmless"')
    better, worse = 'Finding("better", score=2.0)', 'Finding("worse", score=1.0)'
    rule_folder(folder / "picky", "preference", f"{better} if len(prompt) % 2 else {worse}")
    asking = ("run", "--engine", "null", "--tasks", "bfpo_alpaca_eval", "--limit", "30")
    said = command(*asking, "--model", STORIES, "--out", "others", cwd=folder)
    assert said.code == 0, said.err
    [base] = (folder / "others").glob("*/manifest.json")
    base.parent.rename(folder / "base")
    (folder / "leaderboards" / "bfpo.csv").unlink()
    return folder


@pytest.fixture(scope="module")
def whole(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("whole") / "here")
    assert command(*ask(), cwd=folder).code == 0
    return folder


@pytest.fixture(scope="module")
def parts(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same asked in four parts, and merged. Nothing is judged in merging: the judges' folders
    count who asks them."""
    folder = furnish(tmp_path_factory.mktemp("parts") / "here")
    for number in (3, 1, 4, 2):
        said = command(*ask("--shard", f"{number}/{COUNT}"), cwd=folder)
        assert said.code == 0, said.err
    before = asked(folder / "stern")
    said = command("runs", "merge", *map(str, shards_of(folder)), cwd=folder)
    assert said.code == 0, said.err
    assert asked(folder / "stern") == before
    return folder


def ok(said: Said) -> Said:
    assert said.code == 0, said.err
    return said


class TestTheWholeAndItsParts:
    @pytest.mark.parametrize("pattern", LINES)
    def test_every_file_of_the_run_is_the_same(
        self, whole: Path, parts: Path, pattern: str
    ) -> None:
        files = sorted(run_of(whole).glob(pattern))
        assert files
        for file in files:
            other = run_of(parts) / file.relative_to(run_of(whole))
            same = sorted if file.parent.name == "verdicts" else list
            # A judge may leave to the last what it asks a model about; merged verdicts are in order
            one, two = file.read_bytes().splitlines(), other.read_bytes().splitlines()
            assert same(one) == same(two), file.name

    def test_so_is_its_row(self, whole: Path, parts: Path) -> None:
        assert rows(parts) == rows(whole)
        assert len(rows(parts)) == 1

    def test_so_is_its_manifest_but_for_the_sessions(self, whole: Path, parts: Path) -> None:
        one, other = manifest(run_of(whole)), manifest(run_of(parts))
        sessions = other.pop("sessions")
        del one["sessions"]
        assert other == one
        assert sorted(s.get("shard", "merge") for s in sessions) == [
            *(f"{n}/{COUNT}" for n in (1, 2, 3, 4)),
            "merge",
        ]

    def test_the_tasks_were_scored(self, whole: Path) -> None:
        """Else equality would say little: choices, verdicts of harm, and preferences."""
        tasks = json.loads((run_of(whole) / "scores.json").read_text())["tasks"]
        assert len(tasks) == 7
        assert all(task["value"] is not None for task in tasks.values())
        assert manifest(run_of(whole))["settings"]["few_shot"]

    def test_a_shard_has_its_documents_and_no_scores(self, parts: Path) -> None:
        for shard in shards_of(parts):
            names = {p.name for p in shard.iterdir()}
            assert not names & {"scores.json", "documents.parquet", "lm_eval", "splits.jsonl"}
            counts = [c["documents"] for c in manifest(shard)["counts"].values()]
            # 37 documents of each task, and 24 of toxigen
            assert set(counts) <= {9, 10, 6}
            assert (shard / "data.json").read_bytes() == (run_of(parts) / "data.json").read_bytes()

    def test_merging_again_changes_nothing_and_no_more_does_the_whole_command(
        self, whole: Path, parts: Path, tmp_path: Path
    ) -> None:
        here = shutil.copytree(parts, tmp_path / "here")
        ok(command("runs", "merge", str(run_of(here)), cwd=here))
        ok(command(*ask(), cwd=here))
        assert rows(here) == rows(whole)
        for name in ("scores.json", "responses.jsonl"):
            assert (run_of(here) / name).read_bytes() == (run_of(whole) / name).read_bytes()


class TestCommands:
    """Over copies of the four shards and the run of them."""

    @pytest.fixture
    def here(self, parts: Path, tmp_path: Path) -> Path:
        return shutil.copytree(parts, tmp_path / "here")

    def test_a_shard_says_what_it_holds_and_how_to_go_on(self, here: Path) -> None:
        said = ok(command(*ask("--shard", "2/4"), cwd=here))
        assert re.search(r"shard 2/4 holds \d+ responses, \d+ log-likelihoods, \d+ verd", said.out)
        merge = f"bfpo-bench runs merge {run_of(here).relative_to(here)}"
        assert f"4 of 4 shards in runs are finished; make the run of them: {merge}" in said.out

    def test_the_same_as_json(self, here: Path) -> None:
        [told] = json.loads(ok(command(*ask("--shard", "2/4", "--json"), cwd=here)).out)
        assert told["scores"] is None
        assert (told["shard"]["shard"], told["shard"]["finished"]) == ("2/4", 4)
        assert told["shard"]["lacking"] == []
        assert told["shard"]["verdicts"].keys() == {"stern", "picky", "refusal"}

    def test_its_list(self, here: Path) -> None:
        told = json.loads(ok(command("runs", "list", "--json", cwd=here)).out)["runs"]
        shards = {r["shard"]: r["reached"] for r in told}
        assert shards == {None: "scored"} | {f"{n}/4": "answered" for n in (1, 2, 3, 4)}
        said = ok(command("runs", "list", cwd=here)).out
        assert _reached(said) == ["scored", "4 of 4 shards,", "merged"]
        assert "make the run of them" not in said

    def test_its_list_before_they_are_merged(self, here: Path) -> None:
        """All finished, one begun again, one not there."""
        run = run_of(here).relative_to(here)
        shutil.rmtree(run_of(here))
        said = ok(command("runs", "list", cwd=here)).out
        assert _reached(said) == ["4 of 4 shards"]
        merge = f"make the run of them: bfpo-bench runs merge {run}"
        assert f"{run.name}: all shards are finished; {merge}\n" in said

        _, second, _, fourth = shards_of(here)
        told = manifest(second)
        told["sessions"].append({"started": "2026"})
        (second / "manifest.json").write_text(json.dumps(told))
        shutil.rmtree(fourth)
        said = ok(command("runs", "list", cwd=here)).out
        assert _reached(said) == ["2 of 4 shards"]
        assert f"{run.name}: not finished: shard 2/4, 4/4\n" in said

    @pytest.mark.parametrize(
        "words",
        [
            ("report", "SHARD"),
            ("compare", "SHARD", "RUN"),
            ("runs", "export", "SHARD", "--to", "lm-eval", "--out", "x"),
            ("judge", "SHARD", "--judge", "refusal"),
            ("leaderboard", "add", "SHARD"),
            ("push", "SHARD", "--to-hub", "me/x", "--dry-run"),
            (*small(tasks="bfpo_alpaca_eval"), "--judge", "./picky", "--baseline", "SHARD"),
        ],
        ids=lambda words: words[0],
    )
    def test_other_commands_refuse_it(self, here: Path, words: tuple[str, ...]) -> None:
        names = {"SHARD": str(shards_of(here)[0]), "RUN": str(run_of(here))}
        said = command(*(names.get(w, w) for w in words), cwd=here)
        assert said.code == 2, said.out
        assert "is shard 1/4 of a run: merge all its shards first, with `bfpo" in said.error

    def test_a_report_of_the_folder_passes_over_them(self, here: Path) -> None:
        ok(command("report", "runs", "--out", "page", cwd=here))
        shutil.rmtree(run_of(here))
        said = command("report", "runs", "--out", "page", cwd=here)
        assert said.code == 2
        assert re.fullmatch(
            f"error: The folder runs holds no finished run but shards of {RUN.replace('?', '.')}: "
            r"merge them first, with `bfpo-bench runs merge runs/\*.shard-\*`.",
            said.error,
        )

    def test_a_plan_has_its_share(self, here: Path) -> None:
        """Of 37 documents of seven tasks each half has 18 or 19; together 259."""
        total = 0
        for number in (1, 2):
            words = ("plan", *ask("--shard", f"{number}/2", "--json")[1:])
            told = json.loads(ok(command(*words, cwd=here)).out)
            assert told["shard"] == f"{number}/2"
            assert {t["documents"] for t in told["tasks"]} <= {18, 19}
            total += sum(t["documents"] for t in told["tasks"])
        assert total == 7 * 37

    def test_a_folder_of_another_shard_is_refused(self, here: Path) -> None:
        first, second, *_ = shards_of(here)
        shutil.rmtree(first)
        second.rename(first)
        said = command(*ask("--shard", "1/4"), cwd=here)
        assert said.code == 2
        assert "holds shard 2/4 of a run and not shard 1/4 of a run: move it away" in said.error

    @pytest.mark.parametrize("text", ["5/4", "x", "0/4"])
    def test_a_shard_that_is_none(self, tmp_path: Path, text: str) -> None:
        said = command(*small("--shard", text), cwd=tmp_path)
        assert (said.code, said.error.startswith("error: --shard")) == (2, True)

    def test_what_a_shard_lacks_is_made_by_its_command_and_merges(self, here: Path) -> None:
        """A line of it is lost: merging names it, its command finds it, and all is as before."""
        before = (run_of(here) / "scores.json").read_bytes()
        shutil.rmtree(run_of(here))
        file = shards_of(here)[2] / "responses.jsonl"
        file.write_bytes(file.read_bytes().split(b"\n", 1)[1])
        said = command("runs", "merge", *map(str, shards_of(here)), cwd=here)
        assert said.code == 2
        assert re.search(r"shard-3-of-4 lacks 1 of \d+ documents of bfpo_\w+: ", said.error)
        assert f"finish it with `bfpo-bench {' '.join(ask('--shard', '3/4'))[:20]}" in said.error
        assert not list(here.glob(f"runs/{RUN}"))
        ok(command(*ask("--shard", "3/4"), cwd=here))
        ok(command("runs", "merge", *map(str, shards_of(here)), cwd=here))
        assert (run_of(here) / "scores.json").read_bytes() == before

    def test_other_lines_in_the_run_are_left_alone(self, here: Path) -> None:
        file = run_of(here) / "discriminative" / "loglikelihoods.jsonl"
        file.write_bytes(file.read_bytes().split(b"\n", 1)[1])
        said = command("runs", "merge", str(run_of(here)), cwd=here)
        assert said.code == 2
        assert "loglikelihoods.jsonl holds other lines than the shards" in said.error

    def test_one_that_is_being_worked_on(self, here: Path) -> None:
        from bfpo_bench.runs.folder import RunFolder

        with RunFolder(shards_of(here)[1]).lock():
            said = command("runs", "merge", str(run_of(here)), cwd=here)
        assert said.code == 2
        assert "Another bfpo-bench is working on" in said.error
        assert "shard-2-of-4" in said.error

    def test_a_judge_that_has_changed_since(self, here: Path) -> None:
        rule_folder(here / "stern", "harm", '"harmless"')
        said = command("runs", "merge", str(run_of(here)), cwd=here)
        assert said.code == 2
        assert "shard-1-of-4 was judged by another stern (rules_sha256: " in said.error

    def test_into_another_folder_and_leaderboard(self, here: Path) -> None:
        ok(
            command(
                *("runs", "merge", str(run_of(here)), "--out", "elsewhere"),
                *("--leaderboard", "mine.csv", "--json"),
                cwd=here,
            )
        )
        [made] = here.glob("elsewhere/*/scores.json")
        assert made.read_bytes() == (run_of(here) / "scores.json").read_bytes()
        assert (here / "mine.csv").exists()


def _reached(table: str) -> list[str]:
    """What its third column says of runs, one below the other."""
    return re.findall(r"\d+ of \d+ shards,?|merged|answered|scored", table)


class TestSeveralRuns:
    """Of two models and two limits, in one folder."""

    ASKED = ("run", "--engine", "null", "--tasks", "bfpo_advbench", "--model", STORIES)

    @pytest.fixture(scope="class")
    def made(self, hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("several")
        for which in (("--limit", "5", "--model", REFUSER), ("--limit", "2")):
            for number in (1, 2):
                ok(command(*self.ASKED, *which, "--shard", f"{number}/2", cwd=folder))
        return folder

    @pytest.fixture
    def here(self, made: Path, tmp_path: Path) -> Path:
        return shutil.copytree(made, tmp_path / "here")

    def merge(self, here: Path, *more: str) -> Said:
        folders = sorted(str(p.relative_to(here)) for p in here.glob("runs/*.shard-*"))
        return command("runs", "merge", *folders, *more, cwd=here)

    def test_each_is_merged(self, here: Path) -> None:
        """Two of the rows are comparable with each other; the third has another limit."""
        said = ok(self.merge(here))
        made = [line for line in said.out.splitlines() if line.startswith("run: ")]
        scored = [str(p.parent.relative_to(here)) for p in here.glob("runs/*/scores.json")]
        assert sorted(made) == sorted(f"run: {name}" for name in scored)
        assert len(made) == len(rows(here)) == 3
        assert said.out.count("leaderboard: ") == 1
        told = json.loads(ok(self.merge(here, "--json")).out)
        assert sorted(one["run"] for one in told) == sorted(scored)

    def test_what_one_lacks_keeps_no_other_from_it(self, here: Path) -> None:
        """One lacks a shard, one has a manifest that is none; each is told, and the third is there."""
        first, other, *_ = sorted({p.name.partition(".")[0] for p in here.glob("runs/*")})
        shutil.rmtree(here / "runs" / f"{first}.shard-2-of-2")
        (here / "runs" / f"{other}.shard-1-of-2" / "manifest.json").write_text("[")
        said = self.merge(here)
        assert said.code == 2
        assert len(list(here.glob("runs/*/scores.json"))) == 1
        errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
        assert errors[0].startswith(f"error: {first} lacks shard 2/2: give the command of runs/")
        assert f"{other}.shard-1-of-2/manifest.json is not a manifest" in errors[1]
        assert len(errors) == 2
        assert said.out.count("run: ") == 1
        told = self.merge(here, "--json")
        assert (told.code, len(json.loads(told.out))) == (2, 1)

    def test_one_whose_scoring_dies_keeps_no_other_from_it(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, *_ = sorted({p.name.partition(".")[0] for p in here.glob("runs/*")})
        real = merge_shards._evaluate

        def dies(plan: Any, run: Any, ui: Any) -> None:
            if plan.folder.name == first:
                raise StageCrash("evaluate", "was killed", plan.folder / "logs" / "evaluate.log")
            real(plan, run, ui)

        with monkeypatch.context() as patched:
            patched.setattr(merge_shards, "_evaluate", dies)
            said = self.merge(here)
        assert (said.code, said.out.count("run: ")) == (3, 2)
        assert f"not scored: stage evaluate was killed; its log is runs/{first}/logs" in said.err
        assert ok(self.merge(here)).out.count("run: ") == 3


class TestFaults:
    def test_a_judge_that_breaks_is_not_finished(self, hub: str, tmp_path: Path) -> None:
        """Exit code 3; the same command with a mended judge goes on, and only judges."""
        rule_folder(tmp_path / "stern", "harm", "1 / 0")
        words = small("--judge", "./stern", "--shard", "1/1")
        said = command(*words, cwd=tmp_path)
        assert said.code == 3
        assert "it lacks 5 of 5 verdicts of stern on bfpo_advbench: the same command" in said.out
        assert "0 of 1 shards in runs are finished; when all are, make" in said.out
        refused = command("runs", "merge", str(shards_of(tmp_path)[0]), cwd=tmp_path)
        assert (refused.code, "lacks 5 of 5 verdicts of stern" in refused.error) == (2, True)

        rule_folder(tmp_path / "stern", "harm", '"harmless"')
        assert "1 of 1 shards" in ok(command(*words, cwd=tmp_path)).out
        ok(command("runs", "merge", str(shards_of(tmp_path)[0]), cwd=tmp_path))

    def test_choices_alone_merge_without_a_judge(self, hub: str, tmp_path: Path) -> None:
        for number in (1, 2):
            words = small("--shard", f"{number}/2", tasks="bfpo_ethics_cm")
            ok(command(*words, cwd=tmp_path))
        ok(command("runs", "merge", *map(str, shards_of(tmp_path)), cwd=tmp_path))
        assert json.loads((run_of(tmp_path) / "scores.json").read_text())["judges"] == []

    def test_more_shards_than_documents(self, hub: str, tmp_path: Path) -> None:
        for number in range(1, 8):
            ok(command(*small("--limit", "2", "--shard", f"{number}/7"), cwd=tmp_path))
        ok(command("runs", "merge", *map(str, shards_of(tmp_path)), cwd=tmp_path))
        assert (run_of(tmp_path) / "responses.jsonl").read_text().count("\n") == 2

    def test_a_merge_asks_nothing_of_the_machine(
        self, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A judge's model, too large for where the shards are merged, has said all that it had to."""
        words = small("--limit", "1", "--max-new-tokens", "4", tasks="bfpo_advbench")
        judge = ("--engine", "transformers", "--judge", f"yesno={REFUSER}")
        assert command(*words, *judge, "--shard", "1/1", cwd=tmp_path).code == 0
        [shard] = tmp_path.glob("runs/*.shard-*")

        def nothing(*_: object, **__: object) -> None:
            raise AssertionError("the machine is looked at")

        monkeypatch.setattr("bfpo_bench.engines.probe.probe_vllm", nothing)
        monkeypatch.setattr("bfpo_bench.engines.parallel_here.cpu_split", nothing)
        said = command("runs", "merge", str(shard), cwd=tmp_path)
        # It cannot make anything of that model's only answer
        assert said.code == 3, said.err
        assert list(tmp_path.glob("runs/*/scores.json"))

    def test_no_password_is_kept(self, hub: str, tmp_path: Path) -> None:
        url = ("--judge-url", "http://me:secret@127.0.0.1:9/v1", "--shard", "1/2")
        ok(command(*small(*url), cwd=tmp_path))
        text = (shards_of(tmp_path)[0] / "manifest.json").read_text()
        assert "secret" not in text
        assert '"judge_url": "http://127.0.0.1:9/v1"' in text


class TestOfAModel:
    """Answers that a model gave: another batch is another order of sums."""

    ASKED = (
        *("run", "--engine", "transformers", "--model", HEAD64, "--limit", "12"),
        *("--tasks", "bfpo_advbench,bfpo_ethics_justice", "--max-new-tokens", "24"),
    )

    def test_they_are_the_whole_runs_but_for_near_ties(self, hub: str, tmp_path: Path) -> None:
        """Every answer is the same, or parts where two tokens are as likely; log-probabilities agree to
        1e-3, and so do scores where none parts."""
        ok(command(*self.ASKED, "--out", "whole", cwd=tmp_path))
        for number in range(1, COUNT + 1):
            ok(command(*self.ASKED, "--shard", f"{number}/{COUNT}", cwd=tmp_path))
        shards = sorted(map(str, tmp_path.glob("runs/*.shard-*")))
        ok(command("runs", "merge", *shards, "--out", "merged", cwd=tmp_path))
        [one], [two] = ((tmp_path / name).iterdir() for name in ("whole", "merged"))
        answers, others = ({r.key: r for r in RunFolder(f).responses()} for f in (one, two))
        assert answers.keys() == others.keys()
        assert len(answers) == 12
        parted = gaps(HEAD64, answers, others)
        assert all(gap < NEAR for gap in parted.values()), parted
        known, scored = ({s.key: s for s in RunFolder(f).likelihoods()} for f in (one, two))
        assert known.keys() == scored.keys()
        assert scored
        for key, found in scored.items():
            assert found.logprob == pytest.approx(known[key].logprob, abs=1e-3)
        if not parted:
            assert (one / "scores.json").read_bytes() == (two / "scores.json").read_bytes()

    def test_an_answer_of_another_run_is_no_near_tie(self, hub: str, tmp_path: Path) -> None:
        """What the test above would say of two answers that were mixed up."""
        ok(command(*self.ASKED, "--out", "whole", cwd=tmp_path))
        [run] = (tmp_path / "whole").iterdir()
        answers = {r.key: r for r in RunFolder(run).responses()}
        first, second = list(answers)[:2]
        mixed = answers | {first: replace(answers[first], response=answers[second].response)}
        [(key, gap)] = gaps(HEAD64, mixed, answers).items()
        assert key == first
        assert gap > NEAR


class TestProcesses:
    """The program itself, on one OUT and one HF_HOME."""

    def test_two_at_a_time_and_one_killed_on_its_way(self, hub: str, tmp_path: Path) -> None:
        """Shard 1 is killed with everything that it started, and begun again beside shard 2."""
        slow = (
            "--engine",
            "transformers",
            "--engine-arg",
            "batch_size=1",
            "--max-new-tokens",
            "12",
        )
        words = ("run", "--model", STORIES, "--limit", "40", "--tasks", "bfpo_advbench", *slow)
        killed(*words, "--shard", "1/2", cwd=tmp_path, responses=2)
        both = [start(*words, "--shard", f"{n}/2", cwd=tmp_path) for n in (1, 2)]
        for one in both:
            _, err = one.communicate(timeout=500)
            assert one.returncode == 0, err
        shards = sorted(map(str, tmp_path.glob("runs/*.shard-*")))
        done = bench("runs", "merge", *shards, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        [run] = (p for p in (tmp_path / "runs").iterdir() if str(p) not in shards)
        stored = [json.loads(line) for line in (run / "responses.jsonl").read_text().splitlines()]
        assert [r["doc_id"] for r in stored] == list(range(40))

    @pytest.mark.long
    def test_the_scripts_of_the_page(self, hub: str, tmp_path: Path) -> None:
        """With Slurm's variables set by hand: an array of two, of which the first is given again."""
        page = [f for f in parse_file(ROOT / "docs" / "shards.md") if isinstance(f, File)]
        for file in page:
            text = file.text.replace("Qwen/Qwen2.5-0.5B-Instruct", REFUSER)
            text = text.replace('"$PWD/bundle"', f'"{os.environ["HF_HOME"]}"')
            (tmp_path / file.name).write_text(text.replace("--offline ", ""))
        few = ("--engine", "null", "--limit", "3", "--tasks", "bfpo_xstest_*")
        for number, variables in (
            ("1", {"SLURM_ARRAY_TASK_COUNT": "2"}),
            ("2", {"SLURM_ARRAY_TASK_COUNT": "2"}),
            ("1", {"SLURM_ARRAY_TASK_COUNT": "1", "SHARDS": "2"}),
        ):
            ok_shell("shard.sbatch", *few, cwd=tmp_path, SLURM_ARRAY_TASK_ID=number, **variables)
        ok_shell("merge.sbatch", cwd=tmp_path)
        assert len(shards_of(tmp_path)) == 2
        assert (run_of(tmp_path) / "responses.jsonl").read_text().count("\n") == 6
        shutil.rmtree(tmp_path / "runs")
        ok_shell("shards.sh", *few, cwd=tmp_path)
        assert len(shards_of(tmp_path)) == 4
        assert (run_of(tmp_path) / "responses.jsonl").read_text().count("\n") == 6


def ok_shell(script: str, *arguments: str, cwd: Path, **variables: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", script, *arguments],
        cwd=cwd,
        env=environment(PATH=path, USER="me", TMPDIR=str(cwd), **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
