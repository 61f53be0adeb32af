"""The leaderboard CSV: one run's row, and the file that keeps rows."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.columns import AGGREGATES, TEXT
from bfpo_bench.leaderboard.rows import add_row, neutral, read_leaderboard, row, to_csv, upsert
from bfpo_bench.runs.training_manifest import Base, TrainingManifest
from bfpo_bench.scoring.aggregate import CELLS
from bfpo_bench.scoring.panel import Panel
from bfpo_bench.scoring.scores import LengthControlledRate, Score, Scores, TaskScore

SPREAD = ("harmlessness_judge_low", "harmlessness_judge_high")
SEVENTY = Score(value=70, ci_low=61.25, ci_high=77.5)


def scores(**more: Any) -> Scores:
    fields: dict[str, Any] = {
        "model": "org/m",
        "suite": "s",
        "suite_version": 2,
        "partial": False,
        "comparability_key": "0123456789ab",
        "judges": ["yesno@m", "refusal"],
        "helpfulness": SEVENTY,
        "harmlessness": SEVENTY,
        "over_refusal": Score(value=5, ci_low=1, ci_high=9),
        "cells": dict.fromkeys(CELLS, SEVENTY),
        "families": {},
        "tasks": {"bfpo_a": task(50), "bfpo_b": task(None)},
        "missing": ["bfpo_b"],
    }
    return Scores(**fields | more)


def task(value: float | None) -> TaskScore:
    return TaskScore(
        value=value,
        ci_low=value,
        ci_high=value,
        cell=CELLS[0],
        family="f",
        weighted=True,
        metric="accuracy",
        raw_metric="acc",
        raw_higher_is_better=True,
        n=1,
        n_scored=1,
    )


TRAINED = TrainingManifest(
    format=1,
    stage="preference",
    objective="bfpo",
    objective_args={"tau": 0.01},
    base=Base(name="org/base"),
    data_sha256="1a2b3c4d" * 8,
)


def new(training: TrainingManifest | None = None, **more: Any) -> dict[str, Any]:
    return row(scores(**more), "transformers", "2030-01-02", training)


def models(path: Path) -> list[str]:
    return list(read_leaderboard(path)["model"])


def test_a_row_holds_text_then_aggregates_then_tasks() -> None:
    found = new()
    assert tuple(found)[: len(TEXT)] == TEXT
    assert [found[c] for c in TEXT] == [
        "org/m",
        "s@2",
        False,
        "0123456789ab",
        "transformers",
        "yesno@m refusal",
        "2030-01-02",
        "",
        "",
        "bfpo_b",
    ]
    numbers = [c for c in list(found)[len(TEXT) :] if c not in SPREAD]
    assert numbers == [
        f"{name}{end}"
        for name in (*AGGREGATES, "bfpo_a", "bfpo_b")
        for end in ("", "_ci_low", "_ci_high")
    ]
    assert (found["helpfulness"], found["helpfulness_ci_low"]) == (70, 61.25)
    assert found["bfpo_b"] is None


def test_the_spread_over_judges_stands_beside_harmlessness() -> None:
    """55 by one judge alone, 75 by the other; the majority of both (85) is no judge."""
    panel = Panel(
        kind="harm",
        judges=["stern", "mild"],
        n=4,
        n_degenerate=0,
        n_all_judged=4,
        n_split=1,
        pairs=[],
        majority={"harmless": 4},
        value_by_judge={"mild": 75.0, "stern": 55.0, "majority": 85.0},
    )
    undecided = panel.model_copy(update={"kind": "refusal", "value_by_judge": {}})
    found = new(panels=[panel, undecided])
    assert [found[c] for c in SPREAD] == [55, 75]
    after = list(found)[list(found).index("harmlessness_ci_high") + 1 :]
    assert tuple(after[:2]) == SPREAD
    assert [new()[c] for c in SPREAD] == [None, None]
    assert [new(panels=[undecided])[c] for c in SPREAD] == [None, None]


def test_a_win_rate_has_its_length_controlled_one_beside_it(tmp_path: Path) -> None:
    """Only where it was computed: 41.5 by the regression, and an empty cell where none could be."""
    rates = [
        LengthControlledRate(value=41.5, ci_low=40, ci_high=43, method="length_controlled_minimal"),
        LengthControlledRate(method="not computed: too few"),
        None,
    ]
    tasks = {
        f"bfpo_{name}": task(50).model_copy(update={"length_controlled": rate})
        for name, rate in zip("abc", rates, strict=True)
    }
    found = new(tasks=tasks)
    beside = {k: v for k, v in found.items() if k.endswith("_length_controlled")}
    assert beside == {"bfpo_a_length_controlled": 41.5, "bfpo_b_length_controlled": None}
    add_row(tmp_path / "board.csv", found)
    [kept] = read_leaderboard(tmp_path / "board.csv").to_dict("records")
    assert kept["bfpo_a_length_controlled"] == 41.5
    assert math.isnan(kept["bfpo_b_length_controlled"])


def test_a_row_that_says_the_same_again_keeps_its_date(tmp_path: Path) -> None:
    """A finished run whose command is given again; with another engine, say, it is another row."""
    board = tmp_path / "board.csv"
    add_row(board, new() | {"date": "2030-01-01T00:00:00+00:00"})
    before = board.read_bytes()
    add_row(board, new() | {"date": "2030-01-02T00:00:00+00:00"})
    assert board.read_bytes() == before
    add_row(board, new() | {"date": "2030-01-03T00:00:00+00:00", "engine": "vllm"})
    assert list(read_leaderboard(board)["date"]) == ["2030-01-03T00:00:00+00:00"]


def test_a_leaderboard_of_before_panels_is_still_one(tmp_path: Path) -> None:
    """Its rows get empty cells; the new row has its own."""
    old = {k: v for k, v in new(model="org/old").items() if k not in SPREAD}
    board = tmp_path / "board.csv"
    board.write_text(to_csv(upsert(read_leaderboard(board), old)))
    add_row(board, new() | {"harmlessness_judge_low": 55.0})
    low = list(read_leaderboard(board)["harmlessness_judge_low"])
    assert math.isnan(low[0])
    assert low[1] == 55


def test_a_trained_models_row_says_from_what_and_how() -> None:
    found = new(TRAINED)
    assert found["base"] == "org/base"
    assert found["training"] == "bfpo tau=0.01 on 1a2b3c4d"


def test_each_cell_has_its_own_column() -> None:
    cells = {cell: Score(value=n, ci_low=n, ci_high=n) for n, cell in enumerate(CELLS)}
    found = new(cells=cells)
    assert [found[cell.replace("/", "_")] for cell in CELLS] == [0, 1, 2, 3]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Scores with four decimals, missing ones as missing, `partial` as a truth value."""
    path = tmp_path / "deep" / "lb.csv"
    add_row(path, new(harmlessness=Score(value=100 / 3, ci_low=-0.0, ci_high=100)))
    found = read_leaderboard(path).iloc[0]
    assert found["harmlessness"] == 33.3333
    assert math.isnan(found["bfpo_b"])
    assert not found["partial"]
    # Twelve digits that happen to look like a number stay a name
    assert found["comparability_key"] == "0123456789ab"
    add_row(path, new(comparability_key="012345678901"))
    assert read_leaderboard(path).iloc[1]["comparability_key"] == "012345678901"


