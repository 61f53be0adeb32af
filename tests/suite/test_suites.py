"""Suites: packaged ones, and a user's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bfpo_bench.errors import UserError
from bfpo_bench.suite.suites import Suite, load_suite, select_tasks, suite_folder, suite_names

METADATA: dict[str, Any] = {
    "version": 1,
    "title": "A task",
    "cell": "harmlessness/generative",
    "family": "x",
    "split": "test",
    "documents": 100,
    "prompt_tokens": 5,
    "source": "ours",
    "licence": "mit",
}
OWN: dict[str, Any] = {
    "name": "own",
    "version": 2,
    "title": "My own",
    "include_path": "my_tasks",
    "tasks": ["bfpo_c", "bfpo_a*"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A suite's folder with tasks bfpo_a1, bfpo_a2, bfpo_b and bfpo_c."""
    (tmp_path / "my_tasks").mkdir()
    for name in ("a1", "a2", "b", "c"):
        task = {"task": f"bfpo_{name}", "metadata": METADATA}
        (tmp_path / "my_tasks" / f"{name}.yaml").write_text(yaml.safe_dump(task))
    return tmp_path


def write(folder: Path, **changes: Any) -> str:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changes}))
    return str(path)


def names(suite_file: str, globs: str | None = None) -> list[str]:
    return [t.name for t in select_tasks(load_suite(suite_file), globs)]


@pytest.mark.parametrize("name", suite_names())
def test_packaged_suites_load_and_their_tasks_are_there(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    tasks = select_tasks(suite, None)
    named = {cell for cells in suite.dimensions.values() for cell in cells}
    assert {t.cell for t in tasks if t.weighted} == named
    assert all(t.path.is_relative_to(suite_folder(suite)) for t in tasks)


def test_suite_bfpo_samples_two_thousand_documents_of_bbq() -> None:
    suite = load_suite("bfpo")
    counts = {t.name: suite.documents(t, None) for t in select_tasks(suite, "bfpo_bbq_*ambig")}
    assert counts == {"bfpo_bbq_ambig": 1000, "bfpo_bbq_disambig": 1000}


def test_an_unknown_suite_names_the_nearest_and_all() -> None:
    with pytest.raises(
        UserError,
        match=r"no suite 'bfpoo' \(did you mean bfpo.*name one of bfpo, bfpo-late-refusal",
    ):
        load_suite("bfpoo")


def test_a_suite_of_ones_own_finds_its_tasks_beside_it(folder: Path) -> None:
    suite = load_suite(write(folder))
    assert (suite.name, suite.version, suite.context) == ("own", 2, 8192)
    assert (suite.decoding.temperature, suite.decoding.max_new_tokens) == (0, 512)
    assert suite_folder(suite) == folder / "my_tasks"


def test_tasks_come_once_and_in_the_suites_order(folder: Path) -> None:
    assert names(write(folder)) == ["bfpo_c", "bfpo_a1", "bfpo_a2"]
    assert names(write(folder, tasks=["bfpo_b", "bfpo_*"])) == [
        "bfpo_b",
        "bfpo_a1",
        "bfpo_a2",
        "bfpo_c",
    ]


def test_globs_narrow_without_reordering(folder: Path) -> None:
    suite = write(folder)
    assert names(suite, "bfpo_a2, bfpo_c") == ["bfpo_c", "bfpo_a2"]
    assert names(suite, "*1") == ["bfpo_a1"]
    assert names(suite, "bfpo_a1,,bfpo_a*,") == ["bfpo_a1", "bfpo_a2"]


def test_a_name_as_tables_print_it(folder: Path) -> None:
    """They leave out what all names begin with."""
    assert names(write(folder), "a1,c") == ["bfpo_c", "bfpo_a1"]


def test_a_glob_outside_the_suite_matches_nothing(folder: Path) -> None:
    """bfpo_b exists, and is no task of this suite."""
    with pytest.raises(UserError, match=r"No task of suite own matches 'bfpo_b'"):
        names(write(folder), "bfpo_b")
    with pytest.raises(UserError, match=r"Suite own names 'bfpo_d'.*did you mean"):
        names(write(folder, tasks=["bfpo_d"]))


@pytest.mark.parametrize("globs", ["", " , "])
def test_globs_that_name_nothing_are_refused(folder: Path, globs: str) -> None:
    with pytest.raises(UserError, match="--tasks names no task"):
        names(write(folder), globs)


def test_documents_asked_is_the_least_of_metadata_sample_and_limit(folder: Path) -> None:
    samples = {"bfpo_a1": {"documents": 10}, "bfpo_a2": {"documents": 500}}
    suite = load_suite(write(folder, samples=samples))
    c, a1, a2 = select_tasks(suite, None)
    assert [suite.documents(t, None) for t in (c, a1, a2)] == [100, 10, 100]
    assert [suite.documents(t, 20) for t in (c, a1, a2)] == [20, 10, 20]


def test_a_sample_of_a_task_that_the_suite_lacks_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"key samples, names bfpo_b .*none of its tasks"):
        names(write(folder, samples={"bfpo_b": {"documents": 3}}))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"version": "new"}, "version"),
        ({"tasks": []}, "tasks"),
        ({"tasks": "bfpo_a1"}, "tasks"),
        ({"decoding": {"temperature": -1}}, "decoding.temperature"),
        ({"decoding": {"max_tokens": 5}}, "decoding.max_tokens"),
        ({"samples": {"bfpo_a1": {"documents": 0}}}, "samples.bfpo_a1.documents"),
        ({"context": 1}, "context"),
        ({"contxt": 4096}, "contxt"),
        ({"weights": {"x": -1}}, "weights.x"),
        ({"weights": {"x": float("inf")}}, "weights.x"),
        ({"dimensions": {"charm": ["helpfulness/generative"]}}, "dimensions.charm.[key]"),
        ({"dimensions": {"helpfulness": []}}, "dimensions.helpfulness"),
        ({"placement": {"bfpo_a1": {"cel": "x"}}}, "placement.bfpo_a1.cel"),
        ({"task_decoding": {"bfpo_a1": {"top_p": 2}}}, "task_decoding.bfpo_a1.top_p"),
    ],
)
def test_a_key_that_does_not_fit_is_named(folder: Path, wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"key {key}: ")):
        load_suite(write(folder, **wrong))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not valid YAML"),
        ("- a", "does not hold a YAML mapping"),
        ("", "does not hold a YAML mapping"),
        ("1: 2", "key name: Field required"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        load_suite(str(path))


def test_an_include_path_that_is_no_folder_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"include_path .*gone is not a folder"):
        load_suite(write(folder, include_path="gone"))


