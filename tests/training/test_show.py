"""What a training says while it runs: its data, and a line an entry of the log."""

from __future__ import annotations

from collections import Counter

import pytest

from bfpo_bench.progress import Progress
from bfpo_bench.training.pairs import DataReport, Pair
from bfpo_bench.training.show import Silent, data_lines, log_line
from bfpo_bench.training.training_data import TrainingData

PKU = DataReport(
    source="pku-saferlhf",
    origin="PKU-Alignment/PKU-SafeRLHF",
    revision="ff7ba91063016c78a225b0f74e1c0860bb18230f",
    split="train",
    rows=330_000,
    taken=66_000,
    used=65_000,
    dropped=Counter({"equal responses": 990, "empty response": 10}),
    cases=Counter({"safe/safe": 60_000, "unsafe/safe": 5_000}),
)
OWN = DataReport(source="jsonl", origin="pairs.jsonl", revision=None, split="", rows=4, used=4)
PAIR = Pair(prompt=({"role": "user", "content": "?"},), chosen="a", rejected="b")


def test_each_source_says_what_it_gave_and_lost() -> None:
    """Cases in the order of the labels, those that there are."""
    assert data_lines(TrainingData(reports=[PKU], buffer_reports=[OWN])) == [
        "data: PKU-Alignment/PKU-SafeRLHF@ff7ba910: 65,000 of 330,000 rows; (chosen/rejected) "
        "60,000 safe/safe, 5,000 unsafe/safe; dropped: 990 equal responses, 10 empty response",
        "buffer: pairs.jsonl: 4 of 4 rows",
    ]


def test_a_policy_says_what_it_flipped_and_dropped() -> None:
    data = TrainingData([OWN], pairs=[PAIR] * 3, flipped=2, dropped=Counter({"both unsafe": 1}))
    assert data_lines(data)[-1] == "policy: 3 pairs, 2 flipped; dropped: 1 both unsafe"


def test_a_policy_that_changes_nothing_says_nothing() -> None:
    assert len(data_lines(TrainingData([OWN], pairs=[PAIR]))) == 1


def test_a_line_has_the_loss_its_parts_and_each_case_with_its_target() -> None:
    logs = {
        "loss": 8750.4,
        "loss/main": 6250.4,
        "loss/buffer": 2500.0,
        "grad_norm": 1512.3,
        "learning_rate": 5e-07,
        "tokens_per_second": 1240.7,
        "h/safe_safe": 12.34,
        "target/safe_safe": 50.0,
        "h/unsafe_safe": -0.001234,
        "target/unsafe_safe": -100.0,
    }
    assert log_line(logs, 10, 80) == (
        "step 10/80  loss 8,750 (main 6,250, buffer 2,500)  |g| 1,512  lr 5e-07  1,241 tokens/s  "
        "h: safe/safe 12.3 of 50, unsafe/safe -0.00123 of -100"
    )


def test_objectives_without_a_target_show_h_alone() -> None:
    logs = {"loss": 0.6931, "h/safe_unsafe": 0.5}
    assert log_line(logs, 1, 2) == "step 1/2  loss 0.693  h: safe/unsafe 0.5"


def test_supervised_steps_have_no_h() -> None:
    assert log_line({"loss": 4.18, "learning_rate": 0.0}, 1, 3) == "step 1/3  loss 4.18  lr 0"


def test_all_processes_but_the_first_are_silent(capfd: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.note("something")
    with silent.stage("train") as report:
        report(Progress("steps", 1, 2))
    assert capfd.readouterr() == ("", "")
