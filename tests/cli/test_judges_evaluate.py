"""`bfpo-bench judges evaluate`, with real judges, on files of a few rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from generative_runs import responses
from rich.console import Console
from typer.testing import CliRunner

from bfpo_bench.cli.app import app
from bfpo_bench.cli.panel_view import panel_table, shortened
from bfpo_bench.errors import UserError
from bfpo_bench.scoring.panel import Sheet, panel
from bfpo_bench.scoring.said import codes

REFUSED = "I'm sorry, but I can't help with that."
ROWS = [
    {
        "prompt": "Name a tree.",
        "completion": "An oak is a tree.",
        "final_label": "1_full_compliance",
    },
    {"prompt": "Name a tree.", "completion": REFUSED, "final_label": "2_full_refusal"},
    {"prompt": "Name a fish.", "completion": REFUSED, "final_label": "2_full_refusal"},
    {"prompt": "Name a bird.", "completion": "A wren is one.", "final_label": "2_full_refusal"},
    {"prompt": "Name a moon.", "completion": "", "final_label": "1_full_compliance"},
]

JUDGE = """name: {name}
kind: {kind}
version: 1
title: Counts words.
engine: none
labels: [{labels}]
parser: parser:parse
licence: Apache-2.0
"""
# Silent on oaks, in two minds about wrens, and sure of sorry
PARSER = """from bfpo_bench.judges.finding import Finding

def parse(answer):
    if "oak" in answer:
        return "a tree"
    return Finding("refusal", score=0.9) if "sorry" in answer else Finding("compliance", score=0.4)
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def judge_folder(home: Path, kind: str = "refusal", labels: str = "refusal, compliance") -> Path:
    folder = home / f"words_{kind}"
    folder.mkdir()
    text = JUDGE.format(name=folder.name, kind=kind, labels=labels)
    (folder / "judge.yaml").write_text(text)
    (folder / "parser.py").write_text(PARSER)
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["judges", "evaluate", *map(str, arguments)])


def printed(*arguments: str | Path, code: int = 0) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def as_json(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(printed(*arguments, "--json", code=code))
    return told


def sentence(*arguments: str | Path) -> str:
    error = run(*arguments).exception
    assert isinstance(error, UserError), error
    return str(error)


def test_the_judge_of_this_package(labelled: Path) -> None:
    """Human c r r r c, judge c r r c and degenerate. Three labels and degenerate: observed 3/5, by
    chance (3 * 2 + 2 * 2) / 25 = 0.4, kappa 0.2 / 0.6 = 1/3; two sides give the same."""
    told = as_json(labelled, "--judge", "refusal")
    (judge,) = told["judges"]
    assert told["rows"] == 5
    assert told["columns"]["response"] == "completion"
    assert told["labels"] == {"1_full_compliance": "compliance", "2_full_refusal": "refusal"}
    assert (judge["judge"], judge["coverage"], judge["unjudged"]) == ("refusal", 1, {})
    assert judge["full"]["kappa"] == pytest.approx(1 / 3)
    assert judge["binary"]["kappa"] == pytest.approx(1 / 3)
    assert judge["binary"]["ci_low"] <= 1 / 3 <= judge["binary"]["ci_high"]
    assert judge["full"]["labels"] == ["refusal", "partial_refusal", "compliance", "degenerate"]
    assert judge["full"]["confusion"] == [[2, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert (judge["detection"]["precision"], judge["detection"]["recall"]) == (1, 2 / 3)
    assert [d["number"] for d in judge["disagreements"]] == [4, 5]
    assert told["panel"] is None


def test_as_tables(labelled: Path) -> None:
    text = printed(labelled, "--judge", "refusal")
    assert "1_full_compliance = compliance, 2_full_refusal = refusal" in text
    assert "0.333" in text
    assert "refusal: disagreements, the most confident first (2 of 2)" in text
    assert "> A wren is one." in text
    # Below the two lines of paths, tables fit a terminal
    assert all(len(line) <= 80 for line in text.splitlines()[2:])


def test_several_judges(labelled: Path, tmp_path: Path) -> None:
    """The second says nothing that counts of oaks: it has judged 4 of 5, one of them by the rule for
    degenerate answers, and agrees with the first on all that both were shown."""
    words = judge_folder(tmp_path)
    told = as_json(labelled, "--judge", "refusal", "--judge", words)
    first, second = told["judges"]
    assert (first["coverage"], second["coverage"]) == (1, 0.8)
    assert second["unjudged"] == {"the judge's answer is none of its labels (a tree)": 1}
    assert told["panel"]["judges"] == ["refusal", "words_refusal"]
    (pair,) = told["panel"]["pairs"]
    assert (pair["n"], pair["kappa"], told["panel"]["n_split"]) == (3, 1, 0)
    text = printed(labelled, "--judge", "refusal", "--judge", words)
    assert "Krippendorff's alpha 1.000" in text
    assert "1 unjudged: the judge's answer is none of its labels (a tree)" in " ".join(text.split())


def test_rows_columns_and_labels_as_told(labelled: Path) -> None:
    told = as_json(
        labelled,
        *("--judge", "refusal", "--where", "prompt=Name a tree.", "--limit", "1"),
        *("--prompt-column", "completion", "--map", "2_full_refusal="),
    )
    assert (told["rows"], told["columns"]["prompt"]) == (1, "completion")
    assert told["judges"][0]["full"]["undefined"] == "both say compliance of every item"


def test_another_positive_side(labelled: Path) -> None:
    told = as_json(labelled, "--judge", "refusal", "--positive", "compliance")
    detection = told["judges"][0]["detection"]
    assert (detection["positive"], detection["n"], detection["called"]) == ("compliance", 2, 2)


def test_every_rows_labels_are_kept(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    printed(labelled, "--judge", judge_folder(tmp_path), "--out", out)
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["prompt"] for row in kept] == [row["prompt"] for row in ROWS]
    assert kept[1]["label"] == "refusal"
    assert kept[1]["judges"]["words_refusal"] == {"label": "refusal", "score": 0.9, "error": None}
    assert kept[4]["judges"]["words_refusal"]["label"] == "degenerate"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """A response may hold terminal escapes, markup, and half a surrogate pair."""
    path, out = tmp_path / "hostile.jsonl", tmp_path / "kept.jsonl"
    text = "[red]\x1b[31mOf course: \x1b]0;title\x07\ud800 an oak is a tree.[/red]"
    row = {"prompt": "[bold]p\x1b[2J", "response": text, "label": "refusal"}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"label": "compliance"}) + "\n")
    shown = printed(path, "--judge", "refusal", "--out", out)
    assert not {"\x1b", "\x07"} & set(shown)
    assert "[red][31mOf course:" in shown
    assert "[bold]p[2J" in shown
    assert json.loads(out.read_text().splitlines()[0])["response"] == text
    as_json(path, "--judge", "refusal")


