"""Shards become one run, or a sentence says which of them is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shards import (
    DOCUMENTS,
    JUDGE,
    NEEDED,
    RUN,
    all_shards,
    append,
    likelihoods,
    response,
    shard_folder,
    verdict,
)

from bfpo_bench.errors import UserError
from bfpo_bench.runs.checks import (
    Check,
    checks_file,
    stored_answers,
    stored_checks,
    unchecked_file,
)
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.merging import (
    check_alike,
    check_failed,
    check_judges,
    complete_contents,
    write_merged,
)
from bfpo_bench.runs.parts import (
    Needed,
    StoredShard,
    by_run,
    contents,
    find_shards,
    finished_shards,
    read_stored,
    shortfall,
)
from bfpo_bench.runs.shard import Shard


def merged(out: Path, shards: list[StoredShard]) -> RunFolder:
    return write_merged(out / RUN, shards, complete_contents(shards, NEEDED))


def check(doc_id: int, said: str) -> Check:
    reading = {"yes": "harmful", "no": "harmless"}[said]
    return Check("talk", doc_id, 0, "Harmful?", said, reading, said == "yes", 5, 1, "null")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestMerging:
    def test_every_line_is_there_once_in_the_order_of_documents(self, tmp_path: Path) -> None:
        run = merged(tmp_path, all_shards(tmp_path))
        assert [r["doc_id"] for r in lines(run.responses_file)] == list(DOCUMENTS["talk"])
        assert [r["doc_id"] for r in lines(run.verdicts_file("refusal"))] == list(DOCUMENTS["talk"])
        assert [(r["doc_id"], r["choice"]) for r in lines(run.likelihoods_file)] == [
            (i, c) for i in DOCUMENTS["choose"] for c in (0, 1)
        ]

    def test_self_checks_and_the_answers_that_they_blocked_are_kept(self, tmp_path: Path) -> None:
        """Of document 2 a check was asked again, and the last counts. Seven documents in three shards."""
        shards = all_shards(tmp_path)
        for one in shards:
            mine = [r.doc_id for r in one.folder.responses()]
            append(unchecked_file(one.folder), [response(i, f"Unsafe {i}") for i in mine])
            append(checks_file(one.folder), [check(i, "no") for i in mine if i == 2])
            append(checks_file(one.folder), [check(i, "yes") for i in mine])
        run = merged(tmp_path, shards)
        assert [c["doc_id"] for c in lines(checks_file(run))] == list(DOCUMENTS["talk"])
        assert [c["said"] for c in lines(checks_file(run))] == ["yes"] * 7
        assert [r["response"] for r in lines(unchecked_file(run))] == [
            f"Unsafe {i}" for i in DOCUMENTS["talk"]
        ]
        assert len(stored_checks(run)) == len(stored_answers(run)) == 7
        merged(tmp_path, shards)
        checks_file(run).unlink()
        with pytest.raises(UserError, match=r"checks.jsonl holds other lines than the shards"):
            merged(tmp_path, shards)

    def test_lines_are_as_they_were_stored(self, tmp_path: Path) -> None:
        """With their checksums."""
        shards = all_shards(tmp_path)
        run = merged(tmp_path, shards)
        stored = [one.folder.responses_file.read_bytes().splitlines() for one in shards]
        assert sorted(run.responses_file.read_bytes().splitlines()) == sorted(
            line for lines in stored for line in lines
        )

    def test_the_manifest_is_that_of_a_whole_run(self, tmp_path: Path) -> None:
        """Sessions of all shards, counts added up: 7 documents of talk, 5 of choose with 2 choices."""
        manifest = merged(tmp_path, all_shards(tmp_path)).manifest()
        assert manifest is not None
        assert (manifest.shard, manifest.request) == (None, None)
        assert [s["shard"] for s in manifest.sessions] == ["1/3", "2/3", "3/3"]
        assert manifest.counts == {
            "talk": {"documents": 7, "requests": 7},
            "choose": {"documents": 5, "requests": 10},
        }

    def test_more_shards_than_documents(self, tmp_path: Path) -> None:
        """Of 9 shards 2 have no document of talk, and 4 none of choose."""
        run = merged(tmp_path, all_shards(tmp_path, 9))
        assert [r["doc_id"] for r in lines(run.responses_file)] == list(DOCUMENTS["talk"])

    def test_one_of_one(self, tmp_path: Path) -> None:
        run = merged(tmp_path, all_shards(tmp_path, 1))
        assert [r["doc_id"] for r in lines(run.responses_file)] == list(DOCUMENTS["talk"])

    def test_what_was_stored_twice_and_verdicts_on_former_texts_are_left(
        self, tmp_path: Path
    ) -> None:
        shards = all_shards(tmp_path)
        twice = lines(shards[0].folder.responses_file)[0]["doc_id"]
        append(shards[0].folder.responses_file, [response(twice, "another")])
        append(shards[0].folder.verdicts_file("refusal"), [verdict(response(twice, "former"))])
        run = merged(tmp_path, shards)
        assert [r["response"] for r in lines(run.responses_file)] == ["No."] * 7
        assert len(lines(run.verdicts_file("refusal"))) == 7

    def test_merging_again_leaves_the_run_as_it_is(self, tmp_path: Path) -> None:
        shards = all_shards(tmp_path)
        before = merged(tmp_path, shards).responses_file.stat()
        assert merged(tmp_path, shards).responses_file.stat() == before

    def test_a_run_that_answered_in_another_order_is_the_same(self, tmp_path: Path) -> None:
        """Made by one command, say, on an engine that finishes long answers last."""
        shards = all_shards(tmp_path)
        run = merged(tmp_path, shards)
        mixed = run.responses_file.read_bytes().splitlines(keepends=True)[::-1]
        run.responses_file.write_bytes(b"".join(mixed))
        assert merged(tmp_path, shards).responses_file.read_bytes() == b"".join(mixed)

    @pytest.mark.parametrize("file", ["responses.jsonl", "verdicts/refusal.jsonl"])
    def test_a_run_with_other_lines_is_left_alone(self, tmp_path: Path, file: str) -> None:
        shards = all_shards(tmp_path)
        path = merged(tmp_path, shards).path / file
        path.write_bytes(path.read_bytes().split(b"\n", 1)[1])
        before = path.read_bytes()
        with pytest.raises(UserError, match=f"{file} holds other lines than the shards: move "):
            merged(tmp_path, shards)
        assert path.read_bytes() == before

    def test_a_folder_that_is_no_run_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / RUN).mkdir()
        with pytest.raises(UserError, match="is there and is no run: move it away"):
            merged(tmp_path, all_shards(tmp_path))

    def test_what_a_killed_merge_left_is_in_nobodys_way(self, tmp_path: Path) -> None:
        left = tmp_path / f".{RUN}.merging"
        left.mkdir()
        (left / "responses.jsonl").write_text("half")
        (left / "manifest.json").write_text("{}")
        merged(tmp_path, all_shards(tmp_path))
        assert not left.exists()

    def test_a_full_disk_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shards = all_shards(tmp_path)

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(RunFolder, "write_data", full)
        with pytest.raises(OSError, match="No space left") as error:
            merged(tmp_path, shards)
        assert error.value.filename == str(tmp_path / RUN)
        assert sorted(p.name for p in tmp_path.iterdir()) == [s.path.name for s in shards]


def without_line(file: Callable[[RunFolder], Path]) -> Callable[[StoredShard], None]:
    def change(shard: StoredShard) -> None:
        path = file(shard.folder)
        path.write_bytes(path.read_bytes().split(b"\n", 1)[1])

    return change


def fault(shard: StoredShard) -> None:
    found = next(iter(shard.folder.responses()))
    broken = [verdict(found, "unjudged", error="the server is down", fault=True)]
    append(shard.folder.verdicts_file("refusal"), broken)


def unanswered(shard: StoredShard) -> None:
    """Its first response is what a server failed at."""
    first, *others = shard.folder.responses()
    shard.folder.responses_file.unlink()
    append(shard.folder.responses_file, [replace(first, error="no answer", fault=True), *others])


LACKING = {
    "a response": (without_line(lambda f: f.responses_file), r"1 of 2 documents of talk"),
    "a response that is a fault": (unanswered, r"1 of 2 documents of talk"),
    "a choice": (without_line(lambda f: f.likelihoods_file), r"1 of \d answers to choose"),
    "a verdict": (
        without_line(lambda f: f.verdicts_file("refusal")),
        "1 of 2 verdicts of refusal on talk",
    ),
    "a verdict that is a fault": (fault, "1 of 2 verdicts of refusal on talk"),
    "all verdicts": (
        lambda s: s.folder.verdicts_file("refusal").unlink(),
        "2 of 2 verdicts of refusal on talk",
    ),
}


class TestCompleteness:
    @pytest.mark.parametrize("what", LACKING)
    def test_what_a_shard_lacks_is_named_with_what_finishes_it(
        self, tmp_path: Path, what: str
    ) -> None:
        """Of three shards one has 3 of talk's 7 documents, the others 2."""
        shards = all_shards(tmp_path)
        [one, *_] = [s for s in shards if len(s.shard.of("talk", range(7))) == 2]
        change, words = LACKING[what]
        change(one)
        command = f"finish it with `bfpo-bench run --model m --shard {one.shard}`"
        with pytest.raises(UserError, match=f"{one.path.name} lacks {words}: {command}"):
            complete_contents(shards, NEEDED)

    def test_a_complete_one_lacks_nothing(self, tmp_path: Path) -> None:
        for one in all_shards(tmp_path, 4):
            assert shortfall(one, contents(one, NEEDED.judges), NEEDED) == []

    def test_one_that_was_not_answered_to_its_end(self, tmp_path: Path) -> None:
        """Its manifest does not know its data: that is written when everything is answered."""
        one = shard_folder(tmp_path, Shard(1, 3), data={}, counts={})
        lacking = shortfall(one, contents(one, NEEDED.judges), NEEDED)
        assert lacking == ["all of talk", "all of choose"]

    def test_documents_of_another_shard(self, tmp_path: Path) -> None:
        """As many as it should have: shard 2's answers under the name of shard 1."""
        shards = all_shards(tmp_path, 7)
        for name in ("responses.jsonl", "verdicts/refusal.jsonl"):
            shutil.copy(shards[1].path / name, shards[0].path / name)
        with pytest.raises(UserError, match="documents of talk that are not those of shard"):
            complete_contents(shards, NEEDED)

    def test_a_document_too_many(self, tmp_path: Path) -> None:
        shards = all_shards(tmp_path)
        append(shards[1].folder.likelihoods_file, likelihoods(77))
        with pytest.raises(
            UserError, match="shard-2-of-3 has documents of choose that are not those of"
        ):
            complete_contents(shards, NEEDED)

    def test_a_changed_line_is_refused(self, tmp_path: Path) -> None:
        shards = all_shards(tmp_path)
        path = shards[2].folder.responses_file
        path.write_bytes(path.read_bytes().replace(b"No.", b"Yes", 1))
        with pytest.raises(UserError, match=r"responses.jsonl, line 1 has been changed"):
            complete_contents(shards, NEEDED)


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "weights": ({"model": {"weights": "other"}}, "another weights of the model"),
    "seed": ({"settings": {"seed": 1}}, "seed: 1 there, 0 here"),
    "scoring": ({"settings": {"weights": {"x": 2.0}}}, "weights: {'x': 2.0} there, {} here"),
    "judges": ({"request": {"judges": ("a", "b")}}, "judges as its command had them: a b there"),
    "suite": ({"request": {"suite": "mine.yaml"}}, "suite as its command had them: mine.yaml"),
    "version": (
        {"sessions": [{"versions": {"bfpo-bench": "0.9"}}]},
        "bfpo-bench 0.9 there, 1.0 here",
    ),
}


