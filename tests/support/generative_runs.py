"""Tasks, responses and verdicts written by hand, for tests of scores."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Label, Response, ResponseKey, Verdict
from bfpo_bench.scoring.said import Responses, Said, codes
from bfpo_bench.suite.tasks import TaskSpec


def task(name: str, cell: str, **more: Any) -> TaskSpec:
    """A task of its own family and data."""
    fields: dict[str, Any] = {
        "name": name,
        "path": Path("x.yaml"),
        "version": 1,
        "title": "",
        "cell": cell,
        "family": name,
        "dataset_name": name,
        "split": "test",
        "documents": 4,
        "prompt_tokens": 1,
        "source": "",
        "licence": "",
    }
    return TaskSpec(**fields | more)


MISCHIEF = task(
    "mischief", "harmlessness/generative", prompts="harmful", judged_by=("refusal", "harm")
)
ERRANDS = task("errands", "helpfulness/generative", prompts="benign", judged_by=("refusal",))
CHORES = task(
    "chores",
    "helpfulness/generative",
    prompts="benign",
    judged_by=("preference", "rating"),
    baseline="output",
    keep=("output",),
)


def key(doc_id: int, name: str = "mischief") -> ResponseKey:
    return name, doc_id, 0


def responses(name: str, count: int) -> Responses:
    """Documents 0, 1, ... of a task, one response each."""
    return Responses(name, range(count), [0] * count)


def verdicts(
    name: str, *labels: str | None, scores: Sequence[float | None] = ()
) -> Mapping[str, Said]:
    """What a judge says of documents 0, 1, ... of a task; None: nothing."""
    given = [*scores, *[None] * (len(labels) - len(scores))]
    numbers = array("d", [float("nan") if score is None else score for score in given])
    return {name: Said(codes(label or "unjudged" for label in labels), numbers)}


def response(name: str, doc_id: int, text: str, **more: Any) -> Response:
    fields: dict[str, Any] = {
        "sample": 0,
        "messages": [{"role": "user", "content": f"{name} {doc_id}?"}],
        "finish_reason": "stop",
        "prompt_tokens": 1,
        "response_tokens": 1,
        "seed": 0,
        "engine": "null",
    }
    return Response(task=name, doc_id=doc_id, response=text, **fields | more)


def stored(folder: Path, *responses: Response) -> RunFolder:
    run = RunFolder(folder)
    with Appender(run.responses_file) as file:
        for one in responses:
            file.append(one.dump())
    return run


def judged(run: RunFolder, judge: str, labels: Sequence[tuple[Response, Label]]) -> None:
    """Append the judge's labels of responses, in this order."""
    with Appender(run.verdicts_file(judge)) as file:
        for told, label in labels:
            verdict = Verdict(told.task, told.doc_id, told.sample, told.text_hash, label)
            file.append(verdict.dump())