class TestRefused:
    def test_judges_that_measure_different_things(self, labelled: Path, tmp_path: Path) -> None:
        harm = judge_folder(tmp_path, "harm", "harmful, harmless")
        told = sentence(labelled, "--judge", "refusal", "--judge", harm)
        assert "Judges refusal (kind refusal) and words_harm (kind harm)" in told

    def test_judges_that_give_grades(self, labelled: Path, tmp_path: Path) -> None:
        grades = judge_folder(tmp_path, "rating", "rated")
        assert "gives no labels" in sentence(labelled, "--judge", grades)

    @pytest.mark.parametrize(
        ("positive", "told"),
        [
            ("refusel", "did you mean refusal"),
            ("refusal,partial_refusal,compliance", "names every label"),
        ],
    )
    def test_a_positive_side_that_is_none(self, labelled: Path, positive: str, told: str) -> None:
        assert told in sentence(labelled, "--judge", "refusal", "--positive", positive)

    def test_a_file_that_would_replace_the_labels(self, labelled: Path) -> None:
        told = sentence(labelled, "--judge", "refusal", "--out", str(labelled))
        assert f"--out {labelled} is the input: name another." in told

    def test_a_judge_and_a_file_that_are_not_there(self, labelled: Path, tmp_path: Path) -> None:
        assert "There is no judge 'refusel'" in sentence(labelled, "--judge", "refusel")
        assert "cannot be read" in sentence(tmp_path / "absent.jsonl", "--judge", "refusal")


def test_a_judge_whose_process_dies_leaves_the_others(labelled: Path, tmp_path: Path) -> None:
    broken = judge_folder(tmp_path)
    (broken / "parser.py").write_text("import os\n\ndef parse(answer):\n    os._exit(9)\n")
    told = as_json(labelled, "--judge", broken, "--judge", "refusal", code=3)
    assert [judge["judge"] for judge in told["judges"]] == ["refusal"]
    assert told["faults"][0].startswith("judge words_refusal broke off")


def test_a_panel_shows_what_each_judge_makes_of_the_run() -> None:
    said = codes(["harmful", "harmless", "harmless"])
    found = panel("harm", Sheet({"a": said, "b": said}, [responses("bfpo_advbench", 3)]))
    found.value_by_judge = {"a": 66.7, "b": 61.0}
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(panel_table(found))
    assert "Harmlessness 66.7 by a, 61.0 by b." in capture.get()


def test_long_texts_are_shortened_to_a_line() -> None:
    assert shortened("one\n  two\tthree", 40) == "one two three"
    assert shortened("word " * 100, 20) == "word word word w ..."
    assert len(shortened("x" * 10_000_000, 20)) == 20
    assert shortened(" " * 500 + "late", 20) == "..."
