"""Hostile content in every place that takes somebody else's text: nothing of it executes, breaks a
file, leaves its folder, changes another row or verdict, or reaches the terminal raw."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER
from commands import Said, command
from hostile import CORPUS, encodable, raw_controls, tree

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import item_of
from bfpo_bench.judges.load import load_judge
from bfpo_bench.leaderboard.columns import TEXT
from bfpo_bench.leaderboard.rows import neutral
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response

pytestmark = pytest.mark.usefixtures("stages_here")

PROMPTS = [text for text in CORPUS if encodable(text) and text.strip()]
"""What a data set can hold and a task asks."""
CHOSEN = [text for text in PROMPTS if len(text) < 400 and not text.isdigit()]
"""What multiple-choice tasks ask: lm-eval reads a context of digits as a number."""

TITLE = "\x1b]0;t\x07[bold]{{ 7 * 7 }}[/bold] \u202eelcric :boom:\nsecond line"
MODEL = "=cmd|' C calc'!A0 \x1b[31m[red]{{7*7}} \u202e\n<b>,\";=1"
"""A folder's name, which may hold all but the slash and NUL."""

GENERATIVE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: ""
generation_kwargs: {{until: []}}
metric_list: [{{metric: bypass, aggregation: bypass}}]
metadata:
  version: 1.0
  cell: {cell}
  family: {name}
  title: {title}
  source: here
  licence: {title}
  hub_id: null
  documents: {documents}
  prompt_tokens: 10
  prompts: {prompts}
  judged_by: [refusal, harm]
  keep: [prompt]
"""
CHOICES = """
task: choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{prompt}}}}"
doc_to_choice: "{{{{[other, prompt]}}}}"
doc_to_target: 0
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata:
  version: 1.0
  cell: helpfulness/discriminative
  family: choices
  title: {title}
  source: here
  licence: none
  hub_id: null
  split: test
  metric: acc
  documents: {documents}
  requests_per_document: 2
  prompt_tokens: 10
"""


def write_suite(folder: Path) -> None:
    """A suite of three tasks: the corpus as harmful prompts, as benign ones, and as choices."""
    tasks = folder / "tasks"
    tasks.mkdir()
    title = json.dumps(TITLE)
    rows = [json.dumps({"prompt": text, "other": "else"}) + "\n" for text in PROMPTS]
    short = [line for line, text in zip(rows, PROMPTS, strict=True) if text in CHOSEN]
    for name, lines in (("harmful", rows), ("benign", rows), ("choices", short)):
        (tasks / f"{name}.jsonl").write_text("".join(lines))
    cells = {"harmful": "harmlessness/generative", "benign": "helpfulness/generative"}
    for name, cell in cells.items():
        told = GENERATIVE.format(
            name=name,
            file=tasks / f"{name}.jsonl",
            cell=cell,
            title=title,
            documents=len(rows),
            prompts=name,
        )
        (tasks / f"{name}.yaml").write_text(told)
    told = CHOICES.format(file=tasks / "choices.jsonl", title=title, documents=len(short))
    (tasks / "choices.yaml").write_text(told)
    (folder / "suite.yaml").write_text(
        f"name: hostile\nversion: 1\ntitle: {title}\ntasks: [harmful, benign, choices]\n"
        "include_path: tasks\ndecoding: {max_new_tokens: 32}\ncontext: 512\nassumed: ["
        + title
        + "]\n"
        "dimensions: {harmlessness: [harmlessness/generative]}\n"
    )


def model_folder(folder: Path) -> Path:
    """A real model's small files under a hostile name; what stands for its weights is never loaded."""
    from huggingface_hub import snapshot_download

    real = snapshot_download(REFUSER, allow_patterns=["*.json", "*.jinja"])
    shutil.copytree(real, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    (folder / "training_manifest.json").write_text(
        json.dumps({"format": 1, "stage": "sft", "objective": TITLE, "base": {"name": f"={TITLE}"}})
    )
    return folder


@dataclass(frozen=True)
class Place:
    """A folder that commands are given in, and what lies around it."""

    outer: Path

    @property
    def cwd(self) -> Path:
        return self.outer / "here"

    @property
    def leaderboard(self) -> Path:
        return self.cwd / "leaderboards" / "hostile.csv"

    @property
    def run(self) -> RunFolder:
        [folder] = (self.cwd / "runs").iterdir()
        return RunFolder(folder)

    def give(self, *arguments: str) -> Said:
        return command(*arguments, cwd=self.cwd, cache=self.outer / "cache")


def clean(done: Said, code: int = 0) -> Said:
    """Nothing that a terminal would act on was printed, and no traceback."""
    assert done.code == code, done.err[-3000:]
    assert raw_controls(done.out) == []
    assert raw_controls(done.err) == []
    assert "Traceback" not in done.err
    return done


@pytest.fixture(scope="module")
def place(hub: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The corpus as prompts, asked of the null engine under a hostile model's name, and judged."""
    found = Place(tmp_path_factory.mktemp("hostile"))
    found.cwd.mkdir()
    write_suite(found.cwd)
    model_folder(found.cwd / MODEL)
    done = found.give("run", "--model", f"./{MODEL}", "--suite", "suite.yaml", "--engine", "null")
    clean(done)
    return found


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().removesuffix(b"\n").split(b"\n")]


class TestPrompts:
    def test_each_is_asked_as_it_is(self, place: Place) -> None:
        """No template is rendered, no escape undone, nothing cut or mended."""
        asked = {(r.task, r.doc_id): r for r in place.run.responses()}
        assert len(asked) == 2 * len(PROMPTS)
        for (_, doc_id), response in asked.items():
            assert response.messages == [{"role": "user", "content": PROMPTS[doc_id]}]
            assert response.document == {"prompt": PROMPTS[doc_id]}
            assert response.error is None

    def test_each_has_a_verdict_of_its_own(self, place: Place) -> None:
        """Judged alone, every response gets the verdict that it got among the others."""
        for name in ("harm", "refusal"):
            find = load_judge(name).finder()
            stored = {v.key: v for v in place.run.verdicts(name)}
            for response in place.run.responses():
                if name == "refusal" or response.task == "harmful":
                    prompt = response.messages[-1]["content"]
                    item = item_of(prompt, response.response, document=response.document)
                    alone = item if isinstance(item, Finding) else find(item)
                    assert stored[response.key].label == alone.label

    def test_every_line_of_every_file_is_a_record(self, place: Place) -> None:
        files = [*place.run.path.rglob("*.jsonl")]
        assert {f.name for f in files} >= {"responses.jsonl", "refusal.jsonl", "harm.jsonl"}
        for file in files:
            assert all(isinstance(record, dict) for record in records(file))
        choices = place.run.samples_file("choices")
        assert [record["doc"]["prompt"] for record in records(choices)] == CHOSEN
        json.loads(place.run.scores_file.read_text())

    def test_nothing_is_made_outside_of_the_folders_for_it(self, place: Place) -> None:
        assert {p.name for p in place.outer.iterdir()} <= {"here", "cache"}
        made = {p.name for p in place.cwd.iterdir()}
        assert made == {"runs", "leaderboards", "suite.yaml", "tasks", MODEL}
        assert not [p for p in tree(place.outer) if "pwned" in p]
        assert not Path("/tmp/pwned").exists()
        assert place.run.path.name.isascii()
        assert place.run.path.name.isprintable()


class TestLeaderboard:
    def test_the_row_has_its_columns_and_its_cells_are_no_formulas(self, place: Place) -> None:
        lines = list(csv.reader(io.StringIO(place.leaderboard.read_text(), newline="")))
        assert [len(line) for line in lines] == [len(lines[0])] * 2
        row = dict(zip(*lines, strict=True))
        for name in TEXT:
            assert neutral(row[name]) == row[name]
        assert row["model"].startswith("'=cmd|")
        assert row["base"].startswith("'=")
        numbers = [row[name] for name in lines[0] if name not in TEXT]
        assert all(float(cell) >= 0 for cell in numbers if cell)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("show",),
            ("show", "--json"),
            *(("export", "--format", f) for f in ("csv", "markdown", "json")),
        ],
        ids=" ".join,
    )
    def test_is_shown_as_text(self, place: Place, arguments: tuple[str, ...]) -> None:
        done = clean(place.give("leaderboard", *arguments, "--leaderboard", str(place.leaderboard)))
        shown = "".join(done.out.split())
        assert "[red]{{7*7}}" in shown
        assert "elcric:boom:" in shown or arguments == ("show",)

    def test_markdown_holds_names_as_code(self, place: Place) -> None:
        [row] = [
            line
            for line in place.give(
                *("leaderboard", "export", "--format", "markdown"),
                *("--leaderboard", str(place.leaderboard)),
            ).out.splitlines()
            if line.startswith(("| –", "| 1"))
        ]
        outside = "".join(row.split("`")[::2])
        assert "<b>" in row
        assert not set("<>[]{}") & set(
            outside.replace("[0.0", "").replace("]", "").replace("[", "")
        )


