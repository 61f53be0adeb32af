"""`--engine server` from the command line: hosted models to their row, and what a user can get wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER, STORIES
from commands import Said, command
from judge_server import HANGS, Asked, Sent, fails, sends
from markov import sayer
from openai_server import HOSTED, VLLM, OpenAIServer, Real

from bfpo_bench.engines.server import endpoint, look
from bfpo_bench.engines.source import open_source
from bfpo_bench.engines.subject import load_tokenizer
from bfpo_bench.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("stages_here")

NAME = "org/big-chat@2026"
KEY = "sk-of-somebody-0123456789"
SMALL = ("--tasks", "bfpo_xstest_*", "--limit", "2")
CHAT = ("--engine-arg", "api=chat")
DISCRIMINATIVE = ("--tasks", "bfpo_xstest_safe,bfpo_winogrande", "--limit", "2")


def on(url: str, *more: str, model: str = NAME) -> tuple[str, ...]:
    return ("--engine", "server", "--server", url, "--model", model, *more)


def sentence(done: Said) -> str:
    """The one sentence of a command that refused, which repeats no key and no other output."""
    assert done.code == 2, done.err[-3000:]
    assert "Traceback" not in done.err
    assert done.out == ""
    assert KEY not in done.err
    [error] = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.err.splitlines()[-1] == error
    return error.removeprefix("error: ")


@pytest.fixture(scope="module")
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(HOSTED, name=NAME, key=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def home(hub: str, server: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of the hosted model."""
    cwd = tmp_path_factory.mktemp("hosted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BFPO_SERVER_API_KEY", KEY)
        done = command("run", *on(server.url, *CHAT, *SMALL), cwd=cwd)
    assert done.code == 0, done.err
    return cwd


@pytest.fixture
def run(home: Path) -> RunFolder:
    [folder] = (home / "runs").iterdir()
    return RunFolder(folder)


