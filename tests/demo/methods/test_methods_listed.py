"""The common table is whole: every method has a row or a reason, and every row can be made."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from small_corpus import small_corpus

from bfpo_bench.demo.compare import Comparison
from bfpo_bench.demo.methods.listed import LEFT_OUT, MADE, ROWS, vector
from bfpo_bench.demo.methods.models import Bias, Conditioned, Iterated, Patched, Sum, Trained
from bfpo_bench.demo.methods.places import Learnt, places, recipe
from bfpo_bench.demo.methods.rows import Row, requests, row_of
from bfpo_bench.demo.pairs import safety_pairs
from bfpo_bench.training.fdc.groups import group_of
from bfpo_bench.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[3]
METHODS = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")


def test_every_method_of_the_page_has_a_row_or_a_reason() -> None:
    headings = set(re.findall(r"^## (.*)$", METHODS, re.MULTILINE)) - {"All in one table"}
    assert {row.section for row in ROWS} - {None} == headings - set(LEFT_OUT)
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A cache folder, and where everything lies in it."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, places(folder, Comparison(), MADE)


TRAINED = [entry for entry in MADE if isinstance(entry, Learnt)]


@pytest.mark.parametrize("entry", TRAINED, ids=lambda entry: str(entry.name))
def test_the_recipes_are_ones_that_train_takes(
    entry: Learnt, cache: tuple[Path, dict[str, Path]], tmp_path: Path
) -> None:
    """Written down and read back as a user would: nothing in them is refused. All have the steps of
    `demo --compare`, of as many pairs or of as many responses."""
    comparison, found = Comparison(), cache[1]
    made = recipe(entry, found[entry.name], comparison, found)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(made.dump()))
    for spec in (*made.data, *made.buffer):
        assert spec.path is not None
        spec.path.parent.mkdir(parents=True, exist_ok=True)
        spec.path.write_text("")
    assert load_recipe(str(file)) == made
    assert made.model == str(found[entry.start])
    rounds = entry.rounds if isinstance(entry, Iterated) else 1
    assert made.training.max_steps == comparison.steps // rounds
    responses = 1 if isinstance(entry, Conditioned) else 4 if made.buffer else 2
    assert made.training.per_device_train_batch_size * responses == 4 * comparison.pairs
    assert made.training.learning_rate == entry.learning_rate
    if isinstance(entry, Trained):
        assert (made.ama is not None) == entry.segments
        assert (made.lora is not None) == entry.lora
        assert (made.experts is not None) == (entry.experts is not None)


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


def test_a_place_changes_with_what_it_follows_from_and_with_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another learning rate of a patch: another patch and another patched model, and the same rest."""
    small_corpus(monkeypatch)
    slower = [Trained("a", {"name": "sft"}, 1e-4, "harmful"), Trained("b", {"name": "sft"}, 1e-4)]
    faster = [Trained("a", {"name": "sft"}, 1e-3, "harmful"), slower[1]]
    after = [Patched("p", "a", "b"), Sum("s", ("sft", "b"), (0.5, 0.5)), Bias("t", "a")]
    one, other = (places(Path(), Comparison(), [*m, *after]) for m in (slower, faster))
    assert {name for name in one if one[name] != other[name]} == {"a", "p", "t"}
    assert len(set(one.values())) == len(one)


class TestRequests:
    ROWS = (
        Row("a"),
        Row("b", bias="t"),
        Row("a", defence="instruction"),
        Row("b"),
        Row("a", defence="exemplars"),
        Row("b", levels="0,1"),
        Row("b", levels="1,1"),
    )
    PLACES = {"a": Path("x/a"), "b": Path("x/b"), "t": Path("x/t")}  # noqa: RUF012

    def test_one_command_a_way_to_measure(self) -> None:
        found = requests(self.ROWS, self.PLACES, {"suite": "bfpo-demo", "engine": "null"})
        told = [(r.models, r.bias, r.defences, r.levels) for r, _ in found]
        assert told == [
            (("x/a", "x/b"), None, (), ()),
            (("x/b",), Path("x/t"), (), ()),
            (("x/a",), None, ("instruction", "exemplars"), ()),
            (("x/b",), None, (), ("0,1", "1,1")),
        ]
        assert {r.suite for r, _ in found} == {"bfpo-demo"}

    def test_every_row_of_the_table_is_asked_for_once(
        self, cache: tuple[Path, dict[str, Path]]
    ) -> None:
        asked = requests(ROWS, cache[1], {})
        assert sum(
            len(r.models) * max(1, len(r.defences) + len(r.levels)) for r, _ in asked
        ) == len(ROWS)
        assert {row for _, rows in asked for row in rows} == set(ROWS)

    def test_a_router_is_its_own_row_and_not_its_bases(self) -> None:
        """Both subjects have the files of `a`, and one has more over them."""
        rows, places = (Row("a"), Row("router")), {"a": Path("x/a"), "router": Path("x/router")}
        for adapter, name in ((None, "a"), (Path("x/router"), "router")):
            over = SimpleNamespace(folder=adapter) if adapter is not None else None
            subject = SimpleNamespace(base=SimpleNamespace(folder=Path("x/a")), adapter=over)
            planned: Any = SimpleNamespace(subject=subject, defence=None, levels=None)
            assert row_of(rows, places, planned).model == name