@pytest.mark.parametrize(
    "arguments",
    [("tasks",), ("tasks", "--long"), ("tasks", "--markdown"), ("tasks", "--json"), ("plan",)],
    ids=" ".join,
)
def test_a_suite_is_shown_as_text(place: Place, arguments: tuple[str, ...]) -> None:
    done = clean(place.give(*arguments, "--suite", "suite.yaml"))
    assert "[bold]" in done.out or arguments == ("tasks", "--json")


@pytest.fixture(scope="module")
def answered(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of the run whose stored answers are the corpus, with all that JSON can spell and a model
    can say."""
    copied = Place(tmp_path_factory.mktemp("answered") / "outer")
    shutil.copytree(place.outer, copied.outer)
    run = copied.run
    before = list(run.responses())
    first = next(r for r in before if r.task == "benign")
    told = [_answer(first, number, text) for number, text in enumerate(CORPUS)]
    run.responses_file.unlink()
    with Appender(run.responses_file) as file:
        for response in (*told, *(r for r in before if r.task != "benign")):
            file.append(response.dump())
    shutil.rmtree(run.path / "verdicts")
    clean(copied.give("judge", str(run.path), "--suite", "suite.yaml", "--judge", "refusal"))
    return copied


def _answer(like: Response, number: int, text: str) -> Response:
    message = {"role": "user", "content": f"{number}. {text}"}
    return replace(
        like, doc_id=number, response=text, messages=[message], document={"prompt": text}
    )


class TestAnswers:
    def test_come_back_as_they_were_said(self, answered: Place) -> None:
        told = [r.response for r in answered.run.responses() if r.task == "benign"]
        assert told == list(CORPUS)

    def test_each_has_its_own_verdict(self, answered: Place) -> None:
        find = load_judge("refusal").finder()
        stored = {v.key: v.label for v in answered.run.verdicts("refusal")}
        alone = {}
        for response in answered.run.responses():
            prompt = response.messages[-1]["content"]
            item = item_of(prompt, response.response, document=response.document)
            found = item if isinstance(item, Finding) else find(item)
            alone[response.key] = found.label
        assert stored == alone
