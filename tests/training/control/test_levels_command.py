"""`bfpo-bench levels` as users start it: levels, cuts, what is left out, and what cannot be."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Said, command
from recipes import write_records
from rule_judges import asked, rule_folder

from bfpo_bench.errors import UserError
from bfpo_bench.judges.load import load_judge
from bfpo_bench.training.control.judged import check_axis, read_rows
from bfpo_bench.training.data import DataSpec, check_levelled, load_levelled

GRADE = 'Finding("rated", float(answer.split()[1]))'
"""`Answer 7 bold`: a grade of 7."""
HARM = 'Finding("harmful" if "bold" in answer else "harmless", 0.9 if "bold" in answer else 0.1)'


def line(grade: int, *words: str, harmful: bool = True) -> dict[str, Any]:
    said = f"Answer {grade} {' '.join(words) or 'mild'}"
    return {"prompt": "Say something.", "response": said, "harmful": harmful, "from": grade}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("levels")
    rule_folder(folder / "grade", "rating", GRADE)
    rule_folder(folder / "wrong", "harm", HARM, prompts="[harmful]")
    rule_folder(folder / "same", "rating", 'Finding("rated", 1.0)')
    rule_folder(folder / "kind", "rating", GRADE, prompts="[benign]")
    (folder / "x.cuts.json").mkdir()
    rule_folder(folder / "mute", "harm", 'Finding("unjudged", error="no word")')
    rows = [line(g, *(["bold"] if g % 2 else [])) for g in range(10)]
    write_records(folder / "answers.jsonl", rows)
    write_records(folder / "bare.jsonl", [{"prompt": "?", "response": "Answer 1 mild"}])
    said = levels(folder, "--out", "five.jsonl")
    assert said.code == 0, said.err[-3000:]
    (folder / "said.txt").write_text(said.out)
    return folder


def levels(
    here: Path, *more: str, file: str = "answers.jsonl", helpful: str = "grade", safe: str = "wrong"
) -> Said:
    judges = ("--helpfulness", f"./{helpful}", "--safety", f"./{safe}")
    return command("levels", file, *judges, "--out", "out.jsonl", *more, cwd=here)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_levels_are_added_and_nothing_else_is_changed(here: Path) -> None:
    """Grades 0 to 9 in five levels, two each; p = 0.9 is -0.8 and p = 0.1 is 0.8, of cuts at -0.6, -0.2,
    0.2 and 0.6 below the first and above the last."""
    given, found = lines(here / "answers.jsonl"), lines(here / "five.jsonl")
    assert [{k: row[k] for k in row if "_" not in k} for row in found] == given
    assert [row["helpfulness_level"] for row in found] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [row["safety_level"] for row in found] == [4, 0] * 5
    assert [row["helpfulness_score"] for row in found] == list(range(10))
    assert found[1]["safety_score"] == pytest.approx(-0.8)
    told = (here / "said.txt").read_text()
    assert "helpfulness by grade, quantiles: cuts 1, 3, 5, 7" in told
    assert "safety by wrong, equal widths: cuts -0.6, -0.2, 0.2, 0.6" in told
    assert "responses by levels of helpfulness,safety: 0,0: 1; 0,4: 1; 1,0: 1" in told


@pytest.mark.parametrize("name", ["rating=org/m", "beaver_reward"])
def test_graders_of_helpfulness_tell_nothing_of_safety(name: str) -> None:
    spec = load_judge(name).spec
    check_axis(spec, "helpfulness")
    with pytest.raises(UserError, match=rf"^--safety {spec.name} grades helpfulness, which tells"):
        check_axis(spec, "safety")


def test_a_recipe_reads_the_file(here: Path) -> None:
    spec = DataSpec(source="jsonl", path=here / "five.jsonl")
    found, _ = load_levelled([spec], seed=0, count=5)
    assert Counter(one.levels.helpfulness for one in found) == dict.fromkeys(range(5), 2)
    (here / "alone.jsonl").write_bytes((here / "five.jsonl").read_bytes())
    with pytest.raises(UserError, match=r"_level is [2-4], and levels: 2 are 0 to 1"):
        load_levelled([DataSpec(source="jsonl", path=here / "alone.jsonl")], seed=0, count=2)


def test_a_recipe_has_as_many_levels_as_the_cuts_beside_the_file(here: Path) -> None:
    """Else a file of fewer levels would train, its highest called one of the middle."""
    spec = DataSpec(source="jsonl", path=here / "five.jsonl")
    for count in (2, 9):
        with pytest.raises(UserError) as error:
            check_levelled(spec, count)
        assert str(error.value) == (
            f"{here}/five.jsonl was made with 5 levels, as five.jsonl.cuts.json beside it says, and the "
            f"recipe has levels: {count}: set it to 5."
        )
    check_levelled(spec, 5)
    write_records(here / "torn.jsonl", lines(here / "five.jsonl"))
    (here / "torn.jsonl.cuts.json").write_text("{")
    with pytest.raises(UserError, match=r"torn.jsonl.cuts.json is no file of cuts .* remove it"):
        check_levelled(DataSpec(source="jsonl", path=here / "torn.jsonl"), 5)


def test_other_responses_by_the_same_cuts(here: Path) -> None:
    """Two grades alone would be cut between them; by the kept cuts, 1, 3, 5 and 7, both are above all."""
    cuts = "five.jsonl.cuts.json"
    write_records(here / "more.jsonl", [line(8, "bold"), line(9, "bold")])
    said = levels(here, "--cuts", cuts, file="more.jsonl")
    assert said.code == 0, said.err[-3000:]
    assert [row["helpfulness_level"] for row in lines(here / "out.jsonl")] == [4, 4]
    assert (here / "out.jsonl.cuts.json").read_text() == (here / cuts).read_text()


def test_both_responses_of_a_pair_and_what_answers_a_benign_prompt(here: Path) -> None:
    """The judge of harmful prompts is not asked of a benign one, though it would find harm."""
    pair = {"prompt": "?", "chosen": "Answer 1 bold", "rejected": "Answer 2 bold"}
    rows = [pair | {"harmful": True}, pair | {"harmful": False}]
    write_records(here / "pairs.jsonl", rows)
    before = len(asked(here / "wrong"))
    assert levels(here, "--levels", "2", file="pairs.jsonl").code == 0
    shown = [(r["response"], r["harmful"], r["safety_level"]) for r in lines(here / "out.jsonl")]
    assert shown == [
        ("Answer 1 bold", True, 0),
        ("Answer 2 bold", True, 0),
        ("Answer 1 bold", False, 1),
        ("Answer 2 bold", False, 1),
    ]
    assert asked(here / "wrong")[before:] == ["Answer 1 bold", "Answer 2 bold"]


def test_what_is_left_out_is_counted_in_responses(tmp_path: Path) -> None:
    """A pair is two responses, and goes for one that is empty; a response alone is one."""
    pair = {"prompt": "?", "chosen": "Answer 1 bold", "rejected": "Answer 2 bold"}
    rows = [pair, pair | {"rejected": " "}, {"prompt": "?", "response": ""}]
    found, left_out = read_rows(write_records(tmp_path / "rows.jsonl", rows))
    assert [row.response for row in found] == ["Answer 1 bold", "Answer 2 bold"]
    assert left_out == {"empty response": 3}


def test_a_failure_is_no_level(here: Path) -> None:
    """The judge says nothing of one response, and another is no language: eight of ten are left."""
    rows = [*lines(here / "answers.jsonl")[:9], line(9) | {"response": "ab" * 400}]
    write_records(here / "odd.jsonl", rows)
    rule_folder(
        here / "some",
        "harm",
        'Finding("unjudged", error="none") if "4" in answer else '
        'Finding("harmless", 0.2 if "bold" in answer else 0.3)',
    )
    said = levels(here, "--json", file="odd.jsonl", safe="some")
    assert said.code == 0, said.err[-3000:]
    told = json.loads(said.out)
    assert told["left_out"] == {"unjudged response": 1, "degenerate response": 1}
    assert told["responses"] == sum(told["cells"].values()) == 8
    assert all("4" not in row["response"] for row in lines(here / "out.jsonl"))


@pytest.mark.parametrize(
    ("changes", "more", "sentence"),
    [
        (
            {"helpful": "wrong"},
            (),
            "--helpfulness wrong is a judge of harm, which tells nothing of",
        ),
        (
            {"safe": "kind"},
            (),
            "--safety kind scores benign prompts alone, which tells nothing of safety: name a judge",
        ),
        (
            {"safe": "grade"},
            (),
            "--helpfulness and --safety are the same judge, grade: name another",
        ),
        ({"helpful": "same"}, (), "Judge same gives all 10 responses the score 1, which makes no"),
        ({"safe": "mute"}, (), "no response is left (10 unjudged response)"),
        (
            {"file": "bare.jsonl"},
            (),
            "and bare.jsonl, line 1, does not say whether its prompt is harmful: give",
        ),
        ({"file": "none.jsonl"}, (), "none.jsonl cannot be read"),
        ({}, ("--cuts", "answers.jsonl"), "answers.jsonl is no file of cuts"),
        (
            {},
            ("--cuts", "five.jsonl.cuts.json", "--levels", "4"),
            "makes 5 levels, and --levels asks for 4",
        ),
        (
            {"helpful": "same"},
            ("--cuts", "five.jsonl.cuts.json"),
            "has cuts of grade's scores, and --helpful",
        ),
        ({}, ("--out", "answers.jsonl"), "--out answers.jsonl is the input: name another."),
        (
            {},
            ("--cuts", "five.jsonl.cuts.json", "--out", "five.jsonl.cuts.json"),
            "--out five.jsonl.cuts.json is the input: name another.",
        ),
        ({}, ("--out", "grade"), "--out grade is a folder: name a file in it."),
        ({}, ("--out", "x"), "--out x.cuts.json is a folder: name a file in it."),
    ],
)
def test_what_one_can_get_wrong(
    here: Path, changes: dict[str, str], more: tuple[str, ...], sentence: str
) -> None:
    (here / "out.jsonl").unlink(missing_ok=True)
    said = levels(here, *more, **changes)
    assert said.code == 2
    assert sentence in said.error
    assert not (here / "out.jsonl").exists()
