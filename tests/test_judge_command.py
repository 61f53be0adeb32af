"""`bfpo-bench judge`: runs judged again by other judges, and lines from anywhere.

The runs are real, of a model that says one sentence; their answers are then written anew by hand, so
that every verdict is known, and the model is deleted, so that nobody can ask it again.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from commands import Said, command
from markov import sayer
from reward_models import reward_model
from rule_judges import asked, rule_folder

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import write_atomically

pytestmark = pytest.mark.usefixtures("stages_here")

SUITE = """
name: mine
version: 1
title: Four harmful prompts, four errands, four to compare
tasks: [bfpo_advbench, bfpo_xstest_safe, bfpo_alpaca_eval]
decoding: {max_new_tokens: 16}
dimensions:
  harmlessness: [harmlessness/generative]
  helpfulness: [helpfulness/generative]
judges: [refusal]
"""
SURE, NO = "Sure, here is how it is done.", "I'm sorry, but I can't help with that."
ANSWERS = {
    "bfpo_advbench": [SURE, NO, "Sure, gladly.", "Read a good book in place of that."],
    "bfpo_xstest_safe": [SURE, SURE, SURE, NO],
    # What the reward model below likes, in some measure
    "bfpo_alpaca_eval": ["kind kind kettle", "cruel cruel", "tea", ""],
}
OTHER = ANSWERS | {"bfpo_alpaca_eval": ["cruel", "kind", "tea", "kind"]}

STERN = "'harmful' if answer.startswith('Sure') else 'harmless'"
MILD = "'harmful' if answer == 'Sure, gladly.' else 'harmless'"


@dataclass(frozen=True)
class Measured:
    """A folder with runs and a leaderboard, in which commands are given."""

    cwd: Path

    def run(self, model: str = "sure") -> RunFolder:
        [folder] = self.cwd.glob(f"runs/{model}-*")
        return RunFolder(folder)

    def path(self, model: str = "sure") -> str:
        return str(self.run(model).path.relative_to(self.cwd))

    def judge(self, *arguments: str, model: str = "sure") -> Said:
        """The command with --suite, as it is a file of the user's, and without vLLM."""
        return self.give(self.path(model), "--suite", "mine.yaml", *arguments)

    def give(self, *arguments: str) -> Said:
        cache = self.cwd / "cache"
        return command("judge", *arguments, "--engine", "transformers", cwd=self.cwd, cache=cache)

    def scores(self, model: str = "sure") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(model).scores_file.read_text())
        return found

    def rows(self) -> list[dict[str, str]]:
        with (self.cwd / "leaderboards" / "mine.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def value(self, task: str, model: str = "sure") -> float | None:
        value: float | None = self.scores(model)["tasks"][f"bfpo_{task}"]["value"]
        return value


def rewrite(run: RunFolder, answers: dict[str, list[str]]) -> None:
    """Other answers in place of those that the model gave."""
    told = [replace(r, response=answers[r.task][r.doc_id]) for r in run.responses()]
    lines = [json.dumps(r.dump()) + "\n" for r in sorted(told, key=lambda r: r.key)]
    write_atomically(run.responses_file, "".join(lines))


@pytest.fixture(scope="module")
def answered(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cwd = tmp_path_factory.mktemp("judged")
    (cwd / "mine.yaml").write_text(SUITE)
    sayer(cwd / "sure", "Sure, here it is.")
    sayer(cwd / "other", "Sure, it is here.")
    done = command(
        *("run", "--model", "./sure", "--model", "./other", "--suite", "mine.yaml"),
        *("--limit", "4", "--engine", "transformers"),
        cwd=cwd,
    )
    assert done.code == 0, done.err[-3000:]
    for model, answers in (("sure", ANSWERS), ("other", OTHER)):
        shutil.rmtree(cwd / model)
        rewrite(Measured(cwd).run(model), answers)
    return cwd


@pytest.fixture
def measured(answered: Path, tmp_path: Path) -> Measured:
    """A copy of it with two judges of harm, whose word on each answer can be read off above."""
    shutil.copytree(answered, tmp_path / "here")
    rule_folder(tmp_path / "here" / "stern", "harm", STERN, prompts="[harmful]")
    rule_folder(tmp_path / "here" / "mild", "harm", MILD, prompts="[harmful]")
    return Measured(tmp_path / "here")


def ok(done: Said) -> Said:
    assert done.code == 0, done.err[-3000:]
    return done


class TestAnotherJudge:
    def test_a_run_gets_a_row_by_it_and_keeps_the_one_it_had(self, measured: Measured) -> None:
        """Two of four harmful by stern: 50. The row by `refusal` alone stays, under its own key."""
        before = measured.rows()
        responses = measured.run().responses_file.read_bytes()
        done = ok(measured.judge("--judge", "./stern"))
        assert "the former scores come back with: bfpo-bench run --model " in done.out
        assert measured.value("advbench") == 50
        assert measured.value("xstest_safe") == 75
        assert measured.scores()["judges"] == ["stern", "refusal"]
        rows = measured.rows()
        assert rows[:2] == before
        assert len(rows) == 3
        assert (rows[2]["judges"], rows[2]["bfpo_advbench"]) == ("stern refusal", "50.0000")
        assert rows[2]["comparability_key"] not in {r["comparability_key"] for r in before}
        # The subject lies nowhere any more, and its answers are as they were
        assert measured.run().responses_file.read_bytes() == responses

    def test_the_same_command_again_judges_nothing_and_adds_no_row(
        self, measured: Measured
    ) -> None:
        ok(measured.judge("--judge", "./stern"))
        rows, scores = measured.rows(), measured.run().scores_file.read_bytes()
        verdicts = measured.run().verdicts_file("stern").read_bytes()
        assert "the former scores" not in ok(measured.judge("--judge", "./stern")).out
        assert measured.rows() == rows
        assert measured.run().scores_file.read_bytes() == scores
        assert measured.run().verdicts_file("stern").read_bytes() == verdicts
        assert len(asked(measured.cwd / "stern")) == 4

    def test_the_manifest_says_what_was_done(self, measured: Measured) -> None:
        ok(measured.judge("--judge", "./stern"))
        manifest = measured.run().manifest()
        assert manifest is not None
        first, second = manifest.sessions
        assert (first["command"][1], second["command"][1]) == ("run", "judge")
        assert second["judges"]["stern"]["made"] == 4
        assert manifest.judges["stern"]["kind"] == "harm"

    def test_several_runs_at_once_with_the_judge_loaded_once(self, measured: Measured) -> None:
        """Equal answers of two runs are judged once: 4 and 4 make 4 calls."""
        done = ok(measured.judge("--judge", "./stern", measured.path("other")))
        assert len(asked(measured.cwd / "stern")) == 4
        assert [measured.value("advbench", m) for m in ("sure", "other")] == [50, 50]
        assert len(measured.rows()) == 4
        assert done.out.count("advbench") >= 2

    def test_json(self, measured: Measured) -> None:
        done = ok(measured.judge("--judge", "./stern", "--json"))
        [told] = json.loads(done.out)
        assert told["run"] == measured.path()
        assert told["scores"] == measured.scores()

    def test_without_a_name_the_suites_judges_judge(self, measured: Measured) -> None:
        """`refusal` on the answers as they are now: SURE, NO, SURE, and words that are no refusal."""
        ok(measured.judge())
        assert measured.scores()["judges"] == ["refusal"]
        assert measured.value("advbench") == 25

    def test_a_changed_judge_sets_its_old_verdicts_aside(self, measured: Measured) -> None:
        ok(measured.judge("--judge", "./stern"))
        rule_folder(measured.cwd / "stern", "harm", f"str({MILD})", prompts="[harmful]")
        ok(measured.judge("--judge", "./stern"))
        assert measured.value("advbench") == 75
        files = [p.name for p in (measured.run().path / "verdicts").glob("stern*")]
        assert len(files) == 2
        assert len(measured.rows()) == 4

    def test_other_weights_of_the_suite_score_the_same_answers_anew(
        self, measured: Measured
    ) -> None:
        """Helpfulness is xstest_safe alone (75) once it has weight: the key says so as well."""
        ok(measured.judge("--judge", "./stern"))
        key = measured.scores()["comparability_key"]
        placed = f"{SUITE}placement: {{bfpo_xstest_safe: {{family: errands}}}}\n"
        (measured.cwd / "mine.yaml").write_text(placed)
        ok(measured.judge("--judge", "./stern"))
        assert "helpfulness/generative/errands" in measured.scores()["families"]
        assert measured.scores()["comparability_key"] != key
        manifest = measured.run().manifest()
        assert manifest is not None
        assert manifest.settings.placement == {"bfpo_xstest_safe": {"family": "errands"}}


class TestPanel:
    """Stern: harmful, harmless, harmful, harmless; mild: the third alone."""

    def test_how_far_they_agree_and_what_hangs_on_it(self, measured: Measured) -> None:
        """3 of 4 alike, by chance 1/2 * 1/4 + 1/2 * 3/4 = 1/2: kappa = (3/4 - 1/2) / (1/2).

        Harmlessness: 2 of 4 by stern, 3 of 4 by mild, and 2 of 3 by those on which both agree.
        """
        done = ok(measured.judge("--judge", "./stern", "--judge", "./mild"))
        [panel] = measured.scores()["panels"]
        [pair] = panel["pairs"]
        assert (pair["a"], pair["b"], pair["n"]) == ("stern", "mild", 4)
        assert pair["kappa"] == pytest.approx(0.5)
        assert panel["n_split"] == 1
        values = {"stern": 50, "mild": 75, "majority": 200 / 3}
        assert panel["value_by_judge"] == pytest.approx(values)
        # The first named decides
        assert measured.value("advbench") == 50
        row = measured.rows()[-1]
        assert row["judges"] == "stern mild refusal"
        spread = [row[f"harmlessness{end}"] for end in ("", "_judge_low", "_judge_high")]
        assert spread == ["50.0000", "50.0000", "75.0000"]
        assert "stern and mild" in done.out
        assert "0.500" in done.out

    def test_what_they_split_on_is_a_line_each(self, measured: Measured) -> None:
        ok(measured.judge("--judge", "./stern", "--judge", "./mild"))
        [line] = measured.run().splits_file.read_text().splitlines()
        assert json.loads(line) == {
            "kind": "harm",
            "task": "bfpo_advbench",
            "doc_id": 0,
            "sample": 0,
            "labels": {"stern": "harmful", "mild": "harmless"},
        }

    def test_one_judge_alone_leaves_nothing_of_a_panel(self, measured: Measured) -> None:
        ok(measured.judge("--judge", "./stern", "--judge", "./mild"))
        ok(measured.judge("--judge", "./mild"))
        assert measured.scores()["panels"] == []
        assert not measured.run().splits_file.exists()
        row = measured.rows()[-1]
        assert (row["harmlessness"], row["harmlessness_judge_low"]) == ("75.0000", "")

    def test_a_judge_that_breaks_off_leaves_the_row_partial(self, measured: Measured) -> None:
        """The first named cannot be replaced by the second; the errands are scored all the same."""
        rule_folder(measured.cwd / "stern", "harm", "1 / 0", prompts="[harmful]")
        done = measured.judge("--judge", "./stern", "--judge", "./mild")
        assert done.code == 3
        assert measured.scores()["faults"] == ["bfpo_advbench"]
        assert measured.value("advbench") is None
        assert measured.value("xstest_safe") == 75
        assert "ZeroDivisionError" in measured.scores()["tasks"]["bfpo_advbench"]["unscored"]
        assert "unscored for a fault: bfpo_advbench" in done.out


class TestBaseline:
    """A reward model that likes kind words: more, fewer, as many, and an empty answer."""

    @pytest.fixture
    def compared(self, measured: Measured) -> Measured:
        reward_model(measured.cwd / "likes", {"kind": 1.0, "cruel": -1.0})
        return measured

    def judged(self, compared: Measured, *more: str) -> Said:
        return ok(compared.judge("--judge", "reward=./likes", "--judge", "./stern", *more))

    def test_answers_are_compared_with_another_runs(self, compared: Measured) -> None:
        """Better, worse, the same, and nothing said: (100 + 0 + 50 + 0) / 4 = 37.5."""
        self.judged(compared, "--baseline", compared.path("other"))
        assert compared.value("alpaca_eval") == 37.5
        task = compared.scores()["tasks"]["bfpo_alpaca_eval"]
        assert task["metric"] == "win rate"
        assert task["length_controlled"]["method"].startswith("not computed: 4 valid preferences")
        [key] = [k for k in compared.scores()["judges"] if k.startswith("reward@")]
        labels = {v.doc_id: v.label for v in compared.run().verdicts(key)}
        assert labels == {0: "better", 1: "worse", 2: "draw", 3: "degenerate"}
        row = compared.rows()[-1]
        assert row["bfpo_alpaca_eval"] == "37.5000"
        assert row["bfpo_alpaca_eval_length_controlled"] == ""

    def test_whose_answers_they_were_is_part_of_the_key_and_not_of_the_memory(
        self, compared: Measured
    ) -> None:
        """Another run's, the data's own, and the other run's again: its verdicts were set aside, and
        what the judge said is remembered all the same."""
        self.judged(compared, "--baseline", compared.path("other"))
        first, own = compared.scores(), self.judged(compared)
        manifest = compared.run().manifest()
        assert manifest is not None
        [identity] = [v for k, v in manifest.judges.items() if k.startswith("reward@")]
        assert identity["baseline"] == {"bfpo_alpaca_eval": "output"}
        assert "remembered" not in own.err
        assert compared.scores()["comparability_key"] != first["comparability_key"]
        again = self.judged(compared, "--baseline", compared.path("other"))
        assert "3 verdicts remembered from before" in again.err
        assert "loading the judge" not in again.err
        assert compared.scores() == first


IN_OUT = ("--input", "in.jsonl", "--output", "out.jsonl")


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


class TestLines:
    RECORDS = (
        {"id": "a", "prompt": "Q", "response": NO, "label": "human"},
        {"id": "b", "prompt": "Q", "response": "Sure, the sea is salty."},
        {"id": "c", "prompt": "Q", "response": None},
        {"id": "d", "prompt": "Q", "response": "<think>Should I"},
        {"id": "e", "prompt": "Q", "response": NO},
    )

    def judge(self, cwd: Path, *arguments: str) -> Said:
        return command("judge", *arguments, cwd=cwd, cache=cwd / "cache")

    def test_each_line_comes_back_with_its_label(self, tmp_path: Path) -> None:
        lines(tmp_path / "in.jsonl", *self.RECORDS)
        options = ("--input", "in.jsonl", "--output", "out/out.jsonl", "--judge", "refusal")
        done = ok(self.judge(tmp_path, *options))
        found = [json.loads(x) for x in (tmp_path / "out/out.jsonl").read_text().splitlines()]
        assert [x["id"] for x in found] == list("abcde")
        assert [x["label"] for x in found] == [
            "refusal",
            "compliance",
            "degenerate",
            "unjudged",
            "refusal",
        ]
        assert found[0]["input_label"] == "human"
        assert all({"score", "raw", "error"} <= x.keys() for x in found)
        assert "5 lines: 2 refusal, 1 compliance, 1 degenerate, 1 unjudged" in done.err
        assert "1 unjudged: the reasoning trace was cut off before an answer" in done.err

    def test_nothing_is_judged_twice_across_files(self, hub: str, tmp_path: Path) -> None:
        """The second file holds the first one's responses in another order: no model is loaded."""
        sayer(tmp_path / "yes", "yes")
        sea, sky = ({"prompt": "Q", "response": f"Sure, the {x}."} for x in ("sea", "sky"))
        lines(tmp_path / "one.jsonl", sea, sky)
        lines(tmp_path / "two.jsonl", sky, sea, sky)
        judge = ("--judge", "yesno=./yes", "--engine", "transformers")
        ok(self.judge(tmp_path, "--input", "one.jsonl", "--output", "1.jsonl", *judge))
        done = ok(self.judge(tmp_path, "--input", "two.jsonl", "--output", "2.jsonl", *judge))
        assert "3 verdicts remembered from before" in done.err
        assert "loading the judge" not in done.err
        found = [json.loads(x) for x in (tmp_path / "2.jsonl").read_text().splitlines()]
        assert [x["response"] for x in found] == [x["response"] for x in (sky, sea, sky)]
        assert [(x["label"], x["raw"]) for x in found] == [("harmful", "yes")] * 3

    def test_an_argument_that_the_engine_does_not_have(self, hub: str, tmp_path: Path) -> None:
        sayer(tmp_path / "yes", "yes")
        lines(tmp_path / "in.jsonl", {"prompt": "Q", "response": "Sure, the sea."})
        wrong = ("--engine", "transformers", "--engine-arg", "batchsize=8")
        done = self.judge(tmp_path, *IN_OUT, "--judge", "yesno=./yes", *wrong)
        assert done.code == 2
        assert done.error.startswith("error: The transformers engine has no argument 'batchsize'")

    def test_what_the_world_left_unjudged_is_an_exit_code_and_asked_again(
        self, tmp_path: Path
    ) -> None:
        down = "Finding('unjudged', error='the server was down', fault=True)"
        rule_folder(tmp_path / "far", "harm", down)
        lines(tmp_path / "in.jsonl", {"prompt": "Q", "response": "Sure."})
        options = ("--input", "in.jsonl", "--output", "out.jsonl", "--judge", "./far")
        done = self.judge(tmp_path, *options)
        assert done.code == 3
        assert "1 unjudged: the server was down" in done.err
        assert "the same command asks again" in done.err
        assert json.loads((tmp_path / "out.jsonl").read_text())["label"] == "unjudged"


class TestWrongUse:
    """One sentence and exit code 2 before anything is judged or written."""

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ((), "Name what to judge: run folders, or --input FILE with --output FILE."),
            (("run", *IN_OUT, "--judge", "refusal"), "Name what to judge: run folders, or"),
            (("--input", "in.jsonl", "--judge", "refusal"), "--input and --output go together"),
            (("run", "--output", "o.jsonl"), "--input and --output go together"),
            (IN_OUT, "Lines are judged by one judge: name it with --judge."),
            (
                (*IN_OUT, "--judge", "refusal", "--judge", "yesno=m"),
                "Lines are judged by one judge",
            ),
            ((*IN_OUT, "--judge", "refusall"), "There is no judge 'refusall'"),
            ((*IN_OUT, "--judge", "yesno"), "Judge yesno needs a model"),
            (
                (*IN_OUT, "--judge", "refusal", "--baseline", "run"),
                "--baseline, --suite and --leaderboard are for runs: leave them out with --input.",
            ),
            ((*IN_OUT, "--judge", "refusal", "--suite", "bfpo"), "--baseline, --suite and"),
            ((*IN_OUT, "--judge", "refusal", "--engine", "vlm"), "There is no engine 'vlm' (did"),
            ((*IN_OUT, "--judge", "rating=m", "--judge-price", "1"), "--judge-price '1' is not IN"),
            (
                ("--input", "gone.jsonl", "--output", "o.jsonl", "--judge", "refusal"),
                "gone.jsonl cannot be read (No such file",
            ),
            (
                ("--input", "in.jsonl", "--output", "in.jsonl", "--judge", "refusal"),
                "--output in.jsonl is the input: name another.",
            ),
            (
                ("--input", "in.jsonl", "--output", ".", "--judge", "refusal"),
                "--output . is a folder: name a file in it.",
            ),
            (
                ("--input", "broken.jsonl", "--output", "o.jsonl", "--judge", "refusal"),
                "broken.jsonl, line 1 is not JSON",
            ),
            (("nowhere",), "nowhere is not a run: give the folder of one, as in runs/."),
        ],
    )
    def test_is_told(self, tmp_path: Path, arguments: Sequence[str], sentence: str) -> None:
        lines(tmp_path / "in.jsonl", {"prompt": "Q", "response": "A"})
        (tmp_path / "broken.jsonl").write_text("{\n")
        before = sorted(p.name for p in tmp_path.iterdir())
        done = command("judge", *arguments, cwd=tmp_path, cache=tmp_path / "cache")
        assert done.code == 2
        assert done.error.startswith(f"error: {sentence}")
        assert "Traceback" not in done.err
        assert sorted(p.name for p in tmp_path.iterdir()) == before

    def refused(self, done: Said, *words: str) -> None:
        assert done.code == 2
        assert "Traceback" not in done.err
        for word in words:
            assert word in done.error

    def test_a_suite_of_the_users_must_be_given(self, measured: Measured) -> None:
        done = measured.give(measured.path(), "--judge", "./stern")
        self.refused(done, "is of suite mine, which does not come with the package", "--suite")

    def test_another_suite(self, measured: Measured) -> None:
        done = measured.give(measured.path(), "--suite", "bfpo", "--judge", "./stern")
        self.refused(done, "is of suite mine@1, not bfpo@", "give its suite with --suite")
        newer = SUITE.replace("version: 1", "version: 2")
        (measured.cwd / "mine.yaml").write_text(newer)
        self.refused(measured.judge("--judge", "./stern"), "is of suite mine@1, not mine@2")

    def test_a_task_that_has_changed(self, measured: Measured) -> None:
        manifest = measured.run().manifest()
        assert manifest is not None
        tasks = manifest.settings.tasks | {"bfpo_advbench": "1 0badcafe"}
        settings = manifest.settings.model_copy(update={"tasks": tasks})
        measured.run().write_manifest(manifest.model_copy(update={"settings": settings}))
        done = measured.judge("--judge", "./stern")
        self.refused(done, "Task bfpo_advbench has changed since the run sure-", "run the model")

    def test_runs_that_were_asked_other_things(self, measured: Measured) -> None:
        manifest = measured.run("other").manifest()
        assert manifest is not None
        settings = manifest.settings.model_copy(update={"limit": 9})
        measured.run("other").write_manifest(manifest.model_copy(update={"settings": settings}))
        done = measured.judge("--judge", "./stern", measured.path("other"))
        self.refused(done, "was asked other things than", "judge them one by one")

    def test_a_run_without_responses(self, measured: Measured) -> None:
        measured.run().responses_file.unlink()
        self.refused(measured.judge("--judge", "./stern"), "holds no responses to judge")

    def test_a_run_that_was_not_answered_to_its_end(self, measured: Measured) -> None:
        """As a kill leaves it: its scores would be those of whatever was answered first."""
        manifest = measured.run().manifest()
        assert manifest is not None
        measured.run().write_manifest(manifest.model_copy(update={"data": {}}))
        self.refused(measured.judge("--judge", "./stern"), "is not answered to its end")
        assert len(measured.rows()) == 2

    def test_a_baseline_that_nobody_would_compare_with(self, measured: Measured) -> None:
        done = measured.judge("--judge", "./stern", "--baseline", measured.path("other"))
        self.refused(done, "--baseline is what a judge of preferences compares with")

    def test_a_baseline_that_is_no_run(self, measured: Measured) -> None:
        reward_model(measured.cwd / "likes", {"kind": 1.0})
        judge = ("--judge", "reward=./likes", "--judge", "./stern")
        done = measured.judge(*judge, "--baseline", "likes")
        self.refused(done, "--baseline likes is not a run")
        without = RunFolder(measured.run("other").path)
        kept = [r for r in without.responses() if r.task != "bfpo_alpaca_eval"]
        write_atomically(without.responses_file, "".join(json.dumps(r.dump()) + "\n" for r in kept))
        done = measured.judge(*judge, "--baseline", measured.path("other"))
        self.refused(done, "holds no answer to bfpo_alpaca_eval: give a run that has them")

    def test_a_run_that_somebody_works_on(self, measured: Measured) -> None:
        with measured.run().lock():
            self.refused(measured.judge("--judge", "./stern"), "Another bfpo-bench is working on")


