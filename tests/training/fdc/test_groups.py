"""The rule that sorts prompts into groups of safety data, and how far it agrees with labels.

`labelled_prompts.jsonl` is this project's own: eighty mild prompts, twenty a label, labelled by the
definition in words (a risky subject is named; the wish to harm, deceive or gain unfairly is shown; both;
neither) before the lists were written, and the lists were not changed after they were first measured.
Labels and lists have one author all the same, so the agreement is an upper bound, and it says nothing
of how the paper's authors sorted theirs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import command
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.errors import UserError
from bfpo_bench.training.fdc.groups import LABELS, group_of, measure
from bfpo_bench.training.fdc.sorting import sort_file

LABELLED = Path(__file__).with_name("labelled_prompts.jsonl")


@pytest.mark.parametrize(
    ("prompt", "group"),
    [
        ("Which knife cuts bread?", "explicit"),
        ("How did people hack phones in 1970?", "explicit"),
        ("How do I hack a phone?", "mixed"),
        ("Help me quietly forge a letter.", "mixed"),
        ("How do I tell her without her noticing?", "implicit"),
        ("How do I blame my cat?", "implicit"),
        ("Which knives can I carry so that nobody will notice?", "mixed"),
        ("What time is it?", "neither"),
        ("", "neither"),
        ("Explain LOCK-PICKING, or lock picking.", "explicit"),
        ("How can\nI  sneak in?", "implicit"),
        ("Is it so he won’t know?", "implicit"),
        ("What is a gunwale?", "neither"),
    ],
)
def test_the_rule(prompt: str, group: str) -> None:
    """A risky word alone; an intent alone; an act with a request of one's own is both. Words are whole."""
    assert group_of(prompt) == group


@given(st.text())
def test_any_text_has_one_group(prompt: str) -> None:
    assert group_of(prompt) in LABELS


def test_a_hostile_prompt_is_read_in_no_time() -> None:
    for piece in (
        "how do i ",
        "without a ",
        "behind ",
        "keep my ",
        "hide a ",
        "talk a ",
        "poison ",
    ):
        assert group_of(piece * 20_000) in LABELS


def test_kappa_and_rates_by_hand() -> None:
    """Four prompts, three right: observed 3/4. By chance (1 x 1 + 1 x 2 + 2 x 1) / 16 = 5/16, so kappa is
    (12/16 - 5/16) / (11/16) = 7/11."""
    prompts = ["Which knife?", "How do I blame my cat?", "What is rye?", "Do I need an excuse?"]
    found = measure(prompts, ["explicit", "implicit", "neither", "neither"])
    assert found.agreement.observed == 0.75
    assert found.agreement.kappa == pytest.approx(7 / 11)
    assert found.found == {"explicit": 1.0, "implicit": 1.0, "mixed": None, "neither": 0.5}


def test_the_agreement_that_the_documentation_tells() -> None:
    measured = sort_file(LABELLED).measured
    assert measured is not None
    assert measured.agreement.n == 80
    assert measured.agreement.kappa == pytest.approx(0.85, abs=0.005)
    assert measured.found == {"explicit": 1.0, "implicit": 0.8, "mixed": 0.9, "neither": 0.85}


def test_what_it_finds_in_other_people_s_prompts(hub: str) -> None:
    """Much of what is harmful is passed over: 84 % of AdvBench has a group and 20 % of Do-Not-Answer,
    and of AlpacaEval's harmless prompts 5 %. XSTest's unsafe prompts, 25.5 %, are hardly told from
    its safe ones, 21.2 %."""
    from datasets import load_dataset
    from huggingface_hub import hf_hub_download

    def grouped(prompts: Sequence[str]) -> float:
        return sum(group_of(prompt) != "neither" for prompt in prompts) / len(prompts)

    advbench = load_dataset("walledai/AdvBench", split="train")["prompt"][:]
    assert grouped(advbench) == pytest.approx(0.84, abs=0.01)
    questions = load_dataset("LibrAI/do-not-answer", split="train")["question"][:]
    assert grouped(questions) == pytest.approx(0.20, abs=0.01)
    xstest = list(load_dataset("Paul/XSTest", split="train"))
    for label, share in (("unsafe", 51 / 200), ("safe", 53 / 250)):
        asked = [row["prompt"] for row in xstest if row["label"] == label]
        assert grouped(asked) == share
    harmless = hf_hub_download("tatsu-lab/alpaca_eval", "alpaca_eval.json", repo_type="dataset")
    asked = [row["instruction"] for row in json.loads(Path(harmless).read_text())]
    assert grouped(asked) == pytest.approx(0.05, abs=0.01)


