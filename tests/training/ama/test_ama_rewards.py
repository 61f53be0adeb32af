"""From a judge's findings on ever longer beginnings to rewards of segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Text
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.progress import Ui
from bfpo_bench.stages.process import StageCrash
from bfpo_bench.training.ama import judged
from bfpo_bench.training.ama.judged import (
    PairRow,
    check_segment_kinds,
    read_rows,
    segment_pairs,
)
from bfpo_bench.training.ama.rewards import check_judge, score_of, segment_rewards
from bfpo_bench.training.data.jsonl import pair
from bfpo_bench.training.show import Silent


def spec(name: str) -> Any:
    return load_judge(name).spec


def test_rewards_are_differences_and_add_up_to_the_whole() -> None:
    """0.5 - 0, 0.25 - 0.5, 1 - 0.25."""
    assert segment_rewards([0.5, 0.25, 1.0]) == [0.5, -0.25, 0.75]
    assert segment_rewards([-2.0]) == [-2.0]


@pytest.mark.parametrize(
    ("judge", "finding", "score"),
    [
        ("reward", Finding("rated", -3.5), -3.5),
        ("rating=org/m", Finding("rated", 8.0), 8.0),
        ("beaver_cost", Finding("harmful", 2.5), -2.5),
        ("beaver_cost", Finding("harmless", -0.5), 0.5),
        ("harm", Finding("harmful", 0.75), -0.5),
        ("toxicity", Finding("harmless", 0.0), 1.0),
        ("refusal", Finding("compliance", 0.25), 0.5),
        ("yesno=org/m", Finding("harmful"), -1.0),
        ("yesno=org/m", Finding("harmless"), 1.0),
        ("wildguard_refusal", Finding("refusal"), -1.0),
        ("harm", Finding("unjudged", error="?"), None),
        ("harm", Finding("degenerate"), None),
        ("reward", Finding("unjudged", 1.0), None),
    ],
)
def test_more_is_better(judge: str, finding: Finding, score: float | None) -> None:
    assert score_of(spec(judge), finding) == score


def test_a_score_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UserError, match="Judge harm gives a score of 4, which is no probability"):
        score_of(spec("harm"), Finding("harmful", 4.0))


@pytest.mark.parametrize("judge", ["reward", "beaver_cost", "harm", "refusal", "toxicity"])
def test_judges_that_give_numbers(judge: str) -> None:
    check_judge(spec(judge))


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        ("ifeval", "is of kind instructions"),
        ("truthfulqa", "is of kind truth"),
        ("pairwise=org/m", "compares two answers"),
        ("harmbench_contextual", "reads a task's document"),
    ],
)
def test_judges_that_give_none(judge: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"^Judge \w+ {reason}"):
        check_judge(spec(judge))


# Pairs, with what a judge says written down here


def rows(*pairs: tuple[str, str], harmful: bool | None = True) -> list[PairRow]:
    found = []
    for number, (chosen, rejected) in enumerate(pairs):
        record = {"prompt": "How?", "chosen": chosen, "rejected": rejected, "id": number}
        found.append(PairRow(f"line {number + 1}", record, pair(record), harmful))
    return found


def saying(
    say: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch, judge: str = "harm"
) -> tuple[PlannedJudge, list[Text]]:
    asked: list[Text] = []

    def judge_texts(planned: Any, texts: Any, ui: Ui, arguments: Any) -> list[Finding]:
        asked.extend(texts)
        return [say(text.response or "") for text in texts]

    monkeypatch.setattr(judged, "judge_texts", judge_texts)
    return PlannedJudge(load_judge(judge)), asked


def test_every_beginning_is_judged_and_records_keep_what_they_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The probability of harm is a tenth of the text's length: at most 1: 1 - 2 p is 0.2, -0.6 and -1
    of 4, 8 and 11 characters."""
    planned, asked = saying(
        lambda text: Finding("harmless", len(text) / 10 if len(text) < 11 else 1.0), monkeypatch
    )
    found = segment_pairs(rows(("Aa. Bb. Cc.", "Dd.")), planned, Silent(), {})
    assert asked == [Text("How?", text) for text in ("Aa. ", "Aa. Bb. ", "Aa. Bb. Cc.", "Dd.")]
    [record] = found.records
    assert record["id"] == 0
    assert [s["text"] for s in record["chosen_segments"]] == ["Aa. ", "Bb. ", "Cc."]
    rewards = [s["reward"] for s in record["chosen_segments"]]
    assert rewards == pytest.approx([0.2, -0.8, -0.4])
    assert record["rejected_segments"] == [{"text": "Dd.", "reward": pytest.approx(0.4)}]
    assert (found.segments, found.left_out, found.faults) == (4, Counter(), [])


