"""Task YAMLs read without lm-eval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bfpo_bench.errors import UserError
from bfpo_bench.suite import tasks as module
from bfpo_bench.suite.tasks import load_tasks, parse_task, read_yaml, tasks_dir

CONFIG: dict[str, Any] = {
    "task": "bfpo_x",
    "dataset_path": "org/data",
    "test_split": "test",
    "metadata": {
        "version": 1.5,
        "title": "A task",
        "cell": "harmlessness/generative",
        "family": "x",
        "hub_id": "org/data",
        "documents": 10,
        "prompt_tokens": 5,
        "source": "ours",
        "licence": "mit",
        "prompts": "harmful",
        "judged_by": ["refusal", "harm"],
    },
}


def changed(**metadata: Any) -> dict[str, Any]:
    return {**CONFIG, "metadata": {**CONFIG["metadata"], **metadata}}


def test_metadata_and_lm_eval_keys_make_one_task() -> None:
    task = parse_task(Path("t/x.yaml"), CONFIG)
    assert (task.name, task.version, task.path) == ("bfpo_x", 1.5, Path("t/x.yaml"))
    assert task.kind == "generative"
    assert (task.dataset_path, task.split) == ("org/data", "test")
    assert task.judged_by == ("refusal", "harm")
    assert (task.weighted, task.num_fewshot, task.requests_per_document) == (True, None, 1)


@pytest.mark.parametrize(
    ("splits", "wanted"),
    [
        ({"test_split": "a", "validation_split": "b"}, "a"),
        ({"test_split": None, "validation_split": "b"}, "b"),
    ],
)
def test_the_split_that_lm_eval_evaluates(splits: dict[str, Any], wanted: str) -> None:
    assert parse_task(Path("x.yaml"), {**CONFIG, **splits}).split == wanted


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cell": "harmlessness"}, "metadata key cell"),
        ({"documents": "many"}, "metadata key documents"),
        ({"prompts": "rude"}, "metadata key prompts"),
        ({"family": None}, "metadata key family"),
    ],
)
def test_metadata_that_does_not_fit_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"x.yaml: {named}"):
        parse_task(Path("x.yaml"), changed(**wrong))


def test_tasks_on_the_same_documents_share_a_source() -> None:
    """Another task of the same data does; another split, subset or file does not."""
    one = parse_task(Path("x.yaml"), CONFIG)
    same = parse_task(Path("y.yaml"), {**CONFIG, "task": "bfpo_y"})
    assert one.data_source == same.data_source
    for key, value in (
        ("dataset_path", "org/other"),
        ("dataset_name", "subset"),
        ("test_split", "train"),
        ("dataset_kwargs", {"data_files": "a.csv"}),
    ):
        assert parse_task(Path("z.yaml"), {**CONFIG, key: value}).data_source != one.data_source


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """x.yaml includes mid, which includes base; each level overrides one key of the one below."""
    (tmp_path / "base").write_text("a: base\nb: base\nc: base\nd: !function mod.fun\n")
    (tmp_path / "mid").write_text("include: base\nb: mid\nc: mid\n")
    path = tmp_path / "x.yaml"
    path.write_text("include: mid\nc: own\ntask: bfpo_x\n")
    return path


def test_includes_are_merged_and_the_includer_wins(chain: Path) -> None:
    assert read_yaml(chain) == {
        "a": "base",
        "b": "mid",
        "c": "own",
        "d": "mod.fun",
        "task": "bfpo_x",
    }


def test_of_two_includes_the_later_wins(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a: 1\nb: 1\n")
    (tmp_path / "two").write_text("b: 2\n")
    (tmp_path / "x.yaml").write_text("include: [one, two]\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": 1, "b": 2}


def test_lm_eval_merges_alike(chain: Path) -> None:
    loader = pytest.importorskip("lm_eval.tasks._yaml_loader")
    (chain.parent / "base").write_text("a: base\nb: base\nc: base\n")
    assert read_yaml(chain) == loader.load_yaml(chain)


def test_functions_are_named_and_never_imported(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("process_docs: !function no_such_module.fun\n")
    assert read_yaml(tmp_path / "x.yaml") == {"process_docs": "no_such_module.fun"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not valid YAML"),
        ("a: !python/object:os.system x", "is not valid YAML"),
        ("- a\n- b", "does not hold a YAML mapping"),
        ("", "does not hold a YAML mapping"),
        ("include: gone", "gone cannot be read .No such file"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        read_yaml(tmp_path / "x.yaml")


def test_a_folder_of_tasks(tmp_path: Path) -> None:
    """Groups, bases without the suffix and other files are passed over."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "group.yaml").write_text("group: bfpo\ntask: [bfpo_x]\n")
    (tmp_path / "_common_yaml").write_text("a: [broken")
    assert list(load_tasks(tmp_path)) == ["bfpo_x"]


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(CONFIG))
    with pytest.raises(UserError, match=r"bfpo_x is defined twice .*x.yaml and .*y.yaml"):
        load_tasks(tmp_path)


