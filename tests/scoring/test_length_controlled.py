"""Length control: arithmetic by hand, scikit-learn's own cross-validation, and AlpacaEval's figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bfpo_bench.scoring.glm_inputs import GamedRow, GlmInputs
from bfpo_bench.scoring.length_controlled import (
    MINIMAL,
    PUBLISHED,
    LengthControlled,
    length_controlled,
)

REFERENCE = Path(__file__).resolve().parents[2] / ".." / "shared" / "reference" / "alpaca_eval"


def shown(found: LengthControlled) -> tuple[float, float, float, float]:
    """(value, low, high, standard error) of one that could be computed."""
    numbers = (found.value, found.low, found.high, found.standard_error)
    assert None not in numbers
    return numbers  # type: ignore[return-value]


def some_comparisons(n: int, seed: int = 0) -> tuple[list[float], list[int], list[int]]:
    """A judge that likes length: (preferences, model lengths, baseline lengths)."""
    random = np.random.default_rng(seed)
    model, baseline = random.integers(50, 900, n), random.integers(50, 900, n)
    liking = 1 / (1 + np.exp(-(model - baseline) / 300 - 0.4 + random.normal(0, 1, n)))
    return (1 + liking).tolist(), model.tolist(), baseline.tolist()


class TestByHand:
    def test_what_length_alone_has_won_is_taken_off(self) -> None:
        """300 answers are 100 characters longer than the baseline's and win a share of 0.8, 100 are
        300 shorter and win 0.4: raw 70 %. The differences d, baseline less model, are -100 and 300
        with mean 0, so their standard deviation is sqrt((3 * 100^2 + 300^2) / 4 * 400 / 399) = 173.42
        and tanh(d) is -0.51997 and 0.93907.

        Two points fix the line a tanh(d) + c through the logits 1.38629 and -0.40547:
        a = -1.79176 / 1.45904 = -1.22804, c = 1.38629 - 1.22804 * 0.51997 = 0.74775,
        and 1 / (1 + exp(-0.74775)) = 67.87 %."""
        value, *_ = shown(
            length_controlled(
                [1.8] * 300 + [1.4] * 100, [400] * 300 + [100] * 100, [300] * 300 + [400] * 100
            )
        )
        assert value == pytest.approx(67.87, abs=0.05)

    def test_a_judge_that_ignores_length_gives_the_raw_rate_its_error_and_its_interval(
        self,
    ) -> None:
        """200 longer and 200 shorter answers, half of either win: both coefficients are 0, the value
        50, its error sqrt(0.25 / 400) = 2.5. On the logit scale 1.95996 * 0.025 / 0.25 = 0.195996,
        and 1 / (1 + exp(-+0.195996)) is 45.1157 and 54.8843."""
        found = length_controlled([1, 2] * 200, [400, 400, 100, 100] * 100, [250] * 400)
        assert shown(found) == pytest.approx((50, 45.1157, 54.8843, 2.5), abs=1e-3)

    def test_the_difficulty_of_instructions_spreads_predictions_but_not_their_mean(self) -> None:
        """Difficulties 1 and -1 in turn, shares 1 / (1 + exp(-+1)) = 0.731059 and 0.268941 whatever
        the length: the mean prediction at equal length is 50."""
        share = 1 / (1 + math.exp(-1))
        inputs = GlmInputs((1.0, -1.0) * 100, tuple(GamedRow(0.5, 0.1, 0.0) for _ in range(10)))
        found = length_controlled(
            [1 + share, 2 - share] * 100, [400, 400, 100, 100] * 50, [250] * 200, inputs
        )
        value, low, high, error = shown(found)
        assert value == pytest.approx(50, abs=0.2)
        # Only the spread of the predictions is left: 23.1059 / sqrt(200) = 1.6338
        assert error == pytest.approx(1.634, abs=0.01)
        assert low < value < high


def test_the_error_is_what_resampling_the_instructions_gives() -> None:
    """40 resamples, cross-validation and all: their spread is known to 1 / sqrt(80) = 11 %."""
    preferences, model, baseline = some_comparisons(150)
    *_, error = shown(length_controlled(preferences, model, baseline))
    random, values = np.random.default_rng(0), []
    for _ in range(40):
        drawn = random.integers(0, 150, 150)
        value, *_ = shown(
            length_controlled(
                *([column[i] for i in drawn] for column in (preferences, model, baseline))
            )
        )
        values.append(value)
    assert error == pytest.approx(np.std(values), rel=0.3)


def test_swapping_model_and_baseline_gives_the_rest_to_100() -> None:
    preferences, model, baseline = some_comparisons(200)
    here, *_ = shown(length_controlled(preferences, model, baseline))
    there, *_ = shown(length_controlled([3 - p for p in preferences], baseline, model))
    assert there == pytest.approx(100 - here, abs=0.01)


def by_scikit_learn(
    preferences: list[float | None],
    model: list[int],
    baseline: list[int],
    inputs: GlmInputs | None,
) -> float:
    """The published procedure on scikit-learn's own LogisticRegressionCV: percent."""
    import sklearn  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegressionCV  # type: ignore[import-untyped]
    from sklearn.metrics import make_scorer  # type: ignore[import-untyped]
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

    def loss(y: Any, predicted: Any, share: Any, weight: Any) -> float:
        target, p = np.where(y == 1, share, 1 - share), np.clip(predicted, 1e-15, 1 - 1e-15)
        return -float(np.mean(weight * (target * np.log(p) + (1 - target) * np.log(1 - p))))

    delta = np.subtract(baseline, model)
    tanh = np.tanh(delta / np.std(delta, ddof=1))
    difficulty = inputs.difficulty if inputs else [0.0] * len(model)
    gamed = inputs.gamed if inputs else ()
    rows = [(math.tanh(g.std_delta_length), g.difficulty, 0.0, g.share, 0.1) for g in gamed] + [
        (t, d, 1.0, p - 1, 1.0)
        for t, d, p in zip(tanh, difficulty, preferences, strict=True)
        if p is not None
    ]
    columns = [0, 1, 2] if inputs else [0, 2]
    table = np.asarray(rows)
    x, share, weight = table[:, columns], table[:, 3], table[:, 4]
    shares, weights = np.concatenate([share, 1 - share]), np.concatenate([weight, weight])
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(loss, response_method="predict_proba", greater_is_better=False)
        fitted = LogisticRegressionCV(
            cv=GroupKFold(5),
            scoring=scorer.set_score_request(share=True, weight=True),
            l1_ratios=(1.0,),
            use_legacy_attributes=False,
            solver="liblinear",
            fit_intercept=False,
            random_state=123,
        ).set_fit_request(sample_weight=True)
        fitted.fit(
            np.vstack([x, x]),
            np.repeat([1, 0], len(share)),
            sample_weight=shares * weights,
            groups=np.tile(np.arange(len(share)), 2),
            share=shares,
            weight=weights,
        )
    equal = np.column_stack([np.zeros(len(model)), difficulty, np.ones(len(model))])[:, columns]
    return 100 * float(fitted.predict_proba(equal)[:, 1].mean())


