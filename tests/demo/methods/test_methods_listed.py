"""The common table is whole: every method has a row or a reason, and every row can be made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bfpo_bench.demo.compare import Comparison
from bfpo_bench.demo.methods.listed import LEFT_OUT, MADE, ROWS, vector
from bfpo_bench.demo.methods.models import Bias, Patched, Sum, Trained
from bfpo_bench.demo.methods.places import places, recipe
from bfpo_bench.demo.methods.rows import Row, requests, row_of
from bfpo_bench.demo.pairs import safety_pairs
from bfpo_bench.training.fdc.groups import group_of
from bfpo_bench.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[3]
METHODS = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


def test_every_method_of_the_page_has_a_row_or_a_reason() -> None:
    headings = set(re.findall(r"^## (.*)$", METHODS, re.MULTILINE)) - {"All in one table"}
    assert {row.section for row in ROWS} - {None} == headings
    for reason in LEFT_OUT.values():
        assert reason in METHODS


def test_the_corpus_lacks_a_group_that_fdc_needs() -> None:
    """Why FDC is left out: its rule finds no explicit group among what is harmful here."""
    groups = {group_of(pair.prompt[-1]["content"]) for pair in safety_pairs()}
    assert groups == {"implicit", "mixed", "neither"}


def test_names_are_one_each_and_come_before_they_are_needed() -> None:
    there = list(Comparison().names)
    for entry in MADE:
        assert entry.name not in there
        assert set(entry.needs) <= set(there), entry.name
        there.append(entry.name)
    assert {row.model for row in ROWS} <= set(there)
    assert {row.bias for row in ROWS if row.bias} <= {e.name for e in MADE if isinstance(e, Bias)}
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_nothing_is_made_for_no_row() -> None:
    wanted = {name for row in ROWS for name in (row.model, row.bias)}
    for entry in reversed(MADE):
        assert entry.name in wanted, entry.name
        wanted |= set(entry.needs)


TRAINED = [entry for entry in MADE if isinstance(entry, Trained)]


@pytest.mark.parametrize("entry", TRAINED, ids=lambda entry: str(entry.name))
def test_the_recipes_are_ones_that_train_takes(entry: Trained, tmp_path: Path) -> None:
    """Written down and read back as a user would: nothing in them is refused. All have the steps of
    `demo --compare` of as many pairs."""
    import yaml

    comparison = Comparison()
    found = places(tmp_path, comparison, MADE)
    made = recipe(entry, found[entry.name], comparison, found)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(made.dump()))
    for spec in (*made.data, *made.buffer):
        assert spec.path is not None
        spec.path.parent.mkdir(parents=True, exist_ok=True)
        spec.path.write_text("")
    assert load_recipe(str(file)) == made
    assert made.model == str(found[entry.start])
    assert made.training.max_steps == comparison.steps
    pairs = made.training.per_device_train_batch_size * (2 if made.buffer else 1)
    assert pairs == 2 * comparison.pairs
    assert made.training.learning_rate == entry.learning_rate
    assert (made.ama is not None) == entry.segments


def test_a_preference_vector_adds_each_plus_and_takes_its_minus_away() -> None:
    """theta = sft + eta (safe - unsafe) + eta (helpful - unhelpful): the weights sum to 1."""
    found = dict(zip(vector(0.25).models, vector(0.25).weights, strict=True))
    assert found == {
        "sft": 1.0,
        "dpo-safety-only": 0.25,
        "safety-minus": -0.25,
        "dpo-helpful-only": 0.25,
        "helpful-minus": -0.25,
    }


def test_a_place_changes_with_what_it_follows_from_and_with_nothing_else() -> None:
    """Another learning rate of a patch: another patch and another patched model, and the same rest."""
    slower = [Trained("a", {"name": "sft"}, 1e-4, "harmful"), Trained("b", {"name": "sft"}, 1e-4)]
    faster = [Trained("a", {"name": "sft"}, 1e-3, "harmful"), slower[1]]
    after = [Patched("p", "a", "b"), Sum("s", ("sft", "b"), (0.5, 0.5)), Bias("t", "a")]
    one, other = (places(Path(), Comparison(), [*m, *after]) for m in (slower, faster))
    assert {name for name in one if one[name] != other[name]} == {"a", "p", "t"}
    assert len(set(one.values())) == len(one)
    assert {p.name for name, p in one.items() if name not in ("t",)} == set(one) - {"t"}


class TestRequests:
    ROWS = (
        Row("a"),
        Row("b", bias="t"),
        Row("a", defence="instruction"),
        Row("b"),
        Row("a", defence="exemplars"),
    )
    PLACES = {"a": Path("x/a"), "b": Path("x/b"), "t": Path("x/t")}  # noqa: RUF012

    def test_one_command_a_way_to_measure(self) -> None:
        found = requests(self.ROWS, self.PLACES, {"suite": "bfpo-demo", "engine": "null"})
        told = [(r.models, r.bias, r.defences) for r, _ in found]
        assert told == [
            (("x/a", "x/b"), None, ()),
            (("x/b",), Path("x/t"), ()),
            (("x/a",), None, ("instruction", "exemplars")),
        ]
        assert {r.suite for r, _ in found} == {"bfpo-demo"}

    def test_what_was_measured_finds_its_row(self) -> None:
        bare, biased, defended = (rows for _, rows in requests(self.ROWS, self.PLACES, {}))
        assert row_of(bare, self.PLACES, Path("x/b"), "none").name == "b"
        assert row_of(biased, self.PLACES, Path("x/b"), "none").name == "b + t"
        assert row_of(defended, self.PLACES, Path("x/a"), "exemplars").name == "a + exemplars"

    def test_every_row_of_the_table_is_asked_for_once(self) -> None:
        found = places(Path(), Comparison(), MADE)
        asked = requests(ROWS, found, {})
        assert sum(len(r.models) * max(1, len(r.defences)) for r, _ in asked) == len(ROWS)
        assert {row for _, rows in asked for row in rows} == set(ROWS)
