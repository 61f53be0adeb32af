"""Files that were torn, damaged or written by anybody: what is whole is read back as it was written,
and what is not is refused in a sentence, or passed over where it decides nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hostile import CORPUS, encodable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.labelled import Reading, read_labelled
from bfpo_bench.judges.lines import judged_lines, read_lines, write_lines
from bfpo_bench.judges.load import load_judge
from bfpo_bench.leaderboard.columns import AGGREGATES, TEXT
from bfpo_bench.leaderboard.export import to_json, to_markdown
from bfpo_bench.leaderboard.keys import add_key, differences, keys_file, read_keys
from bfpo_bench.leaderboard.rows import add_row, neutral, read_leaderboard
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response, StoredLikelihood, Verdict
from bfpo_bench.runs.seal import Seals
from bfpo_bench.scoring.annotations import read_annotations
from bfpo_bench.suite.lock import DataLock, LockEntry, load_lock
from bfpo_bench.suite.suites import load_suite
from bfpo_bench.suite.tasks import read_yaml
from bfpo_bench.training.data.jsonl import pair, records, write_pairs
from bfpo_bench.training.pairs import Pair

# A file a test, written anew for each example
quick = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])

SHORT = [text for text in CORPUS if len(text) < 200]
texts = st.sampled_from(SHORT) | st.text(st.characters(), max_size=20)
whole_texts = texts.filter(encodable)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
DEEP = (b"[" * 10_000, b'{"a":' * 10_000, b"[" * 900 + b"]" * 900)
bytes_of_any_kind = (
    st.binary(max_size=200)
    | st.lists(values, max_size=3).map(lambda found: "\n".join(map(json.dumps, found)).encode())
    | values.map(lambda value: json.dumps(value).encode())
    | st.sampled_from([text.encode("utf-8", "surrogatepass") for text in SHORT])
    | st.sampled_from(DEEP)
)


def on_any_bytes(test: Callable[..., None]) -> Callable[..., None]:
    """On bytes of any kind, and always on what is nested too deeply to follow."""
    return quick(example(DEEP[0])(example(DEEP[1])(given(bytes_of_any_kind)(test))))


def as_json(value: Any) -> Any:
    """As JSON gives it back: of two halves side by side it makes one character."""
    return json.loads(json.dumps(value))


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """The file with some of its bytes gone, doubled or replaced."""
    place = st.integers(0, len(whole))
    return st.builds(
        lambda a, b, put: whole[: min(a, b)] + put + whole[max(a, b) :],
        place,
        place,
        st.binary(max_size=4) | st.sampled_from([b"\n", b'"', b",", b"\0", b"\xff", b"{", b"\r"]),
    )


class TestRuns:
    """What a run stores, cut at any byte: only the torn record is lost, and done again."""

    @staticmethod
    def responses(run: RunFolder) -> tuple[Path, list[Any], Callable[[], list[Any]]]:
        written = [
            Response("t", n, 0, [{"role": "user", "content": text}], text, "stop", 1, 1, 0, "null")
            for n, text in enumerate(SHORT[::7])
        ]
        return run.responses_file, written, lambda: list(run.responses())

    @staticmethod
    def verdicts(run: RunFolder) -> tuple[Path, list[Any], Callable[[], list[Any]]]:
        written = [
            Verdict("t", n, 0, "h", "unjudged", raw=text, error=text, answers={text: text})
            for n, text in enumerate(SHORT[::7])
        ]
        return run.verdicts_file("j"), written, lambda: list(run.verdicts("j"))

    @staticmethod
    def likelihoods(run: RunFolder) -> tuple[Path, list[Any], Callable[[], list[Any]]]:
        written = [StoredLikelihood("t", n, 0, -1.5e-300 * n, n % 2 == 0, "null") for n in range(9)]
        return run.likelihoods_file, written, lambda: list(run.likelihoods())

    @pytest.mark.parametrize("kind", ["responses", "verdicts", "likelihoods"])
    def test_a_cut_loses_the_torn_record_alone(self, tmp_path: Path, kind: str) -> None:
        """Every cut within the last record and one byte round the ends of all others."""
        file, written, read = getattr(self, kind)(RunFolder(tmp_path))
        self.store(file, written)
        whole, expected = file.read_bytes(), read()
        assert [as_json(r.dump()) for r in expected] == [as_json(r.dump()) for r in written]
        ends = [found.end() for found in re.finditer(b"\n", whole)]
        cuts = {0, *(end + by for end in ends for by in (-2, -1, 0, 1))}
        cuts |= set(range(ends[-2], len(whole) + 1, 3))
        for cut in sorted(cut for cut in cuts if cut <= len(whole)):
            file.write_bytes(whole[:cut])
            kept = whole[:cut].count(b"\n")
            assert read() == expected[:kept]
            self.store(file, written[kept:])
            assert file.read_bytes() == whole

    @pytest.mark.parametrize("kind", ["responses", "verdicts", "likelihoods"])
    def test_a_damaged_file_is_named_or_gives_what_it_holds(
        self, tmp_path: Path, kind: str
    ) -> None:
        file, written, read = getattr(self, kind)(RunFolder(tmp_path))
        self.store(file, written)
        whole = file.read_bytes()

        @quick
        @given(damaged(whole))
        def check(content: bytes) -> None:
            file.write_bytes(content)
            refused_or(read, naming=str(file))

        check()

    @staticmethod
    def store(file: Path, new: list[Any]) -> None:
        with Appender(file) as appender:
            for record in new:
                appender.append(record.dump())

    @on_any_bytes
    def test_files_that_say_what_a_run_is(self, tmp_path: Path, content: bytes) -> None:
        """A manifest, or a record of the data, of anybody's making."""
        run = RunFolder(tmp_path)
        for file, read in ((run.manifest_file, run.manifest), (run.data_file, run.data)):
            file.write_bytes(content)
            refused_or(read)

    @on_any_bytes
    def test_a_damaged_seal_holds_nothing(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "seals.json").write_bytes(content)
        seals = Seals(tmp_path / "seals.json")
        assert not seals.holds("respond", {"a": 1}, [])
        seals.set("respond", {"a": 1}, [])
        assert seals.holds("respond", {"a": 1}, [])


