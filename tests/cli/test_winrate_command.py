"""`bfpo-bench winrate`: what it prints, on a small file and on AlpacaEval's own annotations."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from shelf import Shelf, on_shelf
from typer.testing import CliRunner

from bfpo_bench.cli import winrate
from bfpo_bench.errors import UserError

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"
REFERENCE = SHARED / "reference" / "alpaca_eval"
LEADERBOARDS = {"text_davinci_003": "v1", "gpt4_1106_preview": "v2"}

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")
app.command()(winrate.winrate)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "100"})


def records(*arguments: str | Path) -> list[dict[str, Any]]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def printed(*arguments: str | Path) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


def record(i: int, model: str, preference: object) -> dict[str, Any]:
    return {
        "instruction": f"Request {i}.",
        "output_1": "a" * 30,
        "generator_1": "theirs",
        "output_2": "b" * (20 + 7 * i % 25),
        "generator_2": model,
        "annotator": "judge",
        "preference": preference,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Thirty comparisons of one model, four of another, of which one is invalid."""
    rows = [record(i, "mine", (1, 2, 1.75)[i % 3]) for i in range(30)]
    rows += [record(i, "[red]odd\x1b[31m[/red]", p) for i, p in enumerate([2, 2, 0, None])]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    return path


def gamed_baselines(path: Path) -> None:
    """Inputs of ours in the published form: all instructions alike, both baselines at 50 %."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["model", "preference", "index", "std_delta_len", "instruction_difficulty"])
        for model, delta in (("verbose", -1), ("concise", 1)):
            rows.writerows([model, 0.5, i, delta, 0] for i in range(805))


@pytest.fixture
def shelf(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A hub that holds what the test puts there."""
    with on_shelf(tmp_path, monkeypatch) as made:
        yield made


class TestJson:
    def test_one_record_a_model(self, file: Path) -> None:
        """(0 + 1 + 0.75) / 3 = 58.33 %; (1 + 1 + 0.5) / 3 = 83.33 %."""
        mine, odd = records(file)
        assert (mine["generator"], mine["n"], round(mine["win_rate"], 2)) == ("mine", 30, 58.33)
        assert mine["method"] == "length_controlled_minimal"
        assert mine["ci_low"] < mine["win_rate"] < mine["ci_high"]
        assert mine["lc_ci_low"] < mine["length_controlled_win_rate"] < mine["lc_ci_high"]
        assert mine["standard_error"] > 0
        assert (odd["n"], odd["n_invalid"], round(odd["win_rate"], 2)) == (3, 1, 83.33)
        assert odd["length_controlled_win_rate"] is None
        assert odd["method"].startswith("not computed: 3 valid preferences")

    def test_the_same_command_gives_the_same_bytes(self, file: Path) -> None:
        assert run(file, "--json").stdout == run(file, "--json").stdout

    def test_nothing_valid_is_null_and_no_error(self, tmp_path: Path) -> None:
        path = tmp_path / "annotations.jsonl"
        path.write_text(json.dumps(record(0, "mine", "B")) + "\n")
        (found,) = records(path)
        assert (found["n"], found["win_rate"], found["standard_error"]) == (0, None, None)
        assert "1 of 1 preferences are dropped" in found["notes"][0]


class TestTable:
    def test_models_from_best_to_worst_with_reasons_below(self, file: Path) -> None:
        text = printed(file)
        assert "against theirs, judged by judge" in text
        assert text.index("odd") < text.index("mine")
        assert "mine 30 58.33" in text
        assert "mine: length-controlled: length_controlled_minimal" in text
        assert "length-controlled: not computed: 3 valid preferences" in text
        assert "1 of 4 preferences are dropped" in text

    def test_names_are_shown_as_they_are_without_control_characters(self, file: Path) -> None:
        assert "[red]odd[31m[/red]" in printed(file)
        assert "\x1b" not in run(file).stdout

    def test_help_says_what_a_preference_means(self) -> None:
        text = printed("--help")
        assert "1 the baseline is better, 2 the model is, 0 or 1.5 a draw" in text
        assert "--glm-files" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no annotations"),
        (b"model,win\nmine,1\n", "line 1 is not JSON"),
        (b'{"instruction": "a"}\n', "line 1 lacks generator_1, generator_2, preference"),
    ],
)
def test_a_file_that_cannot_serve_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    done = run(path)
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)
    assert done.stdout == ""


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path / "none.json")
    assert isinstance(done.exception, UserError)
    assert "none.json cannot be read" in str(done.exception)