class TestHosted:
    def test_its_row_says_that_it_is_as_served(self, home: Path) -> None:
        """A row of the same name that was asked by its files would be put in its place."""
        with (home / "leaderboards" / "bfpo.csv").open() as file:
            [row] = csv.DictReader(file)
        assert row["model"] == f"{NAME} (as served)"

    def test_who_it_is(self, run: RunFolder, server: OpenAIServer) -> None:
        """No address in what identifies it: it may move."""
        manifest = run.manifest()
        assert manifest is not None
        assert manifest.model.model_dump() == {
            "name": f"{NAME} (as served)",
            "weights": "as served",
            "adapter": None,
            "tokenizer": "as served",
            "chat_template": "as served",
        }
        assert manifest.model_source == {"servers": [server.url]}

    def test_messages_went_out_as_they_are(self, run: RunFolder, server: OpenAIServer) -> None:
        stored = list(run.responses())
        assert len(stored) == 4
        sent = [asked.body["messages"] for asked in server.generated if "messages" in asked.body]
        for response in stored:
            assert response.messages in sent
            assert response.response == f"You said: {response.messages[-1]['content']}"
            assert (response.prompt_tokens, response.response_tokens) == (
                len(response.messages[-1]["content"]),
                3,
            )
            assert (response.prompt_cut, response.capped) == (0, False)

    def test_the_key_is_stored_nowhere(self, home: Path) -> None:
        files = [path for path in home.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if KEY.encode() in path.read_bytes()] == []

    def test_it_is_finished_at_another_address(self, home: Path, run: RunFolder) -> None:
        """The same command goes on there, and asks for nothing that is stored."""
        with OpenAIServer(HOSTED, name=NAME) as other:
            done = command("run", *on(other.url, *CHAT, *SMALL), cwd=home)
            asked = [a for a in other.generated if a.body.get("max_tokens", 1) > 16]
        assert done.code == 0, done.err
        assert asked == []
        assert len(list((home / "runs").iterdir())) == 1

    def test_a_run_of_two_servers_says_so(self, tmp_path: Path) -> None:
        """The first does not take one of four prompts. Another server does, which may have another
        model. Aloud, and in the manifest."""
        taken: list[Asked] = []

        def refuses(asked: Asked, real: Real) -> Sent:
            if asked.body.get("max_tokens", 1) > 16:
                taken.append(asked)
            return fails(400, "no more") if len(taken) == 3 else real(asked)

        with (
            OpenAIServer(HOSTED, name=NAME, respond=refuses) as one,
            OpenAIServer(HOSTED, name=NAME) as other,
        ):
            first, second, third = (
                command("run", *on(server.url, *CHAT, *SMALL), cwd=tmp_path)
                for server in (one, other, one)
            )
        assert [said.code for said in (first, second, third)] == [3, 0, 0], second.err
        note = f"earlier answers of this run are from {one.url}, and the others are asked of {other.url}"
        assert [note in said.err for said in (first, second, third)] == [False, True, False]
        [folder] = (tmp_path / "runs").iterdir()
        manifest = RunFolder(folder).manifest()
        assert manifest is not None
        # The third found nothing left to ask
        asked = [session.get("servers") for session in manifest.sessions]
        assert asked == [[one.url], [other.url], None]

    @pytest.mark.parametrize(
        "words",
        [
            ("runs", "list"),
            ("leaderboard", "show"),
            ("report", "--out", "report"),
            ("leaderboard", "export", "--format", "markdown"),
        ],
        ids=" ".join,
    )
    def test_it_is_shown_as_any_other(self, home: Path, words: tuple[str, ...]) -> None:
        done = command(*words, cwd=home)
        assert done.code == 0, done.err
        if "--out" not in words:
            assert "big-chat" in done.out

    def test_what_a_server_failed_at_is_asked_again(self, tmp_path: Path) -> None:
        """It fails at the third of four prompts: the run is incomplete, its row partial. Once it is
        well, the same command asks for that one alone; the run is whole, with every answer once."""
        generated: list[str] = []

        def fails_once(asked: Asked, real: Real) -> Sent:
            if asked.body.get("max_tokens", 1) <= 16:
                return real(asked)
            generated.append(asked.body["messages"][-1]["content"])
            return fails(400, "a bad day") if len(generated) == 3 else real(asked)

        with OpenAIServer(HOSTED, name=NAME, respond=fails_once) as server:
            words = ("run", *on(server.url, *CHAT, *SMALL))
            first = command(*words, cwd=tmp_path)
            [folder] = (tmp_path / "runs").iterdir()
            run = RunFolder(folder)
            [failed] = [r for r in run.responses() if r.fault]
            broken = json.loads(run.scores_file.read_text())["faults"]
            before = len(generated)
            again = command(*words, cwd=tmp_path)
        assert first.code == 3, first.err
        assert "1 prompts got no answer, the reasons stand in responses.jsonl" in first.err
        assert failed.error == "the server did not take the prompt (400, 'a bad day')"
        assert broken == [failed.task]
        assert again.code == 0, again.err
        assert generated[before:] == [failed.messages[-1]["content"]]
        stored = [json.loads(line) for line in run.responses_file.read_text().splitlines()]
        assert len({(r["task"], r["doc_id"]) for r in stored}) == len(stored) == 4
        assert [r["error"] for r in stored] == [None] * 4
        assert json.loads(run.scores_file.read_text())["faults"] == []

    def test_prompts_that_always_fail_are_failures_every_time(self, tmp_path: Path) -> None:
        """Two of four, the first among them: the others are answered. The same command asks for the two
        again, with nothing else to ask for, and ends as before."""
        order: list[str] = []

        def respond(asked: Asked, real: Real) -> Sent:
            if asked.body.get("max_tokens", 1) <= 16:
                return real(asked)
            text = asked.body["messages"][-1]["content"]
            order.extend([text] if text not in order else [])
            return fails(400, "a bad day") if text in order[:1] + order[2:3] else real(asked)

        with OpenAIServer(HOSTED, name=NAME, respond=respond) as server:
            words = ("run", *on(server.url, *CHAT, *SMALL))
            first, again = (command(*words, cwd=tmp_path) for _ in "12")
        for done in (first, again):
            assert done.code == 3, done.err
            assert "2 prompts got no answer, the reasons stand in responses.jsonl" in done.err
        [folder] = (tmp_path / "runs").iterdir()
        assert sum(r.fault for r in RunFolder(folder).responses()) == 2

    def test_once_it_is_finished_no_server_need_be_there(self, tmp_path: Path) -> None:
        """Nor its counts of tokens, which it keeps to itself; another run still wants one."""

        def uncounted(asked: Asked, real: Real) -> Sent:
            sent = real(asked)
            return replace(sent, body=sent.body.replace(b'"usage"', b'"unused"'))

        with OpenAIServer(HOSTED, name=NAME, respond=uncounted) as server:
            words = on(server.url, *CHAT, *SMALL)
            first = command("run", *words, cwd=tmp_path)
        again, planned = (command(c, *words, cwd=tmp_path) for c in ("run", "plan"))
        other = command("run", *words[:-1], "1", cwd=tmp_path)
        assert [said.code for said in (first, again, planned)] == [0, 0, 0], again.err
        assert "did not tell how many tokens 4 of its answers have" in first.err
        assert "which is not needed for what is answered (it says: The server http://" in again.err
        assert again.out == first.out
        assert "cannot be reached" in sentence(other)
        [folder] = (tmp_path / "runs").iterdir()
        assert {(r.prompt_tokens, r.response_tokens) for r in RunFolder(folder).responses()} == {
            (None, None)
        }
        for form in ("dataset", "inspect") if find_spec("inspect_ai") else ("dataset",):
            words = ("runs", "export", str(folder), "--to", form, "--out", str(tmp_path / form))
            done = command(*words, cwd=tmp_path)
            assert done.code == 0, done.err

    @pytest.mark.parametrize("form", ["lm-eval", "model-card", "dataset"])
    def test_it_is_exported(self, form: str, home: Path, run: RunFolder, tmp_path: Path) -> None:
        words = ("runs", "export", str(run.path), "--to", form, "--out", str(tmp_path / "out"))
        done = command(*words, cwd=home)
        assert done.code == 0, done.err
        written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        assert any(NAME.encode() in path.read_bytes() for path in written)

    def test_discriminative_tasks_are_refused(self, server: OpenAIServer, tmp_path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BFPO_SERVER_API_KEY", KEY)
            done = command("run", *on(server.url, *CHAT, *DISCRIMINATIVE), cwd=tmp_path)
        assert sentence(done) == (
            "--engine-arg api=chat gives no log-probabilities of texts, which 1 discriminative task "
            "needs: leave those out with --tasks '*/generative', or leave out api=chat."
        )
        assert not (tmp_path / "runs").exists()

    def test_no_chat_template(self, server: OpenAIServer, tmp_path: Path) -> None:
        words = on(server.url, *CHAT, *SMALL, "--no-chat-template")
        assert "leave out --no-chat-template" in sentence(command("run", *words, cwd=tmp_path))


@pytest.fixture(scope="module")
def tokenizer(hub: str) -> Any:
    return load_tokenizer(open_source(REFUSER).materialise(weights=False))


def like_vllm(tokenizer: Any, window: int = 1024) -> OpenAIServer:
    """A stand-in that has REFUSER's tokenizer."""

    def respond(asked: Asked, real: Real) -> Sent:
        if asked.path == "/tokenize":
            ids = tokenizer.encode(asked.body["prompt"], add_special_tokens=False)
            return sends({"tokens": ids})
        return real(asked)

    return OpenAIServer(replace(VLLM, window=window), name=REFUSER, respond=respond)


class TestByItsFiles:
    def test_the_plan_says_what_was_found(self, tokenizer: Any, tmp_path: Path) -> None:
        with like_vllm(tokenizer) as one, like_vllm(tokenizer) as two:
            words = on(one.url, "--server", two.url, *DISCRIMINATIVE, model=REFUSER)
            done = command("plan", *words, cwd=tmp_path)
        assert done.code == 0, done.err
        assert (
            f"model {REFUSER}: server (vllm 0.32.0 at {one.url}, 2 servers; ids in, ids out; "
            "log-likelihoods through prompt_logprobs; tokenizer compared through /tokenize; choices "
            "of 1024 tokens and more fail, for want of room (--max-model-len 1025 would have it; above "
            "a model's own context vLLM wants VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 beside it))"
        ) in done.out

    def test_its_run_is_that_of_other_engines(self, tokenizer: Any, tmp_path: Path) -> None:
        with like_vllm(tokenizer) as server:
            there = command("plan", *on(server.url, *SMALL, "--json", model=REFUSER), cwd=tmp_path)
        here = command(
            *("plan", "--engine", "transformers", "--model", REFUSER, *SMALL, "--json"),
            cwd=tmp_path,
        )
        [one], [other] = (json.loads(said.out)["models"] for said in (there, here))
        assert one["run"] == other["run"]
        assert (one["engine"], other["engine"]) == ("server", "transformers")

    def test_once_it_is_finished_no_server_need_be_there(
        self, tokenizer: Any, tmp_path: Path
    ) -> None:
        with like_vllm(tokenizer) as server:
            words = on(server.url, *SMALL, model=REFUSER)
            first = command("run", *words, cwd=tmp_path)
        again = command("run", *words, cwd=tmp_path)
        assert [first.code, again.code] == [0, 0], first.err + again.err
        assert again.out == first.out

    def test_weights_are_not_fetched(self, hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What configures a model and its tokenizer is all that is read of it here. The cache is taken
        to be empty, since other tests may have filled it."""
        fetched: list[list[str]] = []
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
        monkeypatch.setattr(
            "bfpo_bench.engines.source.fetch_snapshot",
            lambda _, names: fetched.append(list(names)) or Path(),
        )
        source = open_source("fixtures/rambler-9M")
        source.materialise(weights=False)
        source.materialise()
        without, whole = fetched
        assert "tokenizer.json" in without
        assert set(whole) - set(without) == {"model.safetensors"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody answers is waited for a second."""
    monkeypatch.setattr(look, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(endpoint, "READY_SECONDS", 0.2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of which nothing may be hashed."""
    monkeypatch.setattr(
        "bfpo_bench.engines.weights.content_hash", lambda _: pytest.fail("weights were hashed")
    )
    return sayer(tmp_path / "mine", "yes", template="{{ messages }}")


@pytest.mark.usefixtures("hub")
class TestRefused:
    def test_unreachable(self, tmp_path: Path) -> None:
        said = sentence(command("run", *on("http://127.0.0.1:9/v1", *SMALL), cwd=tmp_path))
        assert said.startswith("The server http://127.0.0.1:9/v1 cannot be reached (")

    def test_half_ready(self, quick: None, tmp_path: Path) -> None:
        with OpenAIServer(respond=lambda asked, real: fails(503, "Loading model")) as server:
            said = sentence(command("run", *on(server.url, *SMALL), cwd=tmp_path))
        assert said.startswith(f"The server {server.url} is not ready (503, 'Loading model')")

    def test_silent(self, quick: None, tmp_path: Path) -> None:
        with OpenAIServer(respond=lambda asked, real: HANGS) as server:
            said = sentence(command("run", *on(server.url, *SMALL), cwd=tmp_path))
        assert said.startswith(f"The server {server.url} does not answer")

    def test_a_wrong_model_name(self, tmp_path: Path) -> None:
        with OpenAIServer(name="refuser") as server:
            said = sentence(command("run", *on(server.url, *SMALL, model=REFUSER), cwd=tmp_path))
        assert said == (
            f"The server {server.url} has no model {REFUSER} (did you mean refuser?), but refuser: "
            "give --engine-arg served_model_name=refuser."
        )

    def test_another_tokenizer(self, tokenizer: Any, tmp_path: Path) -> None:
        named = ("--engine-arg", f"served_model_name={REFUSER}")
        with like_vllm(tokenizer) as server:
            words = on(server.url, *named, *SMALL, model=STORIES)
            said = sentence(command("run", *words, cwd=tmp_path))
        assert f"reads {REFUSER} with another tokenizer than that of {STORIES} (at 'The'" in said

    def test_no_weights_are_hashed_for_a_server_that_is_not_there(
        self, folder: Path, tmp_path: Path
    ) -> None:
        """Nor where another model's run was finished, which would need no server. The hash of a large
        folder takes minutes."""
        (tmp_path / "runs" / "other-12345678").mkdir(parents=True)
        (tmp_path / "runs" / "other-12345678" / "seals.json").write_text('{"respond": {}}')
        words = on("http://127.0.0.1:9/v1", *SMALL, model=str(folder))
        said = sentence(command("run", *words, cwd=tmp_path))
        assert said.startswith("The server http://127.0.0.1:9/v1 cannot be reached (")

    def test_no_weights_are_hashed_for_another_tokenizer(
        self, folder: Path, tokenizer: Any, tmp_path: Path
    ) -> None:
        named = ("--engine-arg", f"served_model_name={REFUSER}")
        with like_vllm(tokenizer) as server:
            words = on(server.url, *named, *SMALL, model=str(folder))
            said = sentence(command("run", *words, cwd=tmp_path))
        assert f"reads {REFUSER} with another tokenizer than that of mine (" in said

    def test_an_expired_key(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        expired = fails(401, f"The key {KEY} has expired")
        with OpenAIServer(respond=lambda asked, real: expired) as server:
            said = sentence(command("run", *on(server.url, *SMALL), cwd=tmp_path))
        assert "does not accept the key (401): set BFPO_SERVER_API_KEY" in said

    def test_too_small_a_context(self, tokenizer: Any, tmp_path: Path) -> None:
        with like_vllm(tokenizer, window=256) as server:
            said = sentence(command("run", *on(server.url, *SMALL, model=REFUSER), cwd=tmp_path))
        assert "holds 256 tokens and the run asks up to 1024: start it with --max-model-len" in said

    def test_no_log_probabilities(self, tokenizer: Any, tmp_path: Path) -> None:
        def neither(asked: Asked, real: Real) -> Sent:
            wanted = {"echo", "prompt_logprobs"} & set(asked.body)
            return fails(400, "not supported") if wanted else real(asked)

        with OpenAIServer(name=REFUSER, respond=neither) as server:
            words = on(server.url, *DISCRIMINATIVE, model=REFUSER)
            said = sentence(command("run", *words, cwd=tmp_path))
        assert "gives no log-probabilities of prompts, which 1 discriminative task needs" in said

    def test_a_name_that_only_the_server_knows(self, tmp_path: Path) -> None:
        with OpenAIServer(name="somebody/secret-chat") as server:
            words = on(server.url, *SMALL, model="somebody/secret-chat")
            said = sentence(command("run", *words, cwd=tmp_path))
        assert "There is no model somebody/secret-chat on the hub" in said
        assert said.endswith("is asked with --engine-arg api=chat.")

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (
                ("--engine", "server"),
                "--engine server asks servers, and none is named: give --server",
            ),
            (("--server", "http://u:secret@a/v1"), "--server is for --engine server: give that"),
            (
                ("--engine", "server", "--server", "http://a/v1", "--engine-arg", "dtype=float32"),
                "The server engine takes no --engine-arg dtype",
            ),
            (
                ("--engine", "server", "--server", "http://a/v1", "--engine-arg", "api=talk"),
                "--engine-arg api=talk is none",
            ),
            (
                ("--engine", "server", "--server", "http://u:secret@a/v1"),
                "The server URL holds more than an address",
            ),
        ],
    )
    def test_options(self, words: tuple[str, ...], said: str, tmp_path: Path) -> None:
        done = sentence(command("run", "--model", REFUSER, *SMALL, *words, cwd=tmp_path))
        assert done.startswith(said)
        assert "secret" not in done

    def test_one_name_for_two_models(self, tmp_path: Path) -> None:
        named = ("--engine-arg", "served_model_name=x", "--model", STORIES)
        said = sentence(command("run", *on("http://127.0.0.1:9/v1", *named), cwd=tmp_path))
        assert "is one model's name, and 2 are measured: give one --model." in said

    def test_judges_ask_their_own_server(self, tmp_path: Path) -> None:
        (tmp_path / "lines.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
        files = ("--input", "lines.jsonl", "--output", "judged.jsonl", "--judge", "refusal")
        done = command("judge", *files, "--engine", "server", cwd=tmp_path)
        assert "with --judge-url URL" in sentence(done)