def some_inputs(n: int) -> GlmInputs:
    """Two gamed baselines, which win by length and by difficulty."""
    random = np.random.default_rng(7)
    difficulty = random.normal(0, 1, n).tolist()
    gamed = [
        GamedRow(float(np.clip(random.normal(0.5 - 0.2 * d, 0.2), 0, 1)), d + random.normal(), hard)
        for d in (1.0, -1.0)
        for hard in difficulty
    ]
    return GlmInputs(tuple(difficulty), tuple(gamed))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", [MINIMAL, PUBLISHED])
def test_the_published_procedure_step_by_step(form: str, seed: int) -> None:
    """Also with preferences that are dropped, whose lengths and difficulties still count."""
    preferences, model, baseline = some_comparisons(120, seed)
    with_gaps = [None if i % 10 == 3 else p for i, p in enumerate(preferences)]
    inputs = some_inputs(120) if form == PUBLISHED else None
    found = length_controlled(with_gaps, model, baseline, inputs)
    assert found.method == form
    assert found.value == pytest.approx(
        by_scikit_learn(with_gaps, model, baseline, inputs), abs=1e-6
    )


class TestNotComputed:
    def check(self, found: LengthControlled, reason: str) -> None:
        assert found == LengthControlled(None, None, None, None, f"not computed: {reason}")

    @pytest.mark.parametrize("n", [0, 1, 5, 24])
    def test_too_few(self, n: int) -> None:
        self.check(
            length_controlled(*some_comparisons(n)),
            f"{n} valid preferences, and a 5-fold cross-validation needs 25",
        )

    def test_only_valid_preferences_count(self) -> None:
        preferences, model, baseline = some_comparisons(30)
        found = length_controlled(
            [None, "?", 9, -1, 4, math.nan, *preferences[6:]], model, baseline
        )
        self.check(found, "24 valid preferences, and a 5-fold cross-validation needs 25")

    def test_25_are_enough(self) -> None:
        assert length_controlled(*some_comparisons(25)).method == MINIMAL

    @pytest.mark.parametrize(("preference", "word"), [(2, "wins"), (1, "loses")])
    def test_nothing_but_wins_or_losses(self, preference: int, word: str) -> None:
        _, model, baseline = some_comparisons(40)
        self.check(
            length_controlled([preference] * 40, model, baseline),
            f"the model {word} every comparison",
        )

    @pytest.mark.parametrize("rare", [1, 2])
    def test_a_single_win_or_loss_which_one_fold_holds_out(self, rare: int) -> None:
        _, model, baseline = some_comparisons(40)
        found = length_controlled([rare] + [3 - rare] * 39, model, baseline)
        self.check(found, "wins or losses are too few for a cross-validation")

    def test_differences_of_dropped_rows_do_not_help(self) -> None:
        preferences, model, _ = some_comparisons(40)
        found = length_controlled([None, *preferences], [500, *model], [7, *model])
        self.check(found, "the difference in length is the same everywhere")

    @pytest.mark.parametrize("difference", [0, 30])
    def test_one_difference_in_length_throughout(self, difference: int) -> None:
        preferences, model, _ = some_comparisons(40)
        found = length_controlled(preferences, model, [m + difference for m in model])
        self.check(found, "the difference in length is the same everywhere")

    def test_all_draws_are_50(self) -> None:
        _, model, baseline = some_comparisons(40)
        assert shown(length_controlled([0] * 40, model, baseline)) == (50, 50, 50, 0)