def test_what_load_tasks_gives_is_the_callers_own(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    load_tasks(tmp_path).clear()
    assert list(load_tasks(tmp_path)) == ["bfpo_x"]


def test_the_task_folder_of_a_checkout_and_of_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bfpo_bench"
    (package / "suite").mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(package / "suite" / "tasks.py"))
    with pytest.raises(UserError, match="The task folder is missing"):
        tasks_dir()
    (package / "_tasks").mkdir()
    assert tasks_dir() == package / "_tasks"
    # Some other project's tasks/ beside site-packages is not ours
    (tmp_path / "tasks").mkdir()
    assert tasks_dir() == package / "_tasks"
    (tmp_path / "pyproject.toml").write_text("")
    assert tasks_dir() == tmp_path / "tasks"


def test_whatever_changes_what_is_asked_changes_the_tasks_identity() -> None:
    """The run id holds it, so an edited prompt starts a new run; prose is no part of it."""

    def identity(config: dict[str, Any]) -> str:
        return parse_task(Path("x.yaml"), config).identity

    before = identity(CONFIG)
    assert identity(CONFIG | {"doc_to_text": "Say: {{prompt}}"}) != before
    assert identity(changed(judged_by=["harm"])) != before
    assert identity(changed(title="Something else")) == before


def test_a_hub_data_set_without_hub_id_is_pinned_all_the_same() -> None:
    assert parse_task(Path("x.yaml"), changed(hub_id=None)).hub_id == "org/data"
    packaged = changed(hub_id=None) | {"dataset_path": "json"}
    assert parse_task(Path("x.yaml"), packaged).hub_id is None


@pytest.mark.parametrize("extra", [{"num_fewshot": 2}, {"description": "Be brief."}])
def test_a_generative_task_with_examples_is_refused(extra: dict[str, Any]) -> None:
    """They would be dropped, and recorded as if they had been asked."""
    with pytest.raises(UserError, match="asked without examples and description"):
        parse_task(Path("x.yaml"), CONFIG | {"output_type": "generate_until"} | extra)


@pytest.mark.parametrize(
    ("keys", "asked", "given"),
    [
        ({"training_split": "train"}, None, 0),
        ({"training_split": "train"}, 3, 3),
        ({"training_split": "train", "num_fewshot": 2}, None, 2),
        ({"training_split": "train", "num_fewshot": 2}, 5, 5),
        ({"training_split": "train", "num_fewshot": 0}, 3, 0),
        ({}, 3, 0),
        ({"validation_split": "validation"}, 3, 3),
        ({"fewshot_split": "test"}, 3, 0),
        ({"fewshot_split": "dev"}, 3, 3),
    ],
)
def test_examples_in_a_prompt(keys: dict[str, Any], asked: int | None, given: int) -> None:
    """As lm-eval's --num_fewshot, but that nothing is ever drawn from the documents under test."""
    config = {
        "task": "bfpo_x",
        "test_split": "test",
        "output_type": "multiple_choice",
        "metadata": {**CONFIG["metadata"], "cell": "helpfulness/discriminative"},
        **keys,
    }
    assert parse_task(Path("x.yaml"), config).examples(asked) == given


def test_what_a_task_stores_stops_at_and_reads() -> None:
    config = {
        "task": "bfpo_x",
        "test_split": "test",
        "generation_kwargs": {"until": ["\n\n"]},
        "metadata": {**CONFIG["metadata"], "keep": ["context"], "columns": ["prompt", "context"]},
    }
    task = parse_task(Path("x.yaml"), config)
    assert (task.until, task.keep, task.columns) == (("\n\n",), ("context",), ("prompt", "context"))
    assert parse_task(Path("x.yaml"), config | {"generation_kwargs": {"until": "Q:"}}).until == (
        "Q:",
    )


def test_the_code_that_a_task_names_is_a_part_of_its_identity(tmp_path: Path) -> None:
    """Another docs.py asks other prompts under the same name: it must be another run and key."""
    (tmp_path / "docs.py").write_text("def ask(doc): return 'One ' + doc['q']")
    (tmp_path / "x.yaml").write_text(
        yaml.safe_dump(CONFIG)
        + "doc_to_text: !function docs.ask\nprocess_docs: !function lm_eval.f\n"
    )
    before = parse_task(tmp_path / "x.yaml", read_yaml(tmp_path / "x.yaml"))
    assert before == parse_task(tmp_path / "x.yaml", read_yaml(tmp_path / "x.yaml"))
    (tmp_path / "docs.py").write_text("def ask(doc): return 'Two ' + doc['q']")
    after = parse_task(tmp_path / "x.yaml", read_yaml(tmp_path / "x.yaml"))
    assert after.identity != before.identity


def test_lm_evals_version_is_a_part_of_what_its_code_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.yaml").write_text(
        yaml.safe_dump(CONFIG) + "process_docs: !function lm_eval.tasks.x.f\n"
    )
    before = parse_task(tmp_path / "x.yaml", read_yaml(tmp_path / "x.yaml"))
    monkeypatch.setattr(module, "_lm_eval_version", lambda: "9.9.9")
    after = parse_task(tmp_path / "x.yaml", read_yaml(tmp_path / "x.yaml"))
    assert after.identity != before.identity