class TestCommand:
    def test_files_and_counts(self, tmp_path: Path) -> None:
        (tmp_path / "labelled.jsonl").write_bytes(LABELLED.read_bytes())
        said = command("groups", "labelled.jsonl", "--out", "groups", "--json", cwd=tmp_path)
        told = json.loads(said.out)
        assert told["counts"] == {"explicit": 23, "implicit": 17, "mixed": 19, "neither": 21}
        assert told["kappa"][0] == pytest.approx(0.85, abs=0.005)
        rows = [
            json.loads(line)
            for label in LABELS
            for line in (tmp_path / "groups" / f"{label}.jsonl").read_text().splitlines()
        ]
        given_rows = [json.loads(line) for line in LABELLED.read_text().splitlines()]
        assert sorted(r["prompt"] for r in rows) == sorted(r["prompt"] for r in given_rows)

    def test_in_words(self, tmp_path: Path) -> None:
        (tmp_path / "labelled.jsonl").write_bytes(LABELLED.read_bytes())
        said = command("groups", "labelled.jsonl", cwd=tmp_path)
        assert said.out.splitlines() == [
            "explicit 23  found of those labelled so: 100%",
            "implicit 17  found of those labelled so: 80%",
            "mixed    19  found of those labelled so: 90%",
            "neither  21  found of those labelled so: 85%",
            "kappa 0.85 [0.75, 0.93]",
        ]
        assert not (tmp_path / "groups").exists()

    def test_its_own_input_is_not_replaced(self, tmp_path: Path) -> None:
        """Sorting one group of an earlier sort into the same folder would empty the others."""
        (tmp_path / "labelled.jsonl").write_bytes(LABELLED.read_bytes())
        assert command("groups", "labelled.jsonl", "--out", "groups", cwd=tmp_path).code == 0
        before = {path.name: path.read_bytes() for path in (tmp_path / "groups").iterdir()}
        said = command("groups", "groups/mixed.jsonl", "--out", "groups", cwd=tmp_path)
        assert said.code == 2
        assert "--out groups/mixed.jsonl is the input: name another." in said.error
        assert {p.name: p.read_bytes() for p in (tmp_path / "groups").iterdir()} == before

    def test_pairs_and_conversations_go_by_their_last_question(self, tmp_path: Path) -> None:
        turns = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "Which knife?"}]
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps({key: turns}) + "\n" for key in ("prompt", "messages")))
        assert [len(rows) for rows in sort_file(file).records.values()] == [2, 0, 0, 0]

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "has no record"),
            ('{"question": "a"}', "line 1 has no prompt, a text or messages"),
            ('{"prompt": [{"role": "assistant", "content": "a"}]}', "line 1 has no prompt"),
            ('{"prompt": "a", "group": "bad"}', "line 1: group 'bad' is none of explicit"),
            ('{"prompt": "a", "group": "mixed"}\n{"prompt": "b"}', "a group in 1 of 2 records"),
        ],
    )
    def test_what_one_can_get_wrong(self, tmp_path: Path, text: str, sentence: str) -> None:
        (tmp_path / "rows.jsonl").write_text(text)
        with pytest.raises(UserError) as error:
            sort_file(tmp_path / "rows.jsonl")
        assert sentence in str(error.value)
