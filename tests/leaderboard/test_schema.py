"""What a leaderboard's columns may hold: checked when the file is read, and published as JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from boards import board, board_row, write_board
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.leaderboard.export import to_json
from bfpo_bench.leaderboard.rows import read_leaderboard
from bfpo_bench.leaderboard.schema import described, json_schema

PUBLISHED = Path(__file__).parents[2] / "leaderboards" / "schema.json"
NONE = float("nan")


def changed(**cells: Any) -> dict[str, Any]:
    return board_row(**{"model": "second"} | cells)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            {"helpfulness": 130},
            "column helpfulness: '130.0000' should be less than or equal to 100",
        ),
        ({"over_refusal_ci_low": -1}, "column over_refusal_ci_low: '-1.0000' should be greater"),
        ({"harmlessness": "high"}, "column harmlessness: 'high' should be a valid number"),
        ({"harmlessness": "nan"}, "column harmlessness: 'nan' should be a finite number"),
        ({"bfpo_a": 101}, "column bfpo_a: '101.0000' should be less than or equal to 100"),
        ({"partial": "Tru"}, "column partial: 'Tru' should be a valid boolean"),
        ({"suite": "s"}, "column suite: 's' should match pattern"),
        ({"date": "2030-13-01"}, "column date: '2030-13-01' month must be in 1..12"),
        (
            {"date": "yesterday"},
            "column date: 'yesterday' is no date of ISO 8601, such as 2026-01-31",
        ),
        ({"model": ""}, "column model: '' should have at least 1 character"),
        (
            {"comparability_key": ""},
            "column comparability_key: '' should have at least 1 character",
        ),
        ({"helpfulness": 40}, "column helpfulness: its interval 48.0 to 52.0 does not hold 40.0"),
        ({"helpfulness": NONE}, "column helpfulness: a score and its interval go together"),
        ({"helpfulness_ci_low": NONE}, "column helpfulness: a score and its interval go together"),
        ({"model": "first"}, "column model: the row has the same model, suite, partial, comparab"),
    ],
)
def test_a_cell_that_cannot_be_is_named(tmp_path: Path, cells: dict[str, Any], told: str) -> None:
    """The heading is line 1, so the second row is line 3."""
    first = board_row("first", bfpo_a=50.0)
    path = write_board(tmp_path / "lb.csv", first, changed(**{"bfpo_a": 50.0} | cells))
    with pytest.raises(UserError) as error:
        read_leaderboard(path)
    assert f"{path} has a row that cannot be (line 3, {told}" in str(error.value)
    assert str(error.value).endswith("add the row again with `bfpo-bench leaderboard add RUN`.")


def test_a_score_may_lie_on_the_end_of_its_interval(tmp_path: Path) -> None:
    ends = {"helpfulness": 48.0, "harmlessness": 52.0, "over_refusal": 0.0}
    more = {"over_refusal_ci_low": 0.0}
    path = write_board(tmp_path / "lb.csv", changed(**ends, **more))
    assert read_leaderboard(path)["helpfulness"].tolist() == [48]


@pytest.mark.parametrize("lacking", [{"helpfulness": NONE}, {"bfpo_a": NONE}])
def test_what_is_not_scored_has_no_interval_either(
    tmp_path: Path, lacking: dict[str, float]
) -> None:
    [name] = lacking
    cells = dict.fromkeys((name, f"{name}_ci_low", f"{name}_ci_high"), NONE)
    path = write_board(tmp_path / "lb.csv", changed(**cells))
    assert read_leaderboard(path)[name].isna().all()


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("notes", "it has a column 'notes', which is neither its own nor a task's"),
        ("bfpo_a_ci_low", "it has a column 'bfpo_a_ci_low', which is neither"),
        ("rank", "it has a column 'rank', which is neither"),
        ("harmlessness_extra", "it has a column 'harmlessness_extra', which is neither"),
        ("model", "it has the column 'model' twice"),
    ],
)
def test_a_column_that_fits_nothing_is_refused_by_name(
    tmp_path: Path, heading: str, told: str
) -> None:
    path = write_board(tmp_path / "lb.csv", board_row("a"))
    first, second = path.read_text().splitlines()
    path.write_text(f"{first},{heading}\n{second},1\n")
    with pytest.raises(UserError) as error:
        read_leaderboard(path)
    assert f"{path} is not a leaderboard ({told}" in str(error.value)


def test_a_column_that_is_no_name_is_no_tasks(tmp_path: Path) -> None:
    odd = {"a b": 1.0, "a b_ci_low": 1.0, "a b_ci_high": 1.0}
    path = write_board(tmp_path / "lb.csv", board_row("a") | odd)
    with pytest.raises(UserError, match="a column 'a b', which is neither"):
        read_leaderboard(path)


def test_no_task_is_called_as_a_column_that_exports_have(tmp_path: Path) -> None:
    odd = {"rank": 1.0, "rank_ci_low": 1.0, "rank_ci_high": 1.0}
    path = write_board(tmp_path / "lb.csv", board_row("a") | odd)
    with pytest.raises(UserError, match="a column 'rank', which is neither"):
        read_leaderboard(path)


def test_a_suite_of_ones_own_has_columns_of_its_own(tmp_path: Path) -> None:
    own = {"my-task.v2": 10.0, "my-task.v2_ci_low": 5.0, "my-task.v2_ci_high": 20.0}
    path = write_board(tmp_path / "lb.csv", board_row("a") | own)
    assert read_leaderboard(path)["my-task.v2_ci_high"].tolist() == [20]


def test_the_line_is_that_of_the_file(tmp_path: Path) -> None:
    """Blank lines count, as they do in an editor: heading, blank, first row, blank, bad row."""
    path = write_board(tmp_path / "lb.csv", board_row("a"), board_row("b", 130))
    heading, one, two = path.read_text().splitlines()
    path.write_text(f"{heading}\n\n{one}\n\n{two}\n")
    with pytest.raises(UserError, match="line 5, column helpfulness"):
        read_leaderboard(path)


def test_a_file_that_a_spreadsheet_has_saved_is_read(tmp_path: Path) -> None:
    """With a byte order mark, CRLF, and TRUE and FALSE in capitals."""
    path = write_board(tmp_path / "lb.csv", board_row("a", partial=True))
    text = path.read_text().replace("True", "TRUE").replace("\n", "\r\n")
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_leaderboard(path)["partial"].tolist() == [True]


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    assert json.loads(PUBLISHED.read_text()) == json_schema()


def rows_of(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for block in json.loads(to_json(board(*rows))) for row in block["rows"]]


def test_exported_rows_fit_the_published_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    unscored = {f"helpfulness{end}": NONE for end in ("", "_ci_low", "_ci_high")}
    for row in rows_of(board_row("a", bfpo_b=3.0), board_row("b", **unscored)):
        jsonschema.validate(row, json_schema())


@pytest.mark.parametrize("cells", [{"helpfulness": 130.0}, {"bfpo_b": 130.0}, {"a b": 1}])
def test_other_rows_do_not_fit_the_published_schema(cells: dict[str, Any]) -> None:
    [row] = rows_of(board_row("a"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(row | cells, json_schema())


@pytest.mark.parametrize(
    ("column", "unit", "told"),
    [
        ("model", None, "Hugging Face id"),
        ("over_refusal", "percent", "lower is better"),
        ("bfpo_a", "percent", "A task's score"),
        ("bfpo_a_ci_high", "percent", "upper end"),
        ("bfpo_a_length_controlled", "percent", "equally long"),
    ],
)
def test_every_column_is_described(column: str, unit: str | None, told: str) -> None:
    assert described(column).get("unit") == unit
    assert told in described(column)["description"]


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_an_interval_is_in_order_or_refused(
    tmp_path_factory: pytest.TempPathFactory, low: float, value: float, high: float
) -> None:
    """As written, with four decimals."""
    cells = {"bfpo_a": value, "bfpo_a_ci_low": low, "bfpo_a_ci_high": high}
    path = write_board(tmp_path_factory.mktemp("lb") / "lb.csv", board_row("a") | cells)
    if round(low, 4) <= round(value, 4) <= round(high, 4):
        assert len(read_leaderboard(path)) == 1
    else:
        with pytest.raises(UserError, match="does not hold"):
            read_leaderboard(path)
