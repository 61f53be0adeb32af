"""--trust-remote-code and --allow-pickle: which models they are for, and where that is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Said, command
from markov import sayer
from own_code import pickled, with_own_code
from reward_models import reward_model
from rule_judges import rule_folder

from bfpo_bench import judging
from bfpo_bench.cli.options import engine_arguments
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judging import JudgeOptions, check_trusted, plan_judge

pytestmark = pytest.mark.usefixtures("stages_here")

SUITE = """
name: mine
version: 1
title: Harmful prompts
tasks: [bfpo_advbench]
decoding: {max_new_tokens: 4}
dimensions:
  harmlessness: [harmlessness/generative]
judges: [refusal]
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "in.jsonl").write_text('{"prompt": "kettle", "response": "kind tea, with milk"}\n')
    (tmp_path / "mine.yaml").write_text(SUITE)
    return tmp_path


def judge(here: Path, *arguments: str) -> Said:
    return command(
        *("judge", "--input", "in.jsonl", "--output", "out.jsonl", "--engine", "transformers"),
        *arguments,
        cwd=here,
        cache=here / "cache",
    )


class TestJudge:
    def test_a_judge_in_a_pickle_with_code_of_its_own(self, here: Path) -> None:
        """Refused before anything is loaded, for one reason and then the other; allowed, it judges."""
        with_own_code(pickled(reward_model(here / "own", {"kind": 1.0})), here / "ran")
        refused = judge(here, "--judge", "reward=./own")
        assert refused.code == 2
        assert "own has its weights as a PyTorch pickle alone (pytorch_model.bin)" in refused.error
        own = ("--judge", "reward=./own", "--allow-pickle")
        refused = judge(here, *own)
        assert refused.code == 2
        assert refused.error == (
            "error: Judge reward: own wants to run code of its own (own_model.py): read that, and give "
            "--trust-remote-code ./own where a command measures or judges, or name another model."
        )
        assert not (here / "ran").exists()
        trusted = judge(here, *own, "--trust-remote-code", "./own")
        assert trusted.code == 0, trusted.err
        assert (here / "ran").exists()
        assert json.loads((here / "out.jsonl").read_text())["score"] is not None

    def test_trust_in_another_model_is_a_mistake(self, here: Path) -> None:
        reward_model(here / "own", {"kind": 1.0})
        done = judge(here, "--judge", "reward=./own", "--trust-remote-code", "own")
        assert done.code == 2
        assert done.error == (
            "error: --trust-remote-code own is no model of this command (./own): write it as --model "
            "or --judge does."
        )


class TestRun:
    def test_a_subject_with_code_of_its_own(self, hub: str, here: Path) -> None:
        with_own_code(sayer(here / "own", "yes"), here / "ran")

        def plan(*arguments: str) -> Said:
            model = ("--model", "./own", "--suite", "mine.yaml", "--engine", "transformers")
            return command("plan", *model, *arguments, cwd=here, cache=here / "cache")

        assert "own wants to run code of its own" in plan().error
        assert plan("--trust-remote-code", "./own").code == 0
        wrong = plan("--trust-remote-code", "refusal")
        assert "--trust-remote-code refusal is no model of this command (./own)" in wrong.error
        assert not (here / "ran").exists()

    def test_what_was_allowed_is_kept(self, hub: str, here: Path) -> None:
        pickled(sayer(here / "old", "yes"))

        def run(*arguments: str) -> Said:
            model = ("--model", "./old", "--suite", "mine.yaml", "--limit", "1")
            engine = ("--engine", "null")
            return command("run", *model, *engine, *arguments, cwd=here, cache=here / "cache")

        assert "a PyTorch pickle alone" in run().error
        assert not (here / "runs").exists()
        assert run("--allow-pickle").code == 0
        [manifest] = here.glob("runs/*/manifest.json")
        assert json.loads(manifest.read_text())["model_source"]["pickles"] == ["pytorch_model.bin"]


class TestNames:
    def local(self, folder: Path, **more: str) -> Judge:
        fields = {"engine": "generate", "request": "false", "prompt": "prompt.txt"}
        rule_folder(folder, "harm", "'harmful'", **fields, **more)
        (folder / "prompt.txt").write_text("Bad?")
        return load_judge(str(folder))

    def test_a_model_that_judge_yaml_names_with_and_without_its_revision(
        self, tmp_path: Path
    ) -> None:
        mine = self.local(tmp_path / "mine", model="org/m", revision="abc")
        check_trusted(("org/m", "org/m@abc", "a"), ("a",), [mine])
        with pytest.raises(UserError, match=r"b is no model of this command \(a, org/m, org/m@abc"):
            check_trusted(("a", "b"), ("a",), [mine])

    def test_it_is_then_trusted(self, tmp_path: Path) -> None:
        own = with_own_code(sayer(tmp_path / "own", "yes"), tmp_path / "ran")
        mine = self.local(tmp_path / "mine", model=str(own))
        options = JudgeOptions(engine="transformers", trust_remote_code=(str(own),))
        planned = plan_judge(mine, options)
        assert planned.subject is not None
        assert planned.subject.remote_code

    def test_by_either_of_its_names(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def resolve(given: str, progress: object, trust: Trust) -> None:
            asked.append((given, trust.code))
            raise UserError("No hub here.")

        monkeypatch.setattr(judging, "resolve_subject", resolve)
        mine = self.local(tmp_path / "mine", model="org/m", revision="abc")
        for named in ("org/m", "org/m@abc", "m"):
            with pytest.raises(UserError, match="No hub here"):
                plan_judge(mine, JudgeOptions("transformers", trust_remote_code=(named,)))
        assert asked == [("org/m@abc", True), ("org/m@abc", True), ("org/m@abc", False)]

    def test_models_that_a_server_has_are_none_of_the_commands(self) -> None:
        with pytest.raises(UserError, match=r"m is no model of this command \(it loads none\)"):
            check_trusted(("m",), (), [load_judge("rating=m"), load_judge("refusal")])


class TestEngineArguments:
    @pytest.mark.parametrize("value", ["true", "false", ""])
    def test_trust_in_every_model_at_once(self, value: str) -> None:
        with pytest.raises(UserError, match="would hold for every model: name those that may run"):
            engine_arguments([f"trust_remote_code={value}"])

    @pytest.mark.parametrize("format", ["pt", "npcache"])
    def test_formats_that_are_pickles(self, format: str) -> None:
        with pytest.raises(UserError, match=f"load_format={format} would read pickles: leave it"):
            engine_arguments([f"load_format={format}"])
        assert engine_arguments(["load_format=dummy"]) == {"load_format": "dummy"}
