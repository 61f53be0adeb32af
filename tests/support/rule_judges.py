"""Judges without a model, written into a folder: rules of a line or two, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.load import load_judge

LABELS: Mapping[str, Sequence[str]] = {
    "harm": ("harmful", "harmless"),
    "refusal": ("refusal", "partial_refusal", "compliance"),
    "rating": ("rated",),
    "preference": ("better", "worse", "draw"),
    "toxicity": ("harmful", "harmless"),
}


def rule_folder(folder: Path, kind: str, label: str, **more: str) -> Path:
    """A judge named by its folder that gives `label`, a Python expression of `answer` and `prompt`.

    It writes down every answer that it is asked about, in asked.txt beside it. `more` goes into its
    judge.yaml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fields = {
        "name": folder.name,
        "kind": kind,
        "version": "1",
        "title": "A rule of a test",
        "engine": "none",
        "request": "true",
        "labels": f"[{', '.join(LABELS[kind])}]",
        "parser": "parser:parse",
        "licence": "none",
    }
    content = "".join(f"{k}: {v}\n" for k, v in (fields | more).items())
    (folder / "judge.yaml").write_text(content)
    (folder / "parser.py").write_text(
        "from pathlib import Path\n\n"
        "from bfpo_bench.judges.finding import Finding\n\n\n"
        "def parse(answer, prompt):\n"
        '    with Path(__file__).with_name("asked.txt").open("a") as file:\n'
        '        file.write(answer + "\\n")\n'
        f"    return {label}\n"
    )
    return folder


def rule(folder: Path, kind: str, label: str, **more: str) -> Judge:
    """The same, loaded."""
    return load_judge(str(rule_folder(folder, kind, label, **more)))


def asked(folder: Path) -> list[str]:
    """The answers that the judge was asked about, in order."""
    file = folder / "asked.txt"
    return file.read_text().splitlines() if file.exists() else []
