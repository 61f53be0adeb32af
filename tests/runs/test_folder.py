"""A run's folder: whose it is, who may write in it, and where its files lie."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manifests import MODEL, settings

from bfpo_bench.errors import UserError
from bfpo_bench.runs.folder import RunFolder, check_file, check_writable
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.records import Response, StoredLikelihood, Verdict
from bfpo_bench.runs.training_manifest import TrainingManifest

SAMPLES = {"a": {"documents": 10, "stratify_by": ("x",)}}


def manifest(
    other: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **more: Any
) -> Manifest:
    fields: dict[str, Any] = {
        "run_id": "m-0",
        "model": MODEL.model_copy(update=model or {}),
        "model_source": {},
        "settings": settings(**{"tasks": {"a": "1 cafe"}, "samples": SAMPLES} | (other or {})),
        "partial": False,
        "suite_title": "",
    }
    return Manifest(**fields | more)


def response(doc_id: int, text: str = "") -> Response:
    return Response("a", doc_id, 0, [], text, "stop", 1, 1, 0, "null")


def test_a_new_folder_takes_the_manifest(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "m-0")
    assert run.manifest() is None
    assert run.open(manifest()) == manifest()
    stored = run.manifest()
    assert stored is not None
    assert stored.model_dump_json() == manifest().model_dump_json()


def test_the_same_run_is_found_again_with_all_it_had(tmp_path: Path) -> None:
    """What is new in a session (model source, title) does not make it another run."""
    run = RunFolder(tmp_path)
    run.write_manifest(manifest(sessions=[{"seconds": {}}], counts={"a": {"documents": 10}}))
    found = run.open(manifest(model_source={"base": {}}, suite_title="other"))
    assert found.sessions == [{"seconds": {}}]
    assert found.counts == {"a": {"documents": 10}}


def test_of_the_training_the_run_knows_what_the_model_says_now(tmp_path: Path) -> None:
    """Its training manifest was added, and then taken away: it is the same run all along."""
    run = RunFolder(tmp_path)
    run.open(manifest())
    told = TrainingManifest(format=1, stage="sft")
    found = run.open(manifest(training=told))
    assert found.training == told
    run.write_manifest(found)
    assert run.open(manifest()).training is None


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"other": {"seed": 7}}, "settings seed: 0 there, 7 here"),
        ({"other": {"limit": 5}}, "settings limit: None there, 5 here"),
        ({"other": {"system_prompt": "Hi"}}, "settings system_prompt: None there, Hi here"),
        ({"model": {"weights": "v"}}, "model weights: w there, v here"),
    ],
)
def test_a_run_of_another_configuration_is_refused(
    tmp_path: Path, other: dict[str, Any], named: str
) -> None:
    run = RunFolder(tmp_path)
    run.open(manifest())
    before = run.manifest_file.read_bytes()
    with pytest.raises(UserError, match=re.escape(named)):
        run.open(manifest(**other))
    assert run.manifest_file.read_bytes() == before


def test_responses_without_a_manifest_are_not_taken_over(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with Appender(run.responses_file) as file:
        file.append(response(0).dump())
    with pytest.raises(UserError, match="holds responses but no manifest"):
        run.open(manifest())


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run_id": 1}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    run = RunFolder(tmp_path)
    run.manifest_file.write_text(content)
    with pytest.raises(UserError, match="is not a manifest of this version"):
        run.open(manifest())


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    path = tmp_path / "m-0"
    with RunFolder(path).lock():
        with pytest.raises(UserError, match=f"Another bfpo-bench is working on {path}"):
            RunFolder(path).lock().__enter__()
        with RunFolder(tmp_path / "other").lock():
            pass
    with RunFolder(path).lock():
        pass


def test_the_lock_is_released_when_the_work_breaks_off(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path).lock():
        raise ZeroDivisionError
    with RunFolder(tmp_path).lock():
        pass


def test_records_come_back_as_they_were_stored(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    likelihood = StoredLikelihood("a", 0, 1, -1.5, True, "null", cut=2)
    verdict = Verdict("a", 0, 0, "beef", "unjudged", None, "maybe", "no label")
    with Appender(run.likelihoods_file) as file:
        file.append(likelihood.dump())
    with Appender(run.verdicts_file("yesno@org/m")) as file:
        file.append(verdict.dump() | {"key_of_a_later_version": 1})
    assert list(run.likelihoods()) == [likelihood]
    assert list(run.verdicts("yesno@org/m")) == [verdict]
    assert list(run.verdicts("refusal")) == []
    assert (likelihood.key, verdict.key) == (("a", 0, 1), ("a", 0, 0))


def test_of_a_repeated_response_the_first_counts(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with Appender(run.responses_file) as file:
        for said in (response(0, "first"), response(1), response(0, "second")):
            file.append(said.dump())
    assert [(r.doc_id, r.response) for r in run.responses()] == [(0, "first"), (1, "")]


def test_verdict_files_are_readable_names(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.verdicts_file("refusal") == tmp_path / "verdicts" / "refusal.jsonl"
    assert run.verdicts_file("yesno@org/m").name == "yesno@org--m.jsonl"


keys = st.text(st.characters(), max_size=300) | st.sampled_from(
    ["..", "../../x", "/etc/x", "yesno@../../x", "a\0b", "~/x", "", "yesno@" + "long/" * 100]
)


@given(keys)
def test_no_judge_and_no_stage_leads_out_of_the_folder(key: str) -> None:
    run = RunFolder(Path("/runs/m-0"))
    for file, folder in ((run.verdicts_file(key), "verdicts"), (run.log_file(key), "logs")):
        assert file.parent == run.path / folder
        assert re.fullmatch(r"[A-Za-z0-9._@-]+", file.name)
        assert len(file.name) <= 255
        assert file.name not in (".", "..")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("yesno@./模型一", "yesno@./模型二"),
        ("yesno@a b", "yesno@a:b"),
        ("yesno@" + "x" * 300 + "1", "yesno@" + "x" * 300 + "2"),
    ],
)
def test_two_judges_never_share_a_file(a: str, b: str) -> None:
    run = RunFolder(Path("/runs/m-0"))
    assert run.verdicts_file(a) != run.verdicts_file(b)


def test_check_writable_makes_the_folder_and_leaves_nothing_in_it(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_path_under_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/out cannot be written \(Not a directory\)"):
        check_writable(tmp_path / "file" / "out")
    with pytest.raises(UserError, match=r"file cannot be written \(File exists\)"):
        check_writable(tmp_path / "file")


def test_a_file_is_written_neither_over_a_folder_nor_over_what_is_read(tmp_path: Path) -> None:
    """By whatever name; and before anything is done, so that nothing of it is lost."""
    given, other = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    given.write_text("all there is")
    (tmp_path / "link.jsonl").symlink_to(given)
    check_file(other, read=(given, tmp_path / "absent"))
    assert not other.exists()
    with pytest.raises(UserError, match=r"^--out \S+ is a folder: name a file in it"):
        check_file(tmp_path)
    for name in ("in.jsonl", "../" + tmp_path.name + "/in.jsonl", "link.jsonl"):
        with pytest.raises(UserError, match=r"^--to \S+/(in|link).jsonl is the input"):
            check_file(tmp_path / name, "--to", read=(other, given))
    with pytest.raises(UserError, match=r"in.jsonl cannot be written \(File exists\)"):
        check_file(given / "out.jsonl")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to enter every folder."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_entered_is_not_writable(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0)
    try:
        with as_nobody():
            for out in (closed, closed / "out"):
                with pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"):
                    check_writable(out)
    finally:
        closed.chmod(0o700)


def test_a_full_disk_is_found_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left on device"):
        check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
