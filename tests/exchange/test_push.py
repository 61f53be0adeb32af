"""A run pushed to a hub that speaks real HTTP on this machine, and all that keeps it from being."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from exchange_runs import BENIGN, HARMFUL, SECRET, SPECS, finished_run
from upload_hub import TOKEN, Repository, UploadHub, upload_hub

from bfpo_bench.errors import UserError
from bfpo_bench.exchange.published import FILES
from bfpo_bench.exchange.push import look_at, prepare, upload
from bfpo_bench.scoring.finished import FinishedRun

NAME = "tester/answers"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return finished_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    """It knows the data sets of the open tasks, and neither calls for agreement."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with upload_hub() as found:
        for task in (BENIGN, HARMFUL):
            found.repositories[str(SPECS[task].hub_id)] = Repository()
        yield found


def push(run: FinishedRun, folder: Path, name: str = NAME, private: bool = True) -> str:
    target = look_at(name, private)
    return upload(target, prepare(run, SPECS, folder / "up", False), "message")


def test_it_goes_up_whole_in_one_commit(run: FinishedRun, hub: UploadHub, tmp_path: Path) -> None:
    address = push(run, tmp_path)
    there = hub.repositories[NAME]
    assert address == f"{hub.url}/datasets/{NAME}"
    assert there.private
    assert set(there.files) == set(FILES)
    assert hub.commits == 1
    assert all(there.files[p.name] == p.read_bytes() for p in (tmp_path / "up").iterdir())


def test_nothing_harmful_goes_up_unless_asked_for(
    run: FinishedRun, hub: UploadHub, tmp_path: Path
) -> None:
    push(run, tmp_path)
    import pyarrow.parquet as pq

    def said(folder: Path) -> str:
        return str(pq.read_table(folder / "responses.parquet")["response"].to_pylist())

    assert SECRET not in said(tmp_path / "up")
    prepare(run, SPECS, tmp_path / "all", True)
    assert SECRET in said(tmp_path / "all")


def test_looking_and_preparing_change_nothing_there(
    run: FinishedRun, hub: UploadHub, tmp_path: Path
) -> None:
    target = look_at(NAME, private=True)
    prepare(run, SPECS, tmp_path / "up", False)
    assert not target.exists
    assert not [asked for asked in hub.asked if asked.startswith("POST")]
    assert NAME not in hub.repositories


def test_a_name_alone_is_the_account_s_own(run: FinishedRun, hub: UploadHub) -> None:
    assert look_at("answers", private=True).name == NAME


def test_pushed_again_it_replaces_its_own_files(
    run: FinishedRun, hub: UploadHub, tmp_path: Path
) -> None:
    push(run, tmp_path)
    hub.repositories[NAME].files["run.json"] = b"older"
    assert look_at(NAME, private=True).exists
    push(run, tmp_path)
    assert hub.repositories[NAME].files["run.json"] != b"older"


@pytest.mark.parametrize("gate", ["auto", "manual", None])
def test_prompts_of_a_data_set_that_the_hub_does_not_call_open_are_kept_back(
    run: FinishedRun, hub: UploadHub, tmp_path: Path, gate: str | None
) -> None:
    """Gated since, or gone: None."""
    name = str(SPECS[BENIGN].hub_id)
    hub.repositories.pop(name)
    if gate:
        hub.repositories[name] = Repository(gated=gate)
    kept = prepare(run, SPECS, tmp_path / "up", False).kept
    assert kept.prompts["the data set is gated", BENIGN] == 4
    assert not any(task == HARMFUL for _, task in kept.prompts)


def test_another_data_set_is_not_written_over(run: FinishedRun, hub: UploadHub) -> None:
    hub.repositories[NAME] = Repository(private=True, files={"README.md": b"mine"})
    with pytest.raises(
        UserError, match=r"holds something else than a published run: .*another name"
    ):
        look_at(NAME, private=True)


@pytest.mark.parametrize(("there", "asked"), [(True, False), (False, True)])
def test_who_may_see_it_is_never_changed(hub: UploadHub, there: bool, asked: bool) -> None:
    hub.repositories[NAME] = Repository(private=there, files={"run.json": b"{}"})
    with pytest.raises(UserError, match=r"is p.* already: give --p"):
        look_at(NAME, private=asked)


def test_without_a_token(hub: UploadHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="from nobody without a token: set HF_TOKEN"):
        look_at(NAME, private=True)


def test_with_a_wrong_token(hub: UploadHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(UserError, match="does not take the token: set HF_TOKEN") as error:
        look_at(NAME, private=True)
    assert "wrongwrong" not in str(error.value)


def test_a_hub_that_knows_no_accounts_is_blamed_itself(
    hub: UploadHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.accounts = False
    with pytest.raises(UserError, match=r"does not say whose the token is \(HTTP 404\)") as error:
        look_at(NAME, private=True)
    assert NAME not in str(error.value)


def test_where_the_token_may_not_write(run: FinishedRun, hub: UploadHub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"may not write to others/answers: .* name of your own"):
        push(run, tmp_path, "others/answers")
    assert hub.commits == 0


@pytest.mark.parametrize(
    ("status", "words"), [(403, "may not write"), (503, "later"), (409, "refused tester/answers")]
)
def test_a_commit_that_is_refused(
    run: FinishedRun, hub: UploadHub, tmp_path: Path, status: int, words: str
) -> None:
    hub.status = status
    with pytest.raises(UserError, match=words):
        push(run, tmp_path)


def test_where_there_is_no_network(hub: UploadHub) -> None:
    with (
        patch("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9"),
        patch("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9"),
        pytest.raises(UserError, match=r"The hub cannot be reached \(.*\): give the command again"),
    ):
        look_at(NAME, private=True)


@pytest.mark.parametrize("name", ["a/b/c", "org/na me", "-x", ""])
def test_what_is_no_name(hub: UploadHub, name: str) -> None:
    with pytest.raises(UserError, match="is no name of a data set"):
        look_at(name, private=True)