def test_a_pair_with_a_beginning_that_was_not_judged_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {
        "No. ": Finding("unjudged", error="?"),
        "Eh.": Finding("degenerate"),
        "Down.": Finding("unjudged", error="server", fault=True),
    }
    planned, _ = saying(lambda text: said.get(text, Finding("harmless", 0.0)), monkeypatch)
    pairs = (("No. Yes.", "A."), ("A.", "Eh."), ("A.", "B."), ("Down.", "A."))
    found = segment_pairs(rows(*pairs), planned, Silent(), {})
    assert [record["id"] for record in found.records] == [2]
    assert found.left_out == {"unjudged beginning": 2, "degenerate beginning": 1}
    [fault] = found.faults
    assert fault.startswith("judge harm: 1 of 9 beginnings are unjudged for a fault")


def rewards(record: dict[str, Any], side: str) -> list[float]:
    return [segment["reward"] for segment in record[f"{side}_segments"]]


def test_a_judge_of_harmful_prompts_is_not_asked_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    planned, asked = saying(lambda text: Finding("harmless", 0.0), monkeypatch)
    given = [*rows(("A.", "B."), harmful=False), *rows(("C.", "D."), harmful=True)]
    found = segment_pairs(given, planned, Silent(), {})
    assert asked == [Text("How?", "C."), Text("How?", "D.")]
    assert [record["chosen"] for record in found.records] == ["C."]
    assert found.left_out == {"prompt of a kind that the judge does not score": 1}


def test_refusing_is_right_for_a_harmful_prompt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal (p = 0.75: 1 - 2 p = -0.5) after a beginning that refuses nothing (p = 0: 1): of a
    benign prompt 1 and -0.5 - 1, of a harmful one -1 and 0.5 + 1."""
    planned, _ = saying(
        lambda t: Finding("refusal", 0.75) if "No." in t else Finding("compliance", 0.0),
        monkeypatch,
        "refusal",
    )
    [benign] = segment_pairs(rows(("Aa. No.", "Aa."), harmful=False), planned, Silent(), {}).records
    assert (rewards(benign, "chosen"), rewards(benign, "rejected")) == ([1.0, -1.5], [1.0])
    [harmful] = segment_pairs(rows(("Aa. No.", "Aa."), harmful=True), planned, Silent(), {}).records
    assert (rewards(harmful, "chosen"), rewards(harmful, "rejected")) == ([-1.0, 1.5], [-1.0])


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        ("harm", "scores harmful prompts alone"),
        ("rating=org/m", "scores benign prompts alone"),
        ("refusal", "finds refusals, which are right for harmful prompts and wrong for benign"),
    ],
)
def test_a_line_that_does_not_say_its_kind_is_named(judge: str, why: str) -> None:
    given = [*rows(("A.", "B.")), *rows(("A.", "B."), harmful=None)]
    with pytest.raises(UserError, match=rf"^Judge \w+ {why}.*, and p.jsonl, line 1, does not say"):
        check_segment_kinds(Path("p.jsonl"), given, spec(judge))
    check_segment_kinds(Path("p.jsonl"), given[:1], spec(judge))
    check_segment_kinds(Path("p.jsonl"), given, spec("reward"))


def test_a_judge_that_dies_leaves_nothing_half_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(text: str) -> Finding:
        raise StageCrash("judge-harm", "was killed", Path("x.log"))

    planned, _ = saying(die, monkeypatch)
    found = segment_pairs(rows(("A.", "B.")), planned, Silent(), {})
    assert (found.records, found.left_out) == ([], {"not judged": 1})
    [fault] = found.faults
    assert fault.startswith("judge harm broke off: stage judge-harm was killed; its log is x.log")


def test_reading_drops_what_is_no_pair_and_forgets_old_segments(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        '{"prompt": "a", "chosen": "b", "rejected": "c", "chosen_segments": [], "id": 1}\n'
        '{"prompt": "a", "chosen": "b", "rejected": "b"}\n'
    )
    [row], dropped = read_rows(file)
    assert (row.place, row.harmful) == ("line 1", None)
    assert row.record == {"prompt": "a", "chosen": "b", "rejected": "c", "id": 1}
    assert dropped == {"equal responses": 1}
    file.write_text('{"prompt": "a", "chosen": 3, "rejected": "c"}\n')
    with pytest.raises(UserError, match="line 1: chosen is 3, which is no text"):
        read_rows(file)