def test_a_folder_without_the_inputs_is_refused(file: Path, tmp_path: Path) -> None:
    done = run(file, "--glm-files", tmp_path)
    assert isinstance(done.exception, UserError)
    assert "df_gamed.csv cannot be read" in str(done.exception)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs ../shared/reference/alpaca_eval")
class TestReference:
    """AlpacaEval's annotations of ten models, and its two leaderboards."""

    FILE = REFERENCE / "annotations.parquet"

    @pytest.fixture
    def one(self, tmp_path: Path) -> Path:
        """One model's annotations, as JSON lines."""
        import pandas as pd

        rows = pd.read_parquet(self.FILE)
        path = tmp_path / "one.jsonl"
        rows[rows.generator_2 == "gemma-2b-it"].to_json(path, orient="records", lines=True)
        return path

    def test_published_rates_errors_and_counts_and_a_form_that_says_its_name(
        self, hub: str
    ) -> None:
        """The stand-in for the hub has no df_gamed.csv, so every model gets the minimal form."""
        import pandas as pd

        boards = {
            v: pd.read_parquet(REFERENCE / f"leaderboard_{v}.parquet").set_index("name")
            for v in LEADERBOARDS.values()
        }
        found = records(self.FILE)
        assert len(found) == 10
        for r in found:
            assert r["method"] == "length_controlled_minimal"
            assert "df_gamed.csv is not at hand" in r["notes"][-1]
            assert "tatsu-lab/alpaca_eval@" in r["notes"][-1]
            board = boards[LEADERBOARDS[r["baseline"]]]
            if r["generator"] == "text_davinci_003":
                assert r["generator"] not in board.index
                continue
            row = board.loc[r["generator"]]
            assert r["win_rate"] == pytest.approx(row.win_rate, abs=0.01)
            assert r["standard_error"] == pytest.approx(row.standard_error, abs=0.01)
            assert (r["n"], r["n_wins"], r["n_wins_base"], r["n_draws"]) == (
                row.n_total,
                row.n_wins,
                row.n_wins_base,
                row.n_draws,
            )
            assert int(r["avg_length"]) == row.avg_length

    def test_the_published_form_with_inputs_from_a_folder(self, one: Path, tmp_path: Path) -> None:
        gamed_baselines(tmp_path / "df_gamed.csv")
        for r in records(one, "--glm-files", tmp_path):
            assert r["method"] == "length_controlled_v1"
            assert r["notes"][-1] == f"length_controlled_v1 rests on df_gamed.csv of {tmp_path}"
            assert 0 < r["length_controlled_win_rate"] < 100

    def test_the_published_form_with_inputs_from_the_hub(self, one: Path, shelf: Shelf) -> None:
        """The same file gives the same figures wherever it is from."""
        data_set = shelf.root / "datasets" / "tatsu-lab" / "alpaca_eval"
        data_set.mkdir(parents=True)
        gamed_baselines(data_set / "df_gamed.csv")
        from_hub = records(one)
        from_folder = records(one, "--glm-files", data_set)
        for here, there in zip(from_hub, from_folder, strict=True):
            assert "df_gamed.csv of tatsu-lab/alpaca_eval@" in here.pop("notes")[-1]
            there.pop("notes")
            assert here == there

    def test_inputs_of_the_hub_that_cannot_be_read_are_told(self, one: Path, shelf: Shelf) -> None:
        data_set = shelf.root / "datasets" / "tatsu-lab" / "alpaca_eval"
        data_set.mkdir(parents=True)
        (data_set / "df_gamed.csv").write_text("index\n0\n")
        for r in records(one):
            assert r["method"] == "length_controlled_minimal"
            assert "line 2: column instruction_difficulty is missing" in r["notes"][-1]

    def test_a_hub_without_the_data_set(self, one: Path, shelf: Shelf) -> None:
        for r in records(one):
            assert r["method"] == "length_controlled_minimal"
            assert "There is no data set tatsu-lab/alpaca_eval on the hub" in r["notes"][-1]