def nearly(preference: float) -> st.SearchStrategy[float]:
    return st.floats(-1e-6, 1e-6).map(lambda x: min(2.0, max(1.0, preference + x)))


# From pure noise to a side that wins all but by a hair, and lengths that hardly differ or vastly
COMPARISONS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, None, 1.25]) | nearly(1) | nearly(2) | st.floats(1, 2),
        st.integers(0, 3) | st.integers(0, 10**6),
        st.integers(0, 3) | st.integers(0, 10**6),
    ),
    min_size=25,
    max_size=40,
)


@settings(max_examples=40)
@given(COMPARISONS)
def test_every_file_has_a_rate_within_its_interval_or_a_reason(
    rows: list[tuple[float | None, int, int]],
) -> None:
    found = length_controlled(*map(list, zip(*rows, strict=True)))
    if found.method.startswith("not computed: "):
        assert found.value is None
        return
    value, low, high, error = shown(found)
    assert 0 <= low <= value + 1e-9
    assert value - 1e-9 <= high <= 100
    assert math.isfinite(error)


def test_rows_that_do_not_match_are_a_mistake_of_the_caller() -> None:
    preferences, model, baseline = some_comparisons(30)
    with pytest.raises(ValueError, match="differ in number"):
        length_controlled(preferences, model[1:], baseline)
    with pytest.raises(ValueError, match="differ in number"):
        length_controlled(preferences, model, baseline, some_inputs(29))


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs ../shared/reference/alpaca_eval")
class TestReference:
    # What alpaca_eval 0.6.6 itself gives for glm_name="length_controlled_minimal"
    BY_ALPACA_EVAL = {  # noqa: RUF012
        "alpaca-7b": 19.5494,
        "claude-2": 36.7813,
        "gemma-2b-it": 6.6486,
        "gemma-7b-it": 13.0024,
        "llama-2-7b-chat-hf": 18.3982,
        "phi-2-sft": 8.5469,
        "text_davinci_003": 10.1098,
        "tulu-2-dpo-7b": 83.8779,
        "vicuna-7b": 9.3084,
        "zephyr-7b-beta": 74.3997,
    }

    @pytest.fixture(scope="class")
    def found(self) -> dict[str, float]:
        import pandas as pd

        annotations = pd.read_parquet(REFERENCE / "annotations.parquet")
        return {
            str(model): shown(
                length_controlled(
                    rows.preference.tolist(),
                    rows.output_2.str.len().tolist(),
                    rows.output_1_chars.tolist(),
                )
            )[0]
            for model, rows in annotations.groupby("generator_2")
        }

    def test_the_minimal_form_is_alpaca_evals(self, found: dict[str, float]) -> None:
        assert found == pytest.approx(self.BY_ALPACA_EVAL, abs=0.01)

    def test_how_it_follows_the_published_form(self, found: dict[str, float]) -> None:
        """The published form knows the instructions' difficulty: benchmarks/winrate_published.py."""
        import pandas as pd

        boards = [pd.read_parquet(REFERENCE / f"leaderboard_{v}.parquet") for v in ("v1", "v2")]
        of_the_first = ("zephyr-7b-beta", "tulu-2-dpo-7b", "llama-2-7b-chat-hf")
        published = {
            model: board.set_index("name").length_controlled_winrate[model]
            for model in found
            if model != "text_davinci_003"
            for board in [boards[model not in of_the_first]]
        }
        ours = [found[model] for model in published]
        assert np.corrcoef(ours, list(published.values()))[0, 1] > 0.95
