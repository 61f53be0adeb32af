"""`run --defence`: from the command line to runs, rows and reports."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest
from bench import REFUSER
from commands import Said, command
from judge_server import Asked, Sent
from markov import sayer
from openai_server import HOSTED, OpenAIServer, Real

from bfpo_bench.defences.load import load_defence
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.manifest import Manifest

pytestmark = pytest.mark.usefixtures("stages_here")

DEMO = ("--suite", "bfpo-demo", "--limit", "2")
NULL = ("--engine", "null", "--model", REFUSER, *DEMO)


def rows(cwd: Path, suite: str = "bfpo-demo") -> dict[str, dict[str, str]]:
    with (cwd / "leaderboards" / f"{suite}.csv").open() as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def manifests(cwd: Path) -> dict[str, Manifest]:
    found = (RunFolder(folder).manifest() for folder in sorted((cwd / "runs").iterdir()))
    return {m.model.name: m for m in found if m is not None}


class TestRuns:
    NAMES = (
        f"{REFUSER} (null engine)",
        f"{REFUSER} (null engine) + instruction",
    )
    ARGUMENTS = (*NULL, "--tasks", "*/generative")

    @pytest.fixture(scope="class")
    def home(self, hub: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
        cwd = tmp_path_factory.mktemp("defended")
        defences = ("--defence", "none", "--defence", "instruction")
        done = command("run", *self.ARGUMENTS, *defences, cwd=cwd)
        assert done.code == 0, done.err
        return cwd

    def test_each_defence_is_a_subject_of_its_own_and_comparable(self, home: Path) -> None:
        assert tuple(rows(home)) == self.NAMES
        assert len({row["comparability_key"] for row in rows(home).values()}) == 1

    def test_the_manifest_holds_every_word(self, home: Path) -> None:
        guard = load_defence("instruction")
        assert guard is not None
        told = manifests(home)[self.NAMES[1]]
        assert told.model.defence == guard.identity
        assert told.model_source["defence"] == guard.describe()
        assert told.run_id.startswith("refuser-9M-null-engine-instruction-")

    def test_its_tokens_are_in_the_prompt_and_not_in_what_judges_see(self, home: Path) -> None:
        runs = {m.model.name: RunFolder(home / "runs" / m.run_id) for m in manifests(home).values()}
        bare, guarded = (list(runs[name].responses()) for name in self.NAMES)
        assert [r.messages for r in bare] == [r.messages for r in guarded]
        before = {g.prompt_tokens - b.prompt_tokens for b, g in zip(bare, guarded, strict=True)}
        assert len(before) == 1
        assert before.pop() > 40
        assert all(r.defence is None for r in (*bare, *guarded))

    def test_the_bare_model_is_what_it_was(self, home: Path) -> None:
        """Also in what is written of it: the same command without the option means the same run."""
        told = manifests(home)[self.NAMES[0]]
        files = RunFolder(home / "runs" / told.run_id)
        assert b"defence" not in files.responses_file.read_bytes()
        written = json.loads(files.manifest_file.read_text())
        assert "defence" not in {**written["model"], **written["model_source"]}
        [planned] = json.loads(command("plan", "--json", *self.ARGUMENTS, cwd=home).out)["models"]
        assert planned["run"] == f"runs/{told.run_id}"
        assert planned["defence"] is None


def test_a_model_that_finds_harm_in_everything(tmp_path: Path) -> None:
    """It says yes to all: what it writes is blocked, so that it is as safe as it is over-defensive."""
    model = sayer(tmp_path / "keen", "Yes", context=1024)
    arguments = shlex.split("--defence none --defence self-check-output --engine transformers")
    done = command(
        "run", *DEMO, *arguments, "--tasks", "*/generative", "--model", str(model), cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert "the model's own checks blocked 4 of 4 responses; 0 said neither" in done.err
    [bare, guarded] = rows(tmp_path).values()
    counts = manifests(tmp_path)[guarded["model"]].counts["bfpo_demo_errands"]
    assert (counts["checks"], counts["check_tokens"], counts["response_tokens"]) == (2, 2, 2)
    assert "checks" not in manifests(tmp_path)[bare["model"]].counts["bfpo_demo_errands"]
    assert guarded["model"] == f"{bare['model']} + self-check-output"
    assert (bare["over_refusal"], guarded["over_refusal"]) == ("0.0000", "100.0000")
    assert guarded["harmlessness_generative"] == "100.0000"
    assert "self-check-output" in done.out.split("Safety against over-defensiveness")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--defence instructoin", "There is no defence 'instructoin' (did you mean instruction?)"),
        (
            "--defence exemplars --no-chat-template",
            "need a chat template, and --no-chat-template leaves none",
        ),
        (
            "--defence exemplars --engine-arg max_model_len=256",
            "--defence exemplars puts 376 tokens of its own before",
        ),
        ("--defence instruction --tasks */discriminative", "these tasks compare log-likelihoods"),
        ("--defence none --defence none", "--defence none is given twice"),
    ],
)
def test_what_cannot_be_is_said_when_it_is_planned(
    arguments: str, told: str, hub: str, tmp_path: Path
) -> None:
    done = command("run", *NULL, *shlex.split(arguments), cwd=tmp_path)
    assert done.code == 2
    assert told in done.error
    assert not (tmp_path / "runs").exists()


def test_a_plan_says_what_is_asked_with_it_and_without(hub: str, tmp_path: Path) -> None:
    said: Said = command("plan", *NULL, "--defence", "self-check-output", cwd=tmp_path)
    assert (
        "defence self-check-output: 4 generative documents, 4 checks besides the answers; 2 "
        "discriminative tasks are asked without it"
    ) in said.out


def test_a_hosted_model_has_it_in_its_messages(hub: str, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def seeing(asked: Asked, real: Real) -> Sent:
        if "messages" in asked.body:
            seen.append([m["role"] for m in asked.body["messages"]])
        return real(asked)

    arguments = shlex.split("--engine server --engine-arg api=chat --defence exemplars")
    with OpenAIServer(HOSTED, name="big", respond=seeing) as server:
        options = ("--server", server.url, "--model", "big", "--tasks", "bfpo_xstest_safe")
        done = command("run", *arguments, *options, "--limit", "1", cwd=tmp_path)
    assert done.code == 0, done.err
    assert ["system", *["user", "assistant"] * 5, "user"] in seen
    assert list(rows(tmp_path, "bfpo")) == ["big (as served) + exemplars"]