class TestGoingTogether:
    @pytest.mark.parametrize("what", DIFFERENT)
    def test_one_that_differs_is_named(self, tmp_path: Path, what: str) -> None:
        changes, words = DIFFERENT[what]
        shards = all_shards(tmp_path, 2)
        shards[1] = shard_folder(tmp_path / "other", Shard(2, 2), **changes)
        with pytest.raises(UserError, match="does not go with") as error:
            check_alike(shards)
        assert words in str(error.value)
        assert str(shards[1].path) in str(error.value)

    @pytest.mark.parametrize("key", ["fingerprint", "revision", "documents"])
    def test_data_that_have_changed_meanwhile(self, tmp_path: Path, key: str) -> None:
        shards = all_shards(tmp_path, 2)
        data = shards[1].manifest.data
        data = data | {"talk": data["talk"] | {key: "other"}}
        shards[1] = shard_folder(tmp_path / "other", Shard(2, 2), data=data)
        with pytest.raises(UserError, match=f"the {key} of talk's data: other there"):
            check_alike(shards)

    def test_of_another_number(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"is one of 4 shards and .* one of 2: name those"):
            check_alike([*all_shards(tmp_path, 2), *all_shards(tmp_path, 4)])

    def test_missing_ones(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"lacks shard 1/9, 3/9, 4/9 and 3 more: give the"):
            check_alike([s for s in all_shards(tmp_path, 9) if s.shard.number in (2, 5, 9)])

    def test_one_twice(self, tmp_path: Path) -> None:
        shards = all_shards(tmp_path, 2)
        shutil.copytree(shards[1].path, copy := tmp_path / "copy")
        with pytest.raises(UserError, match="are both shard 2/2: leave one out"):
            check_alike([*shards, read_stored(copy)])

    def test_verdicts_of_another_version(self, tmp_path: Path) -> None:
        shards = all_shards(tmp_path, 2)
        check_judges(shards, {"refusal": JUDGE})
        shards[1] = shard_folder(tmp_path, Shard(2, 2), judges={"refusal": JUDGE | {"version": 2}})
        with pytest.raises(UserError, match=r"shard-2-of-2 was judged by .*version: 2 then, 1 now"):
            check_judges(shards, {"refusal": JUDGE})

    def test_no_verdicts_of_a_judge(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"shard-1-of-2 has no verdicts of harm: finish it"):
            check_judges(all_shards(tmp_path, 2), {"refusal": JUDGE, "harm": JUDGE})


