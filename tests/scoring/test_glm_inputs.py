"""What the published length control rests on: df_gamed.csv, and which instructions it is for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.scoring.glm_inputs import GamedRow, are_alpaca_eval, read_glm_inputs

DATA = Path(__file__).resolve().parents[2] / ".." / "shared/hub/datasets/tatsu-lab/alpaca_eval"
COLUMNS = ["preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline"]


def write(path: Path, rows: list[list[object]], columns: list[str] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def rows() -> list[list[object]]:
    """Two gamed baselines on 805 instructions, the first without a preference on the second one."""
    found: list[list[object]] = [
        [share, i, delta, i / 100, False]
        for share, delta in ((0.25, -1.5), (1, 2))
        for i in range(805)
    ]
    found[1][0] = ""
    return found


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_glm_inputs(path)
    return str(caught.value)


def test_difficulties_by_instruction_and_the_rows_that_have_a_preference(tmp_path: Path) -> None:
    inputs = read_glm_inputs(write(tmp_path / "df_gamed.csv", rows()))
    assert inputs.difficulty == tuple(i / 100 for i in range(805))
    assert len(inputs.gamed) == 2 * 805 - 1
    assert inputs.gamed[:2] == (GamedRow(0.25, -1.5, 0.0), GamedRow(0.25, -1.5, 0.02))
    assert inputs.gamed[-1] == GamedRow(1, 2, 8.04)


def test_difficulties_go_by_the_index_whatever_the_order(tmp_path: Path) -> None:
    inputs = read_glm_inputs(write(tmp_path / "df_gamed.csv", rows()[::-1]))
    assert inputs.difficulty[:3] == (0.0, 0.01, 0.02)


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [(0, "1.5", "'1.5'"), (0, "nan", "'nan'"), (1, "805", "'805'"), (2, "", "''"), (3, "x", "'x'")],
)
def test_a_cell_that_cannot_be_right_is_named(
    tmp_path: Path, column: int, value: str, shown: str
) -> None:
    bad = rows()
    bad[4][column] = value
    said = refusal(write(tmp_path / "df_gamed.csv", bad))
    assert f"df_gamed.csv, line 6: column {COLUMNS[column]} holds {shown}," in said


def test_a_lacking_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "df_gamed.csv", [r[:3] for r in rows()], COLUMNS[:3])
    assert "line 2: column instruction_difficulty is missing" in refusal(path)


def test_a_file_that_is_not_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "df_gamed.csv", rows()[:100])
    assert "has 100 of 805 instructions" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"index\n"])
def test_a_file_that_is_no_such_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "df_gamed.csv"
    path.write_bytes(content)
    assert "df_gamed.csv" in refusal(path)


def test_no_file(tmp_path: Path) -> None:
    said = refusal(tmp_path / "df_gamed.csv")
    assert said.endswith(
        "cannot be read (no such file or directory): fetch it from tatsu-lab/alpaca_eval."
    )


@pytest.mark.skipif(not DATA.is_dir(), reason="needs AlpacaEval's instructions in ../shared")
def test_alpaca_evals_instructions_are_known_in_their_order_alone() -> None:
    records = json.loads((DATA / "alpaca_eval_gpt4_baseline.json").read_text(encoding="utf-8"))
    instructions = [r["instruction"] for r in records]
    assert are_alpaca_eval(instructions)
    assert not are_alpaca_eval(instructions[::-1])
    assert not are_alpaca_eval(instructions[:-1])


def test_other_instructions_are_not() -> None:
    assert not are_alpaca_eval([])
    assert not are_alpaca_eval(["Name a flower.", "\ud800"])