def test_a_suite_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes("title: caf\u00e9".encode("latin-1"))
    with pytest.raises(UserError, match="is not UTF-8 text"):
        load_suite(str(path))


@pytest.mark.parametrize("key", ["placement", "task_decoding"])
def test_a_task_that_the_suite_lacks_is_named(folder: Path, key: str) -> None:
    with pytest.raises(UserError, match=rf"key {key}, names bfpo_a3 \(did you mean"):
        names(write(folder, **{key: {"bfpo_a3": {}}}))


def test_weights_that_sum_to_nothing_are_refused(folder: Path) -> None:
    """All tasks of the folder are of family x, the one family of its cell."""
    assert names(write(folder, weights={"x": 0.5}))
    with pytest.raises(UserError, match=r"weights of harmlessness/generative sum to nothing \(x\)"):
        names(write(folder, weights={"x": 0}))
    with pytest.raises(UserError, match=r"key weights, names the family y.*none of its tasks has"):
        names(write(folder, weights={"y": 1}))


def test_a_suite_of_which_nothing_is_weighted_is_refused(folder: Path) -> None:
    placement = {f"bfpo_{t}": {"weighted": False} for t in ("a1", "a2", "c")}
    with pytest.raises(UserError, match="none of its tasks is weighted"):
        names(write(folder, placement=placement))


def test_a_generative_task_takes_no_orientation(folder: Path) -> None:
    with pytest.raises(UserError, match="an orientation, and it is a generative task"):
        names(write(folder, placement={"bfpo_a1": {"orientation": "complement"}}))


def test_a_discriminative_task_decodes_nothing(folder: Path) -> None:
    file = folder / "my_tasks" / "a1.yaml"
    metadata = METADATA | {"cell": "harmlessness/discriminative"}
    file.write_text(yaml.safe_dump({"task": "bfpo_a1", "metadata": metadata}))
    with pytest.raises(UserError, match="which is a discriminative task"):
        names(write(folder, task_decoding={"bfpo_a1": {"top_p": 0.5}}))


def test_a_suite_may_place_a_task_elsewhere(folder: Path) -> None:
    placement = {"bfpo_a1": {"cell": "helpfulness/generative", "family": "y", "weighted": False}}
    here, there = (
        {t.name: t for t in select_tasks(load_suite(write(folder, **more)), None)}
        for more in ({}, {"placement": placement})
    )
    assert here["bfpo_a2"] == there["bfpo_a2"]
    moved = there["bfpo_a1"]
    assert (moved.cell, moved.family, moved.weighted) == ("helpfulness/generative", "y", False)
    assert moved.identity == here["bfpo_a1"].identity  # it asks the same: the key has the placement


def test_a_generative_task_has_no_place_in_a_discriminative_cell(folder: Path) -> None:
    placement = {"bfpo_a1": {"cell": "helpfulness/discriminative"}}
    with pytest.raises(UserError, match="it is a generative task: name a generative cell"):
        names(write(folder, placement=placement))


