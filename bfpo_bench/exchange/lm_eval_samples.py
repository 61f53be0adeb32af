"""A run's samples in the form of lm-eval's samples_<task>_<time>.jsonl, beside the results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bfpo_bench.exchange.answers import Answer, Answers
from bfpo_bench.exchange.lm_eval_about import decoding, file_part, model_folder, moment
from bfpo_bench.exchange.lm_eval_results import dumped, finite, lm_eval_results, slug
from bfpo_bench.exchange.private import without_places
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.identity import digest
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    pass


def export_lm_eval(run: FinishedRun, specs: Mapping[str, TaskSpec], out: Path) -> list[Path]:
    """Write results and samples into `out/<model>/`, as lm-eval's `--output_path --log_samples` does.

    The names bear the time at which the run began: exported again, it replaces its own files.
    """
    folder = out / model_folder(run.scores.model)
    results = folder / f"results_{moment(run)}.json"
    write_atomically(results, dumped(lm_eval_results(run, specs)))
    written, stored = [results], Answers(run)
    for task, score in run.scores.tasks.items():
        if score.n:
            path = folder / f"samples_{file_part(task)}_{moment(run)}.jsonl"
            lines = (_line(sample) for sample in _samples(stored, task))
            write_atomically(path, lines)
            written.append(path)
    return written


def _samples(stored: Answers, task: str) -> Iterator[dict[str, Any]]:
    run = stored.run
    if run.scores.tasks[task].cell.endswith("discriminative"):
        yield from map(_sanitised, jsonl.read(run.folder.samples_file(task)))
        return
    for answer in stored.of(task):
        yield _generated(run, answer)


def _generated(run: FinishedRun, answer: Answer) -> dict[str, Any]:
    """One answer. The prompt stands as the JSON of its messages: which of a model's templates made a
    text of them is the manifest's to say."""
    told = answer.response
    score = run.scores.tasks[told.task]
    metric = slug(score.metric)
    prompt = json.dumps(told.conversation, ensure_ascii=False)
    asked = decoding(run.manifest.settings, told.task)
    return {
        "doc_id": told.doc_id,
        "doc": told.document or {"messages": told.messages},
        "target": "",
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": asked}},
        "resps": [[told.response]],
        "filtered_resps": [told.response],
        "filter": "none",
        "metrics": [] if score.value is None else [metric],
        "doc_hash": digest(told.document or told.messages),
        "prompt_hash": digest(told.conversation),
        "target_hash": digest(""),
        **({} if score.value is None else {metric: _share(answer.points)}),
        "outcome": answer.outcome,
        "verdicts": {without_places(j): verdict.label for j, verdict in answer.verdicts.items()},
    }


def _share(points: float | None) -> float | None:
    return None if points is None else points / 100


def _sanitised(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample of lm-eval's `evaluate`, with the changes that its EvaluationTracker makes on writing."""
    arguments = {
        f"gen_args_{i}": {f"arg_{j}": value for j, value in enumerate(pair)}
        for i, pair in enumerate(sample["arguments"])
    }
    return sample | {
        "arguments": arguments,
        "resps": _texts(sample["resps"]),
        "filtered_resps": _texts(sample["filtered_resps"]),
        "target": str(sample["target"]),
    }


def _texts(value: Any) -> Any:
    return [_texts(v) for v in value] if isinstance(value, list | tuple) else str(value)


def _line(sample: dict[str, Any]) -> str:
    return json.dumps(finite(sample), ensure_ascii=False) + "\n"