def refused_or(read: Callable[[], Any], naming: str = "") -> Any:
    """What `read` gives, None where it refuses in a sentence of one line that names `naming`."""
    try:
        return read()
    except UserError as error:
        told = str(error)
    assert naming in told
    assert "\n" not in told.strip()
    return None


HEADER = [*TEXT, *(f"{a}{end}" for a in AGGREGATES for end in ("", "_ci_low", "_ci_high"))]


def row(model: str, text: str, number: float) -> dict[str, Any]:
    checked = {"suite": "s@1", "partial": False, "date": "2030-01-02", "comparability_key": "k"}
    told = dict.fromkeys(TEXT, text) | {"model": model, **checked}
    return told | dict.fromkeys(HEADER[len(TEXT) :], number)


class TestLeaderboard:
    @quick
    @given(texts.filter(bool), texts, st.floats(0, 100))
    def test_every_reader_sees_the_same_rows(
        self, tmp_path: Path, model: str, text: str, number: float
    ) -> None:
        path = tmp_path / "lb.csv"
        path.unlink(missing_ok=True)
        for name in (model, f"{model} 2"):
            add_row(path, row(name, text, number))
        table = read_leaderboard(path)
        assert table["model"].tolist() == [neutral(model), neutral(f"{model} 2")]
        assert table["judges"].tolist() == [neutral(text)] * 2
        assert table["helpfulness"].tolist() == [pytest.approx(number, abs=5.1e-5)] * 2
        raw = path.read_text(encoding="utf-8")
        assert [len(x) for x in csv.reader(io.StringIO(raw, newline=""))] == [len(HEADER)] * 3
        assert len(raw.splitlines()) == 3
        [block] = json.loads(to_json(table))
        assert {r["model"] for r in block["rows"]} == set(table["model"])
        lines = [x for x in to_markdown(table).splitlines() if x.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1

    @on_any_bytes
    def test_anything_else_is_refused_and_left_alone(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "lb.csv"
        path.write_bytes(content)
        assert refused_or(lambda: read_leaderboard(path)) is None
        assert path.read_bytes() == content

    @settings(parent=quick, max_examples=15)
    @given(st.data())
    def test_a_damaged_one_is_refused_or_shown(self, tmp_path: Path, data: st.DataObject) -> None:
        path = tmp_path / "lb.csv"
        path.unlink(missing_ok=True)
        for model in ("=a;b", 'c,"d'):
            add_row(path, row(model, "text", 12.5))
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        table = refused_or(lambda: read_leaderboard(path))
        if table is None:
            return
        to_markdown(table), to_json(table)
        add_row(path, row("new", "text", 1))
        assert read_leaderboard(path)["model"].tolist()[-1] == "new"

    @on_any_bytes
    def test_keys_that_are_damaged_explain_nothing(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "lb.csv"
        keys_file(path).write_bytes(content)
        found = read_keys(path)
        for here in found.values():
            differences(here, {"settings": {"limit": 5}, "judges": {}, "data": {}})
        add_key(path, "k", {"settings": {"limit": 5}})
        assert read_keys(path) == {**found, "k": {"settings": {"limit": 5}}}

    @settings(parent=quick, max_examples=50)
    @given(*[st.dictionaries(st.sampled_from(["tasks", "limit", "samples", "x"]), values)] * 2)
    @example({"limit": 5, "x": 1}, {"x": 1})
    @example({"tasks": {"a": None}}, {"tasks": {}})
    @example({"samples": {"a": 1}, "limit": None}, {"samples": {"a": 2}})
    def test_any_two_settings_differ_in_words(self, a: dict[str, Any], b: dict[str, Any]) -> None:
        """A setting that is not given is one that is None."""
        for part, same in (("settings", bare(a) == bare(b)), ("data", top(a) == top(b))):
            said = differences({part: a}, {part: b})
            assert all(said)
            assert said or same


def top(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def bare(value: Any) -> Any:
    """Without what is None, at any depth of objects."""
    return {k: bare(v) for k, v in top(value).items()} if isinstance(value, dict) else value


LOCKED = st.builds(
    LockEntry,
    hub_id=st.none() | whole_texts,
    config=st.none() | whole_texts,
    split=whole_texts,
    files=st.none() | st.dictionaries(whole_texts, whole_texts, max_size=2),
    columns=st.lists(whole_texts, max_size=3).map(tuple),
    rows=st.none() | st.integers(0, 10**9),
    verified=st.booleans(),
    seen=whole_texts,
)


class TestDataLock:
    @quick
    @given(st.dictionaries(whole_texts, LOCKED, max_size=3))
    def test_is_read_as_it_was_written(self, tmp_path: Path, entries: dict[str, Any]) -> None:
        (tmp_path / "lock.json").write_text(DataLock(entries=entries).dump(), encoding="utf-8")
        assert load_lock(tmp_path / "lock.json").entries == entries

    @on_any_bytes
    def test_anything_else_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "lock.json").write_bytes(content)
        found = refused_or(lambda: load_lock(tmp_path / "lock.json"))
        assert found is None or found.entries == {}


class TestSomebodysTexts:
    """Files for `judge --input`, `judges evaluate`, `winrate` and `train`."""

    @quick
    @given(st.lists(st.tuples(texts, st.none() | texts, values), min_size=1, max_size=4))
    def test_judged_lines_keep_their_fields(self, tmp_path: Path, rows: list[Any]) -> None:
        source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        given_lines = [{"prompt": p, "response": r, "label": v, "x": v} for p, r, v in rows]
        source.write_text("".join(json.dumps(line) + "\n" for line in given_lines))
        lines = read_lines(source)
        write_lines(target, judged_lines(lines, [Finding("unjudged", raw=p) for p, _, _ in rows]))
        told = [json.loads(line) for line in target.read_bytes().split(b"\n")[:-1]]
        for before, after in zip(given_lines, told, strict=True):
            same = (after["prompt"], after["response"], after["input_label"], after["x"])
            wanted = (before["prompt"], before["response"], before["label"], before["x"])
            assert json.dumps(same) == json.dumps(as_json(wanted))
            assert after["raw"] == as_json(before["prompt"])
        assert [line.text for line in read_lines(target)] == [line.text for line in lines]

    @quick
    @given(
        st.lists(st.tuples(texts, texts, st.sampled_from(["refusal", "compliance"])), min_size=1)
    )
    @pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
    def test_labelled_rows_come_as_they_are(
        self, tmp_path: Path, suffix: str, rows: list[tuple[str, str, str]]
    ) -> None:
        path = tmp_path / f"labelled{suffix}"
        named = [dict(zip(("prompt", "response", "label"), row, strict=True)) for row in rows]
        if suffix == ".parquet":
            named = [r for r in named if encodable("".join(r.values()))]
            if not named:
                return
            pd.DataFrame(named).to_parquet(path)
        elif suffix == ".json":
            path.write_text(json.dumps(named))
        else:
            path.write_text("".join(json.dumps(r) + "\n" for r in named))
        found = read_labelled(path, ("refusal", "compliance"), Reading())
        told = [{"prompt": r.prompt, "response": r.response, "label": r.label} for r in found.rows]
        assert told == as_json(named)

    @on_any_bytes
    @example(b'{"prompt": "a", "response": "b", "label": {"x": [1e999, NaN]}}')
    @example(b"PAR1" + bytes(50) + b"PAR1")
    def test_anything_else_is_refused_with_its_place(self, tmp_path: Path, content: bytes) -> None:
        readers: dict[str, Callable[[Path], Any]] = {
            "a.jsonl": lambda p: (read_lines(p), None)[1],
            "b.jsonl": lambda p: read_labelled(p, ("refusal", "compliance")),
            "c.json": lambda p: read_labelled(p, ("refusal", "compliance")),
            "d.parquet": lambda p: read_labelled(p, ("refusal", "compliance")),
            "e.json": read_annotations,
            "f.jsonl": lambda p: list(records(p)),
        }
        for name, read in readers.items():
            (tmp_path / name).write_bytes(content)
            refused_or(lambda: read(tmp_path / name))  # noqa: B023

    @quick
    @given(st.dictionaries(st.sampled_from(["instruction", "output_1", "output_2_chars"]), values))
    def test_an_annotation_is_refused_by_its_field(
        self, tmp_path: Path, odd: dict[str, Any]
    ) -> None:
        usual = {"instruction": "i", "output_1": "a", "output_2": "b", "preference": 2}
        record = usual | {"generator_1": "g", "generator_2": "h"} | odd
        (tmp_path / "a.json").write_text(json.dumps([record]))
        found = refused_or(lambda: read_annotations(tmp_path / "a.json"))
        assert found is None or found[0].instruction == as_json(record["instruction"])

    @quick
    @given(
        st.lists(
            st.builds(
                Pair,
                prompt=whole_texts.map(lambda text: ({"role": "user", "content": text},)),
                chosen=whole_texts,
                rejected=whole_texts,
                chosen_safe=st.booleans(),
                rejected_safe=st.none() | st.booleans(),
                margin=st.none() | st.floats(allow_nan=False, allow_infinity=False),
            ),
            max_size=4,
        )
    )
    def test_pairs_are_read_as_they_were_written(self, tmp_path: Path, pairs: list[Pair]) -> None:
        write_pairs(tmp_path / "pairs.jsonl", pairs)
        assert [pair(found) for _, found in records(tmp_path / "pairs.jsonl")] == pairs


@quick
@given(bytes_of_any_kind | texts.map(lambda text: f"name: {text}".encode("utf-8", "replace")))
@example(b"include: it.yaml")
@example(b"tasks: 2024-13-45")
@example(b"? {a: b} : c")
@example(b"a: !function {b: c}")
@example(b"a: &a [*a]")
@example(b'{"\\n"}')
def test_yaml_of_any_kind_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Suites, tasks and judges of a user's own."""
    folder = tmp_path / "judge"
    folder.mkdir(exist_ok=True)
    for file in (tmp_path / "it.yaml", folder / "judge.yaml"):
        file.write_bytes(content)
    assert refused_or(lambda: load_suite(str(tmp_path / "it.yaml"))) is None
    assert refused_or(lambda: load_judge(str(folder))) is None
    refused_or(lambda: read_yaml(tmp_path / "it.yaml"))