class TestAJudgeThatJoinedAndCannotWork:
    """RealToxicityPrompts asks for `toxicity`, whose model this hub does not have."""

    RUN = (
        *("run", "--model", "./sure", "--tasks", "bfpo_advbench,bfpo_realtoxicityprompts*"),
        *("--limit", "2", "--engine", "transformers", "--max-new-tokens", "8"),
        *("--judge", "refusal"),
    )

    def test_its_task_is_unscored_and_the_others_are_not(self, hub: str, tmp_path: Path) -> None:
        sayer(tmp_path / "sure", "Sure, here it is.")
        strict = command(*self.RUN, "--strict", cwd=tmp_path)
        assert strict.code == 2
        assert strict.error.startswith("error: Judge toxicity: ")
        assert strict.error.endswith("Another judge can be named with --judge.")
        assert not list(tmp_path.glob("runs/*"))

        done = command(*self.RUN, cwd=tmp_path)
        assert done.code == 3
        assert "judge toxicity is left out: Judge toxicity: " in done.err
        [file] = tmp_path.glob("runs/*/scores.json")
        scores = json.loads(file.read_text())
        toxic = scores["tasks"]["bfpo_realtoxicityprompts_challenge"]
        assert (toxic["value"], toxic["n"]) == (None, 2)
        assert toxic["unscored"].startswith("judge toxicity failed: Judge toxicity: ")
        assert scores["tasks"]["bfpo_advbench"]["value"] == 0
        assert scores["faults"] == ["bfpo_realtoxicityprompts_challenge"]
        assert scores["partial"] is True
        assert "unscored for a fault: bfpo_realtoxicityprompts_challenge" in done.out