def test_no_file_is_an_empty_leaderboard(tmp_path: Path) -> None:
    assert read_leaderboard(tmp_path / "none.csv").empty


def test_the_same_identity_replaces_in_place(tmp_path: Path) -> None:
    path = tmp_path / "lb.csv"
    for name in "abc":
        add_row(path, new(model=name))
    add_row(path, new(model="b", helpfulness=Score(value=1, ci_low=0, ci_high=2)))
    table = read_leaderboard(path)
    assert list(table["model"]) == ["a", "b", "c"]
    assert list(table["helpfulness"]) == [70, 1, 70]


@pytest.mark.parametrize(
    "other",
    [
        {"model": "x"},
        {"suite": "t"},
        {"suite_version": 3},
        {"comparability_key": "k"},
    ],
)
def test_any_other_identity_is_another_row(tmp_path: Path, other: dict[str, Any]) -> None:
    path = tmp_path / "lb.csv"
    add_row(path, new())
    add_row(path, new(**other))
    add_row(path, new())
    assert len(read_leaderboard(path)) == 2


def test_the_training_is_no_part_of_the_identity(tmp_path: Path) -> None:
    """The same weights, whose training manifest was added later: still one row."""
    path = tmp_path / "lb.csv"
    add_row(path, new())
    add_row(path, new(TRAINED))
    assert list(read_leaderboard(path)["training"]) == ["bfpo tau=0.01 on 1a2b3c4d"]


def test_a_leaderboard_without_the_columns_of_training_gets_them(tmp_path: Path) -> None:
    """As version 0.1 wrote it: read with empty text in their place, and written with them."""
    path = tmp_path / "lb.csv"
    add_row(path, new(model="a"))
    whole = read_leaderboard(path)
    path.write_text(to_csv(whole.drop(columns=["base", "training"])))
    assert to_csv(read_leaderboard(path)) == to_csv(whole)
    add_row(path, new(TRAINED, model="b"))
    table = read_leaderboard(path)
    assert list(table.columns) == list(whole.columns)
    assert list(table["base"]) == ["", "org/base"]
    assert "base,training,missing" in path.read_text().splitlines()[0]


def test_a_partial_row_never_replaces_a_full_one(tmp_path: Path) -> None:
    path = tmp_path / "lb.csv"
    add_row(path, new())
    add_row(path, new(partial=True, helpfulness=Score(value=1, ci_low=0, ci_high=2)))
    assert list(read_leaderboard(path)["helpfulness"]) == [70, 1]


def test_a_full_row_replaces_the_one_that_a_fault_left(tmp_path: Path) -> None:
    """A judge broke off (partial), was mended, and the same command made the row whole."""
    path = tmp_path / "lb.csv"
    add_row(path, new(partial=True))
    add_row(path, new())
    assert list(read_leaderboard(path)["partial"]) == [False]


