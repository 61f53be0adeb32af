"""One record a model, and what its notes say."""

from __future__ import annotations

import pytest

from bfpo_bench.scoring.annotations import Annotation
from bfpo_bench.scoring.model_records import ModelRecord, model_records


def annotations(
    n: int,
    model: str = "mine",
    baseline: str = "theirs",
    preferences: tuple[float | None, ...] = (1.0, 2.0, 1.75),
) -> list[Annotation]:
    """n comparisons on n instructions, answers of 100 to 139 characters against 120."""
    return [
        Annotation(
            f"Request {i}.",
            baseline,
            model,
            "judge",
            120,
            100 + i % 40,
            preferences[i % len(preferences)],
        )
        for i in range(n)
    ]


def only(records: list[ModelRecord]) -> ModelRecord:
    (record,) = records
    return record


def test_a_record_holds_both_rates_and_what_they_are_of() -> None:
    """Preferences 1, 2, 1.75 in turn: (0 + 1 + 0.75) / 3 = 58.3333 %. Lengths 100 to 139 have the
    mean 119.5, and 60 answers are one and a half rounds: (40 * 119.5 + 20 * 109.5) / 60 = 116.1667."""
    record = only(model_records(annotations(60), None))
    assert (record.generator, record.baseline, record.annotator) == ("mine", "theirs", "judge")
    assert (record.n, record.n_wins, record.n_wins_base, record.n_draws) == (60, 40, 20, 0)
    assert record.win_rate == pytest.approx(58.3333, abs=1e-4)
    assert record.avg_length == pytest.approx(116.1667, abs=1e-4)
    assert record.length_controlled_win_rate is not None
    assert record.method == "length_controlled_minimal"


def test_the_minimal_form_says_why_it_is_not_the_published_one() -> None:
    assert only(model_records(annotations(60), None, "unused")).notes == (
        "not length_controlled_v1: the instructions are not AlpacaEval's 805 in their order",
    )


def test_a_length_control_that_fails_gives_its_reason_once() -> None:
    record = only(model_records(annotations(3), None))
    assert record.length_controlled_win_rate is None
    assert record.lc_standard_error is None
    assert record.method.startswith("not computed: 3 valid preferences")
    assert record.notes == ()


def test_models_keep_the_order_of_the_file_and_their_own_rows() -> None:
    rows = [*annotations(4, "b", preferences=(2.0,)), *annotations(6, "a", preferences=(1.0,))]
    records = model_records(rows[::2] + rows[1::2], None)
    assert [(r.generator, r.n, r.win_rate) for r in records] == [("b", 4, 100), ("a", 6, 0)]


def test_a_model_against_two_baselines_has_two_records() -> None:
    rows = annotations(4, baseline="x") + annotations(4, baseline="y")
    assert [r.baseline for r in model_records(rows, None)] == ["x", "y"]


def test_invalid_preferences_are_counted_and_told() -> None:
    record = only(model_records(annotations(9, preferences=(2.0, None, 1.0)), None))
    assert (record.n, record.n_invalid, record.win_rate) == (6, 3, 50)
    assert "3 of 9 preferences are dropped" in record.notes[0]


def test_no_valid_preference_at_all_leaves_nothing_but_the_reason() -> None:
    record = only(model_records(annotations(5, preferences=(None,)), None))
    assert (record.n, record.win_rate, record.ci_low, record.standard_error) == (
        0,
        None,
        None,
        None,
    )
    assert record.notes == ("5 of 5 preferences are dropped: neither 0 nor a number from 1 to 2",)
    assert record.method.startswith("not computed: 0 valid preferences")


def test_instructions_that_come_twice_are_told() -> None:
    record = only(model_records(annotations(4) + annotations(3), None))
    assert record.notes == ("3 instructions are repeated: the intervals take all as independent",)


@pytest.mark.parametrize(
    ("model", "baseline", "told"),
    [
        ("gpt4_1106_preview", "mine", True),
        ("text_davinci_003", "mine", True),
        ("text_davinci_003", "gpt4_1106_preview", False),
        ("mine", "gpt4_1106_preview", False),
    ],
)
def test_a_file_that_has_the_baseline_in_the_models_place(
    model: str, baseline: str, told: bool
) -> None:
    """Both of AlpacaEval's baselines have also been measured against the other."""
    notes = only(model_records(annotations(4, model, baseline), None)).notes
    assert any("if they are swapped" in n for n in notes) == told
