"""Raw win rates: arithmetic by hand, and the published ones of AlpacaEval's own annotations."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfpo_bench.scoring.winrate import standard_error, valid_preference, win_rate

REFERENCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "alpaca_eval"
LEADERBOARDS = {
    "alpaca_eval_gpt4": "leaderboard_v1.parquet",
    "weighted_alpaca_eval_gpt4_turbo": "leaderboard_v2.parquet",
}


@pytest.mark.parametrize(("given", "read"), [(1, 1), (2, 2), (1.25, 1.25), (1.5, 1.5), (0, 1.5)])
def test_a_preference_is_0_for_a_draw_or_lies_in_1_to_2(given: float, read: float) -> None:
    assert valid_preference(given) == read


@pytest.mark.parametrize(
    "given",
    [None, math.nan, -1, 3, 0.5, 2.0001, math.inf, "2", "model", True, False, [1], 10**400],
)
def test_anything_else_is_no_preference(given: object) -> None:
    assert valid_preference(given) is None


def test_wins_losses_draws_fractions_and_what_is_dropped() -> None:
    """Shares 1, 0, 0.5, 0.5, 0.75, 0.1 of six valid preferences: 2.85 / 6 = 47.5 %.

    Squared distances from 0.475: 0.275625 + 0.225625 + 0.000625 + 0.000625 + 0.075625 + 0.140625
    = 0.71875; / 5 / 6 = 0.0239583, the root 0.154785: 15.4785 %."""
    found = win_rate([2, 1, 0, 1.5, 1.75, 1.1, None, -1, "draw"])
    assert found.value == pytest.approx(47.5)
    assert found.standard_error == pytest.approx(15.4785, abs=1e-4)
    assert (found.n, found.n_wins, found.n_wins_base, found.n_draws) == (6, 2, 2, 2)
    assert found.n_invalid == 3


def test_an_even_split_of_wins_and_losses_has_wilsons_interval() -> None:
    """5 of 10: centre 0.5, half width z sqrt(n p q + z^2/4) / (n + z^2)
    = 1.959964 * sqrt(2.5 + 0.960365) / 13.841459 = 0.263407."""
    found = win_rate([1, 2] * 5)
    assert (found.value, found.n_draws) == (50, 0)
    assert found.low == pytest.approx(23.6593, abs=1e-3)
    assert found.high == pytest.approx(76.3407, abs=1e-3)


def test_all_wins_are_100_percent_and_still_uncertain() -> None:
    """Wilson's lower bound of 10 of 10: 10 / (10 + 3.841459) = 0.722467. No spread, no error."""
    found = win_rate([2] * 10)
    assert (found.value, found.high, found.standard_error) == (100, 100, 0)
    assert found.low == pytest.approx(72.2467, abs=1e-3)


def test_no_valid_preference_is_no_win_rate() -> None:
    found = win_rate([None, 7, "?"])
    assert (found.value, found.low, found.high, found.standard_error) == (None, None, None, None)
    assert (found.n, found.n_invalid) == (0, 3)
    assert win_rate([]).value is None


def test_one_preference_has_no_standard_error() -> None:
    found = win_rate([1.8])
    assert found.value == pytest.approx(80)
    assert found.standard_error is None
    assert (found.low, found.high) == (0, 100)


def test_equal_data_and_seed_text_give_equal_bounds() -> None:
    preferences = [1 + i / 40 for i in range(40)]
    assert win_rate(preferences, "a") == win_rate(preferences, "a")
    assert win_rate(preferences, "a").low != win_rate(preferences, "b").low


@settings(max_examples=40)
@given(st.lists(st.floats(1, 2) | st.just(0.0), min_size=2, max_size=50))
def test_swapping_model_and_baseline_gives_the_rest_to_100(preferences: list[float]) -> None:
    """A preference p seen from the other side is 3 - p; a draw stays one."""
    here = win_rate(preferences)
    there = win_rate([3 - p if p else 0 for p in preferences])
    assert here.value is not None
    assert there.value == pytest.approx(100 - here.value)
    assert there.standard_error == pytest.approx(here.standard_error)
    assert here.low is not None
    assert here.high is not None
    assert 0 <= here.low <= here.value <= here.high <= 100
    assert here.n_wins + here.n_wins_base + here.n_draws == here.n == len(preferences)


def test_the_standard_error_divides_by_n_minus_1() -> None:
    """0 and 1: sqrt(0.5 / 1 / 2) = 0.5."""
    assert standard_error([0, 1]) == pytest.approx(50)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs ../shared/reference/alpaca_eval")
class TestPublished:
    """Each model against the leaderboard of its own annotator."""

    def test_raw_win_rates_errors_and_counts(self) -> None:
        import pandas as pd

        annotations = pd.read_parquet(REFERENCE / "annotations.parquet")
        checked = []
        for (model, annotator), rows in annotations.groupby(["generator_2", "annotator"]):
            board = pd.read_parquet(REFERENCE / LEADERBOARDS[annotator]).set_index("name")
            if model not in board.index:
                continue
            row, found = board.loc[model], win_rate(rows.preference.tolist())
            assert found.value == pytest.approx(row.win_rate, abs=0.01), model
            assert found.standard_error == pytest.approx(row.standard_error, abs=0.01), model
            counts = (found.n, found.n_wins, found.n_wins_base, found.n_draws)
            assert counts == (row.n_total, row.n_wins, row.n_wins_base, row.n_draws), model
            checked.append(model)
        # text_davinci_003 has no row on the second leaderboard
        assert len(checked) == 9