def failing(shard: StoredShard, *unaskable: str, **failed: str) -> StoredShard:
    sessions = [{**shard.manifest.sessions[0], "failed": failed, "unaskable": unaskable}]
    return replace(shard, manifest=shard.manifest.model_copy(update={"sessions": sessions}))


class TestFailedTasks:
    def test_one_that_no_shard_could_ask_is_left_out(self, tmp_path: Path) -> None:
        shards = [failing(s, talk="Its data are gone.") for s in all_shards(tmp_path, 2)]
        assert check_failed(shards) == {"talk": "Its data are gone."}

    def test_one_that_some_could_is_asked_again(self, tmp_path: Path) -> None:
        first, second = all_shards(tmp_path, 2)
        words = r"shard-2-of-2 lacks choose, which others have \(out of memory\): finish it"
        with pytest.raises(UserError, match=words):
            check_failed([first, failing(second, choose="out of memory.")])

    def test_one_that_a_shard_never_can_is_left_out_as_of_the_whole_run(
        self, tmp_path: Path
    ) -> None:
        """One document of talk cannot be put into the model's template: it falls to one shard of three."""
        first, second, third = all_shards(tmp_path)
        shards = [first, failing(second, "talk", talk="Its template refuses it."), third]
        assert check_failed(shards) == {"talk": "Its template refuses it."}
        without = Needed((), ("choose",), NEEDED.judges)
        run = write_merged(tmp_path / RUN, shards, complete_contents(shards, without))
        assert not run.responses_file.exists()
        assert not run.verdicts_file("refusal").exists()
        assert len(lines(run.likelihoods_file)) == 10
        manifest = run.manifest()
        assert manifest is not None
        assert list(manifest.data) == list(manifest.counts) == list(run.data()) == ["choose"]

    def test_a_fault_of_another_shard_keeps_it_out_no_less(self, tmp_path: Path) -> None:
        first, second = all_shards(tmp_path, 2)
        shards = [failing(first, choose="no disk"), failing(second, "choose", choose="never")]
        assert check_failed(shards) == {"choose": "never"}