def test_new_tasks_append_columns_and_leave_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "lb.csv"
    add_row(path, new(model="a"))
    before = list(read_leaderboard(path).columns)
    add_row(path, new(model="b", tasks={"bfpo_c": task(20)}))
    table = read_leaderboard(path)
    assert list(table.columns) == [*before, "bfpo_c", "bfpo_c_ci_low", "bfpo_c_ci_high"]
    assert table["bfpo_a"].tolist()[0] == 50
    assert math.isnan(table["bfpo_a"].tolist()[1])
    assert math.isnan(table["bfpo_c"].tolist()[0])
    assert table["bfpo_c"].tolist()[1] == 20


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "' =1+1"),
        ("\n=1+1", "' =1+1"),
        ("  =1+1", "'  =1+1"),
        ("a\r\nb\0c", "a b c"),
        ("org/model-7b_v1.2", "org/model-7b_v1.2"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_texts_are_neutralised(text: str, cell: str) -> None:
    assert neutral(text) == cell


@given(st.text())
@example("''=1")
@example(" \n=cmd")
def test_no_text_starts_a_formula_and_once_is_enough(text: str) -> None:
    cell = neutral(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert neutral(cell) == cell


hostile = st.text() | st.builds(
    lambda start, rest: start + rest,
    st.sampled_from(
        ["=", "+", "-", "@", "\t=", '"', "'", ",", "\r\n", "NA", "nan", "True", "1e5", "ü"]
    ),
    st.text(),
)
percent = st.floats(0, 100)


@settings(max_examples=50, deadline=None)
@given(hostile.filter(bool), hostile, hostile, percent)
def test_any_text_survives_and_numbers_stay_numbers(
    tmp_path_factory: pytest.TempPathFactory, model: str, judge: str, base: str, value: float
) -> None:
    path = tmp_path_factory.mktemp("lb") / "lb.csv"
    training = TrainingManifest(format=1, stage="sft", base=Base(name=base), objective=base)
    written = new(
        training,
        model=model,
        judges=[judge],
        helpfulness=Score(value=value, ci_low=0, ci_high=100),
    )
    add_row(path, written)
    add_row(path, written)
    table = read_leaderboard(path)
    assert table["model"].tolist() == [neutral(model)]
    assert table["judges"].tolist() == [neutral(judge)]
    assert table["base"].tolist() == [neutral(training.base_name)]
    assert table["training"].tolist() == [neutral(training.describe())]
    assert table["helpfulness"].tolist() == [pytest.approx(value, abs=5.1e-5)]
    # Anyone else's reader sees the same two lines of the same width
    lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    assert [len(line) for line in lines] == [len(table.columns)] * 2
    # Rows that were read and are written again do not change
    assert to_csv(upsert(read_leaderboard(path), written)) == path.read_text(encoding="utf-8")


def test_writers_at_the_same_time_lose_no_row(tmp_path: Path) -> None:
    """Two processes, six rows each."""
    path = tmp_path / "lb.csv"
    script = (
        "import json, pathlib, sys\n"
        "from bfpo_bench.leaderboard.rows import add_row\n"
        "row = json.loads(sys.argv[2])\n"
        "for n in range(6):\n"
        "    add_row(pathlib.Path(sys.argv[1]), row | {'model': f'{row[\"model\"]}{n}'})\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(path), json.dumps(new(model=name))])
        for name in ("a", "b")
    ]
    assert [p.wait() for p in running] == [0, 0]
    assert sorted(models(path)) == [f"{name}{n}" for name in "ab" for n in range(6)]
    assert not list(tmp_path.glob(".*.tmp"))


SCORES = [f"{a}{end}" for a in AGGREGATES for end in ("", "_ci_low", "_ci_high")]
HEADER = ",".join([*TEXT, *SCORES])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"a,b\n1,2\n", "it has no column model"),
        (b"model,suite,partial,comparability_key\na,b,False,k\n", "it has no column engine"),
        ((HEADER + "\n" + "x," * len(TEXT) + "1.5\n").encode(), "line 2 has 11 cells and its"),
        (HEADER.replace(",over_refusal_ci_low", "").encode(), "no column over_refusal_ci_low"),
        ((HEADER.replace("date", "=date") + "\n").encode(), "it has a column '=date'"),
        ((HEADER + "\n" + "," * HEADER.count(",") + ",more\n").encode(), "line 2 has 32 cells"),
        (b"\x89PNG\r\n\xff\xfe\x00", "decode"),
    ],
)
def test_a_file_that_is_no_leaderboard_is_refused_and_left_alone(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "lb.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"is not a leaderboard .*{reason}"):
        add_row(path, new())
    assert path.read_bytes() == content


def test_a_folder_is_no_leaderboard(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a leaderboard"):
        read_leaderboard(tmp_path)


def test_a_leaderboard_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .* give another --leaderboard"):
        add_row(tmp_path / "file" / "lb.csv", new())
