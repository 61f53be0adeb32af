"""What a judge's rules rest on is found, so that a change of it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from bfpo_bench.errors import UserError
from bfpo_bench.judges import rules
from bfpo_bench.judges.load import load_judge
from bfpo_bench.judges.rules import package_versions, rule_files


def names(judge: str) -> list[str]:
    parser = load_judge(judge).folder / "parser.py"
    return [f"{f.parent.name}/{f.name}" for f in rule_files(parser)]


@pytest.mark.parametrize("judge", ["ifeval", "truthfulqa"])
def test_the_checks_behind_a_parser_are_found_and_what_they_import(judge: str) -> None:
    found = names(judge)
    assert found[0] == f"{judge}/parser.py"
    assert {"suite/checks.py", "judges/reasoning.py"} < set(found)
    assert len(found) == len(set(found))


def test_a_parser_that_imports_nothing_of_ours_stands_alone() -> None:
    assert names("harmbench") == ["harmbench/parser.py"]


def test_a_parser_that_is_another_judges_rests_on_that() -> None:
    assert names("harmbench_paper") == ["harmbench_paper/parser.py", "harmbench/parser.py"]


@pytest.mark.parametrize(
    "line",
    [
        "from bfpo_bench.judges.reasoning import strip_reasoning",
        "from bfpo_bench.judges import reasoning",
        "import bfpo_bench.judges.reasoning",
        "def f():\n    from bfpo_bench.judges import reasoning as r",
    ],
)
def test_every_way_to_import_is_seen(tmp_path: Path, line: str) -> None:
    parser = tmp_path / "parser.py"
    parser.write_text(f"import re\nfrom os import path\n{line}\n")
    assert [f.name for f in rule_files(parser)] == ["parser.py", "reasoning.py"]


def test_versions_are_named_and_a_missing_package_is_too() -> None:
    assert package_versions("mine", ["lm-eval"]) == ["lm-eval==0.4.13"]
    with pytest.raises(UserError, match="Judge mine needs the package bfpo-none, which is not"):
        package_versions("mine", ["lm-eval", "bfpo-none"])


def test_another_version_or_another_check_is_another_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> str:
        return load_judge("ifeval").rules_sha256

    before = now()
    assert now() == before
    with monkeypatch.context() as patch:
        patch.setattr(rules, "version", lambda name: "9.9")
        assert now() != before
    checks = Path(rules.__file__).parents[1] / "suite" / "checks.py"
    changed = tmp_path / "checks.py"
    changed.write_text(checks.read_text() + "\n# changed\n")
    with monkeypatch.context() as patch:
        real = rules.rule_files
        patch.setattr(
            "bfpo_bench.judges.judge.rule_files",
            lambda parser: [changed if f == checks else f for f in real(parser)],
        )
        assert now() != before
    assert now() == before