def test_a_task_may_ask_for_its_own_decoding_and_a_cap_holds_for_all(folder: Path) -> None:
    suite = load_suite(
        write(
            folder,
            decoding={"temperature": 0.7},
            task_decoding={"bfpo_a1": {"top_p": 0.95, "max_new_tokens": 1280}},
        )
    )
    plain, own = suite.decoding_of("bfpo_c"), suite.decoding_of("bfpo_a1")
    assert (plain.temperature, plain.top_p, plain.max_new_tokens) == (0.7, 1, 512)
    assert (own.temperature, own.top_p, own.max_new_tokens) == (0.7, 0.95, 1280)
    capped = suite.capped(64)
    assert [capped.decoding_of(t).max_new_tokens for t in ("bfpo_c", "bfpo_a1")] == [64, 64]
    assert capped.decoding_of("bfpo_a1").top_p == 0.95


def test_suite_bfpo_has_the_whole_grid() -> None:
    """The families of each cell, as the design names them; HHH other is measured and not weighted."""
    found: dict[str, set[str]] = {}
    for task in select_tasks(load_suite("bfpo"), None):
        if task.weighted:
            found.setdefault(task.cell, set()).add(task.family)
    assert {cell: len(families) for cell, families in found.items()} == {
        "harmlessness/discriminative": 8,
        "harmlessness/generative": 11,
        "helpfulness/discriminative": 6,
        "helpfulness/generative": 6,
    }


def test_suite_bfpo_paper_decodes_and_averages_as_the_papers_code() -> None:
    suite = load_suite("bfpo-paper")
    assert suite.judges == ("harmbench_paper",)
    decoding = {t: suite.decoding_of(t) for t in ("bfpo_advbench_paper", "bfpo_alert")}
    assert {t: (d.temperature, d.top_p) for t, d in decoding.items()} == {
        "bfpo_advbench_paper": (0.7, 0.95),
        "bfpo_alert": (0.7, 1.0),
    }
    tasks = {t.name: t for t in select_tasks(suite, None)}
    assert tasks["bfpo_crows_pairs_english"].orientation == "complement"
    generative = {
        t.name for t in tasks.values() if t.cell == "harmlessness/generative" and t.weighted
    }
    assert generative == {
        "bfpo_realtoxicityprompts_challenge",
        "bfpo_advbench_paper",
        "bfpo_alert",
        "bfpo_alert_adversarial",
    }
    assert suite.dimensions["helpfulness"] == ("helpfulness/generative",)
    assert [t.name for t in tasks.values() if t.cell.startswith("help") and t.weighted] == [
        "bfpo_alpaca_eval"
    ]
    assert suite.assumed


def test_suite_bfpo_quick_asks_the_tasks_of_bfpo_at_under_a_twentieth_of_the_tokens() -> None:
    """Tokens from the tasks' metadata: prompts, and answers as long as they may be."""
    whole, quick = load_suite("bfpo"), load_suite("bfpo-quick")
    tasks = select_tasks(quick, None)
    assert tasks == select_tasks(whole, None)
    assert (quick.decoding, quick.task_decoding) == (whole.decoding, whole.task_decoding)

    def tokens(suite: Suite) -> float:
        total = 0.0
        for task in tasks:
            documents = suite.documents(task, None)
            total += documents * task.requests_per_document * task.prompt_tokens
            if task.kind == "generative":
                total += documents * suite.decoding_of(task.name).max_new_tokens
        return total

    assert tokens(quick) / tokens(whole) < 0.05


def test_a_folder_is_no_suite(folder: Path) -> None:
    with pytest.raises(UserError, match="There is no suite"):
        load_suite(str(folder))


class TestTasksByCell:
    """A glob with a slash is one of cells: no task's name has a slash."""

    def chosen(self, globs: str) -> list[str]:
        return sorted({t.cell for t in select_tasks(load_suite("bfpo"), globs)})

    def test_a_kind(self) -> None:
        assert self.chosen("*/generative") == ["harmlessness/generative", "helpfulness/generative"]

    def test_a_cell_whole(self) -> None:
        found = select_tasks(load_suite("bfpo"), "helpfulness/discriminative")
        every = select_tasks(load_suite("bfpo"), None)
        assert found == [t for t in every if t.cell == "helpfulness/discriminative"]

    def test_beside_names_in_the_suites_order(self) -> None:
        found = [t.name for t in select_tasks(load_suite("bfpo"), "*/generative,bfpo_winogrande")]
        assert "bfpo_winogrande" in found
        every = [t.name for t in select_tasks(load_suite("bfpo"), None)]
        assert found == [name for name in every if name in found]

    def test_where_the_suite_has_placed_them(self, folder: Path) -> None:
        """Every task is generative; b is placed in the other dimension."""
        moved = write(
            folder, tasks=["bfpo_*"], placement={"bfpo_b": {"cell": "helpfulness/generative"}}
        )
        assert names(moved, "helpfulness/*") == ["bfpo_b"]

    def test_no_such_cell(self) -> None:
        with pytest.raises(UserError, match=r"No task of suite bfpo matches '\*/generativ'"):
            self.chosen("*/generativ")

    def test_a_star_is_still_every_name(self) -> None:
        assert select_tasks(load_suite("bfpo"), "*") == select_tasks(load_suite("bfpo"), None)
