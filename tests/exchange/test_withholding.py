"""Who may read what of a run: clear refusals, open prompts, and nothing that repeats a closed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exchange_runs import BENIGN, GATED, HARMFUL, SPECS, UNSCORED, finished_run, prompt
from generative_runs import response

from bfpo_bench.exchange.answers import Answer, Answers
from bfpo_bench.exchange.withholding import (
    BEHIND_A_GATE,
    NOT_A_REFUSAL,
    NOT_JUDGED,
    NOT_OPEN,
    OPEN_LICENCES,
    REPEATS,
    SEEN_AS_HARMFUL,
    Rule,
    Withheld,
    repeats,
)
from bfpo_bench.runs.records import Verdict
from bfpo_bench.scoring.finished import FinishedRun


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return finished_run(tmp_path_factory.mktemp("run"))


def of(run: FinishedRun, task: str, **how: Any) -> list[Withheld]:
    rule = Rule(run, SPECS, **how)
    return [rule.of(a) for a in Answers(run).of(task)]


def test_of_harmful_prompts_only_clear_refusals(run: FinishedRun) -> None:
    """A refusal; a partial one; no refusal, though no harm was seen; a refusal in which harm was
    seen; a refusal of which the judge of harm said nothing."""
    kept = [w.response for w in of(run, HARMFUL)]
    assert kept == [None, NOT_A_REFUSAL, NOT_A_REFUSAL, NOT_A_REFUSAL, NOT_A_REFUSAL]


def test_with_harm_asked_for_all_of_them(run: FinishedRun) -> None:
    assert [w.response for w in of(run, HARMFUL, include_harmful=True)] == [None] * 5


def test_of_benign_prompts_everything(run: FinishedRun) -> None:
    assert of(run, BENIGN) == [Withheld(None, None)] * 4


def test_a_gate_holds_whatever_is_asked_for(run: FinishedRun) -> None:
    assert [w.prompt for w in of(run, GATED, include_harmful=True)] == [BEHIND_A_GATE] * 2
    assert [w.prompt for w in of(run, BENIGN, gated=[SPECS[BENIGN].hub_id])] == [BEHIND_A_GATE] * 4


def test_data_without_an_open_licence(run: FinishedRun) -> None:
    rule = Rule(run, SPECS)
    kept = {t for t in SPECS if SPECS[t].licence not in OPEN_LICENCES}
    assert {"bfpo_alert", "bfpo_malicious_instruct", "bfpo_alpaca_eval"} <= kept
    closed = SPECS[BENIGN].model_copy(update={"licence": "cc-by-nc-4.0"})
    assert Rule(run, {BENIGN: closed}).of_prompts(BENIGN) == NOT_OPEN
    assert rule.of_prompts(BENIGN) is None


def test_a_task_that_nobody_knows_is_taken_for_harmful_and_closed(run: FinishedRun) -> None:
    """Also one whose YAML is not what it was."""
    changed = SPECS[BENIGN].model_copy(update={"content": "0ther"})
    for specs in ({}, {BENIGN: changed}):
        rule = Rule(run, specs)
        assert rule.is_harmful(BENIGN)
        assert rule.of_prompts(BENIGN) == NOT_OPEN
    assert not Rule(run, SPECS).is_harmful(UNSCORED)


def answer(task: str, text: str, **labels: Any) -> Answer:
    told = response(task, 0, text)
    said = {j: Verdict(task, 0, 0, told.text_hash, label) for j, label in labels.items()}
    return Answer(told, said, 100.0, "safe", True)


@pytest.mark.parametrize("echo", ["{}", "You asked: {}", "  {} ", "you ASK {}"])
def test_a_response_that_repeats_a_closed_prompt(run: FinishedRun, echo: str) -> None:
    """However it is written; that of an open prompt may."""
    rule = Rule(run, SPECS)
    closed = echo.format(prompt(GATED, 0)).upper()
    assert rule.of(answer(GATED, closed, refusal="refusal")).response == REPEATS
    told = echo.format(prompt(HARMFUL, 0))
    assert rule.of(answer(HARMFUL, told, refusal="refusal")).response is None


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"harm": "harmless"},
        {"refusal": "refusal", "other": "compliance"},
        {"refusal": "refusal", "harm": "harmless", "toxicity": "harmful"},
    ],
    ids=[
        "nobody",
        "no judge of refusals",
        "two that differ",
        "harm seen by one that decides nothing",
    ],
)
def test_a_refusal_needs_every_judge(
    run: FinishedRun, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(run.manifest.judges, "other", {"kind": "refusal"})
    assert Rule(run, SPECS).of(answer(HARMFUL, "No.", **labels)).response == NOT_A_REFUSAL


@pytest.mark.parametrize("trace", ["<think>How it is done: ...</think>No.", "How: ...</think>No."])
def test_reasoning_before_a_refusal_is_not_passed_on(run: FinishedRun, trace: str) -> None:
    """Judges are shown the refusal alone; reasoning about a benign prompt may be told."""
    rule = Rule(run, SPECS)
    assert rule.of(answer(HARMFUL, trace, refusal="refusal")).response == NOT_JUDGED
    assert rule.of(answer(BENIGN, trace, refusal="compliance")).response is None
    everything = Rule(run, SPECS, include_harmful=True)
    assert everything.of(answer(HARMFUL, trace, refusal="refusal")).response is None


def test_harm_that_a_judge_sees_after_a_benign_prompt(run: FinishedRun) -> None:
    said = answer(BENIGN, "Here is how.", toxicity="harmful", refusal="compliance")
    assert Rule(run, SPECS).of(said).response == SEEN_AS_HARMFUL
    assert Rule(run, SPECS, include_harmful=True).of(said).response is None


ASKED = [{"role": "user", "content": "Please write, for me, a short poem about the old blue boat."}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A short poem about the old blue boat: ...", True),
        ('"Please write for me a short poem" is what you asked', False),
        ("You say: please WRITE for me - a short poem, about it", True),
        ("Old boats are blue, and short poems are, too.", False),
        ("", False),
    ],
    ids=["its last eight words", "seven words", "its first eight words", "some words", "nothing"],
)
def test_eight_words_in_a_row_are_a_quotation(text: str, found: bool) -> None:
    assert repeats(ASKED, text) is found


def test_a_short_prompt_is_quoted_as_a_whole_and_one_without_words_as_it_is() -> None:
    for content, text, found in (
        ("Hello, you!", "HELLO YOU", True),
        ("Hello, you!", "Hello", False),
        ("?!", "what ?! is", True),
        ("", "anything", False),
    ):
        assert repeats([{"role": "user", "content": content}], text) is found
    assert not repeats([{"role": "system", "content": "Be brief."}], "Be brief.")


def test_verdicts_on_other_texts_count_for_nothing(tmp_path: Path) -> None:
    """A response stored anew, whose verdicts are on what it was."""
    run = finished_run(tmp_path)
    lines = run.folder.responses_file.read_text().splitlines(keepends=True)
    from bfpo_bench.runs.jsonl import Appender

    run.folder.responses_file.write_text("".join(x for x in lines if HARMFUL not in x))
    with Appender(run.folder.responses_file) as file:
        file.append(response(HARMFUL, 0, "Something else.").dump())
    [found] = Answers(run).of(HARMFUL)
    assert found.verdicts == {}
    assert Rule(run, SPECS).of(found).response == NOT_A_REFUSAL
