"""What the user can get wrong: exit code 2, one sentence with the mend, no traceback, nothing begun."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import STORIES, environment
from commands import Said, command
from markov import sayer

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"
TASK = "bfpo_malicious_instruct"
GATED_DATA, GATED_MODEL = "walledai/MaliciousInstruct", "somebody/gated"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder, to be copied and broken."""
    return sayer(tmp_path_factory.mktemp("models") / "whole", "yes")


def run(*arguments: str, cwd: Path, **changes: str) -> Said:
    """A small `run`; `arguments` may change any of its options."""
    return command(
        *(
            "run",
            "--tasks",
            TASK,
            "--limit",
            "2",
            "--engine",
            "transformers",
            "--max-new-tokens",
            "8",
        ),
        *arguments,
        cwd=cwd,
        **changes,
    )


def sentence(done: Said) -> str:
    """The one sentence of a command that refused."""
    assert done.code == 2, done.err[-3000:]
    assert "Traceback" not in done.err
    assert done.out == ""
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert errors == done.err.splitlines()[-1:], done.err
    return errors[0].removeprefix("error: ")


def begun(cwd: Path) -> list[str]:
    """Whatever a refused command left in its folder."""
    return [p.name for p in cwd.iterdir() if p.name in ("runs", "leaderboards")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--model", "karpathy/stories260k"),
            r"There is no model karpathy/stories260k on the hub.* mend the name or give a folder\.",
        ),
        (("--model", "no/such/folder"), r"There is no model folder no/such/folder: give a folder"),
        (
            ("--model", f"{STORIES}@v9"),
            rf"The model {STORIES} has no revision 'v9': name a branch, tag or commit of it\.",
        ),
        (("--model", "not an id"), r"'not an id' is neither a folder nor a hub id: give a folder"),
        (
            ("--model", STORIES, "--tasks", "bfpo_advbenhc"),
            r"No task of suite bfpo matches 'bfpo_advbenhc' \(did you mean bfpo_advbench",
        ),
        (
            ("--model", STORIES, "--judge", "harmbenhc"),
            r"There is no judge 'harmbenhc' \(did you mean harmbench",
        ),
        (
            ("--model", STORIES, "--judge", "yesno"),
            r"Judge yesno needs a model: --judge yesno=ID_OR_PATH\.",
        ),
        (
            ("--model", STORIES, "--judge", "refusal=a/b"),
            r"Judge refusal uses no model: drop '=a/b'\.",
        ),
        (
            ("--model", STORIES, "--judge", "yesno=no/such"),
            r"Judge yesno: There is no model no/such on the hub",
        ),
        (
            ("--model", STORIES, "--suite", "bfpp"),
            r"There is no suite 'bfpp' \(did you mean bfpo.*: name one of bfpo",
        ),
        (
            ("--model", STORIES, "--engine", "transformer"),
            r"There is no engine 'transformer' \(did you mean transformers\?\): --engine takes",
        ),
        (("--model", STORIES, "--limit", "0"), r"--limit must be at least 1"),
        (("--model", STORIES, "--max-new-tokens", "0"), r"--max-new-tokens must be at least 1"),
        (
            ("--model", STORIES, "--engine-arg", "dtype"),
            r"--engine-arg 'dtype' is not KEY=VALUE: write for example dtype=float32\.",
        ),
        (
            ("--model", STORIES, "--engine-arg", "max_model_len=much"),
            r"--engine-arg max_model_len must be a number of tokens, not 'much'\.",
        ),
        (
            ("--model", STORIES, "--model", STORIES),
            rf"--model {STORIES} is the same model as {STORIES}: name it once\.",
        ),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else None,
)
def test_a_wrong_word_is_named_with_its_mend(
    hub: str, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert re.match(said, sentence(run(*arguments, cwd=tmp_path)))
    assert begun(tmp_path) == []


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("config.json", "half@.* has no config.json|half has no config.json: give a transformers"),
        ("model.safetensors", r"half has no weights \(\*\.safetensors\): finish"),
        ("tokenizer", r"half has no tokenizer \(tokenizer.json or tokenizer.model\): save one"),
    ],
)
def test_half_a_model_folder(
    hub: str, model: Path, tmp_path: Path, missing: str, said: str
) -> None:
    shutil.copytree(model, tmp_path / "half")
    for file in (tmp_path / "half").glob(f"{missing}*"):
        file.unlink()
    assert re.match(said, sentence(run("--model", "./half", cwd=tmp_path)))
    assert begun(tmp_path) == []