class TestFinding:
    def test_shards_by_name_or_by_their_run(self, tmp_path: Path) -> None:
        paths = [one.path for one in all_shards(tmp_path)]
        assert find_shards(paths) == paths
        assert find_shards([tmp_path / RUN]) == paths
        assert find_shards([tmp_path / RUN, paths[1]]) == paths

    def test_also_where_the_run_is_there(self, tmp_path: Path) -> None:
        shards = all_shards(tmp_path)
        merged(tmp_path, shards)
        assert find_shards([tmp_path / RUN]) == [one.path for one in shards]

    @pytest.mark.parametrize("name", ["nothing", "*", "[a]"])
    def test_a_path_without_shards(self, tmp_path: Path, name: str) -> None:
        all_shards(tmp_path)
        with pytest.raises(UserError, match="is no shard, and there are none of its run"):
            find_shards([tmp_path / name])

    def test_those_of_one_run_together(self, tmp_path: Path) -> None:
        """Also where the name of a folder says otherwise; one whose manifest is none goes by its name."""
        mine = [one.path for one in all_shards(tmp_path)]
        other = shard_folder(tmp_path / "other", Shard(1, 1), run_id="n-0").path
        moved = mine[1].rename(tmp_path / "moved")
        (mine[2] / "manifest.json").write_text("[")
        paths = [mine[0], other, moved, mine[2]]
        assert by_run(find_shards(paths)) == [[mine[0], moved, mine[2]], [other]]

    def test_how_many_are_finished(self, tmp_path: Path) -> None:
        """One of three was begun again, one has a manifest that is none."""
        shards = all_shards(tmp_path)
        assert finished_shards(tmp_path, RUN, 3) == 3
        assert finished_shards(tmp_path, RUN, 4) == 0
        begun = [*shards[0].manifest.sessions, {"started": "2026"}]
        shard_folder(tmp_path, Shard(1, 3), sessions=begun)
        shards[1].folder.manifest_file.write_text("[")
        assert finished_shards(tmp_path, RUN, 3) == 1