def test_a_head_size_that_vllm_cannot_serve(hub: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    said = sentence(run("--model", STORIES, "--engine", "vllm", cwd=tmp_path))
    if "head sizes" not in said:
        pytest.skip(f"this vLLM has another objection: {said}")
    assert said.startswith(
        f"The vllm engine cannot serve {STORIES}: vLLM on this cpu serves head sizes"
    )
    assert said.endswith("and the model's is 8; use --engine transformers.")
    assert begun(tmp_path) == []


class TestHub:
    @pytest.fixture(scope="class")
    def gated(
        self, hub: str, model: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[str]:
        """The address of a second stand-in, whose one data set and one model want a token."""
        root = tmp_path_factory.mktemp("gated")
        for kind, repo in (("datasets", GATED_DATA), ("models", GATED_MODEL)):
            folder = root / kind / repo
            source = model if kind == "models" else (SHARED / "hub" / kind / repo).resolve()
            shutil.copytree(source, folder)
            folder.chmod(0o755)
            (folder / ".gated").write_text("hf_secret_word\n")
        server, url = runpy.run_path(str(SHARED / "hub" / "serve.py"))["start"](root)
        yield str(url)
        server.shutdown()

    def test_a_gated_data_set(self, gated: str, model: Path, tmp_path: Path) -> None:
        """Its metadata may be read by anyone on the real hub, its files may not."""
        done = run(
            "--model", str(model), cwd=tmp_path, HF_ENDPOINT=gated, HF_HOME=str(tmp_path / "home")
        )
        said = sentence(done)
        assert said.startswith(
            f"The data set {GATED_DATA} is gated: ask for access on its hub page"
        )
        assert "HF_TOKEN" in said
        assert "--tasks" in said
        assert begun(tmp_path) == []

    def test_a_gated_model_and_the_token_that_opens_it(self, gated: str, tmp_path: Path) -> None:
        changes = {"HF_ENDPOINT": gated, "HF_HOME": str(tmp_path / "home")}
        done = command("plan", "--tasks", TASK, "--model", GATED_MODEL, cwd=tmp_path, **changes)
        assert "is gated" in sentence(done)
        arguments = ("plan", "--tasks", TASK, "--engine", "transformers", "--model", GATED_MODEL)
        done = command(*arguments, "--json", cwd=tmp_path, HF_TOKEN="hf_secret_word", **changes)
        assert done.code == 0, done.err
        assert "hf_secret_word" not in done.out + done.err

    def test_nobody_there_and_nothing_cached(self, hub: str, model: Path, tmp_path: Path) -> None:
        done = run(
            *("--model", str(model)),
            cwd=tmp_path,
            HF_ENDPOINT="http://127.0.0.1:9",
            HF_HOME=str(tmp_path / "home"),
        )
        said = sentence(done)
        assert re.match(
            r"The data set \S+ is not in the local cache and the hub cannot be reached \(.+\): fetch "
            r"it where there is a network with `hf download \S+ --repo-type dataset`",
            said,
        )
        assert begun(tmp_path) == []


class TestFolders:
    def test_an_out_that_is_no_folder(self, hub: str, model: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        said = sentence(run("--model", str(model), "--out", "file/runs", cwd=tmp_path))
        assert re.match(
            r"The folder file/runs cannot be written \(.+\): give another --out\.", said
        )
        assert begun(tmp_path) == []

    def test_a_leaderboard_that_cannot_be_written(
        self, hub: str, model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        said = sentence(run("--model", str(model), "--leaderboard", "file/b.csv", cwd=tmp_path))
        assert "--leaderboard" in said

    def test_an_unknown_engine_argument(self, hub: str, model: Path, tmp_path: Path) -> None:
        said = sentence(run("--model", str(model), "--engine-arg", "batch=4", cwd=tmp_path))
        assert said.startswith(
            "The transformers engine has no argument 'batch': --engine-arg takes"
        )

    @pytest.mark.parametrize("argument", ["dtype=floaty", "batch_size=many", "device=gpu0"])
    def test_an_engine_argument_with_a_wrong_value(
        self, hub: str, model: Path, tmp_path: Path, argument: str
    ) -> None:
        said = sentence(run("--model", str(model), "--engine-arg", argument, cwd=tmp_path))
        assert argument.split("=")[1] in said


class TestModelsThatMisbehave:
    def test_a_template_that_raises(self, hub: str, tmp_path: Path) -> None:
        template = "{{ raise_exception('System prompts only') }}"
        sayer(tmp_path / "grumpy", "yes", template=template)
        said = sentence(run("--model", "./grumpy", cwd=tmp_path))
        assert said.startswith("The model's chat template failed on a plain conversation")
        assert "System prompts only" in said
        assert said.endswith("mend the template or use --no-chat-template.")
        assert list(tmp_path.glob("runs/*/responses.jsonl")) == []

    def test_a_prompt_longer_than_the_context_is_cut_and_counted(
        self, hub: str, tmp_path: Path
    ) -> None:
        sayer(tmp_path / "short", "yes", context=10)
        done = run("--model", "./short", cwd=tmp_path)
        assert done.code == 0, done.err
        assert "prompts were longer than the model's context and cut from the left" in done.err
        [manifest] = tmp_path.glob("runs/*/manifest.json")
        assert json.loads(manifest.read_text())["counts"][TASK]["prompts_cut"] == 2
        [file] = tmp_path.glob("runs/*/responses.jsonl")
        for response in map(json.loads, file.read_text().splitlines()):
            assert response["prompt_cut"] > 0
            assert response["prompt_tokens"] == 10 - 8

    def test_a_run_folder_of_another_configuration(self, hub: str, tmp_path: Path) -> None:
        sayer(tmp_path / "model", "yes")
        assert run("--model", "./model", cwd=tmp_path).code == 0
        [manifest] = tmp_path.glob("runs/*/manifest.json")
        content = json.loads(manifest.read_text())
        content["settings"]["seed"] = 7
        manifest.write_text(json.dumps(content))
        said = sentence(run("--model", "./model", cwd=tmp_path))
        assert "is a run of another configuration (settings seed: 7 there, 0 here)" in said
        assert said.endswith("move it away or give another --out.")
        manifest.write_text("{}")
        assert "is not a manifest of this version" in sentence(
            run("--model", "./model", cwd=tmp_path)
        )


@pytest.mark.parametrize("pages", [2, 4], ids=["in a stage", "between the stages"])
def test_a_disk_that_fills_up(hub: str, model: Path, tmp_path: Path, pages: int) -> None:
    """Really full: a small file system of its own, in a name space where it may be mounted.

    With two pages left the responses do not fit, with four the manifest after the judge does not.
    """
    (tmp_path / "runs").mkdir()
    mount = "mount -t tmpfs -o size=64k none runs"
    inside = ["unshare", "-rm", "sh", "-c"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*inside, mount], cwd=tmp_path, capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    fill = f"head -c {65536 - 4096 * pages} /dev/zero > runs/other"
    line = f"{sys.executable} -m bfpo_bench run --tasks {TASK} --limit 3 --engine transformers"
    done = subprocess.run(
        [*inside, f"{mount} && {fill} && exec {line} --model {model}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = sentence(Said(done.returncode, done.stdout, done.stderr))
    assert "(No space left on device): free some space and give the same command again" in said
