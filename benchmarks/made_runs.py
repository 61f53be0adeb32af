"""Finished runs of given answers and verdicts, scored by the score stage's own functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bfpo_bench.judges.load import load_judge
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import ModelIdentity, Settings, run_id
from bfpo_bench.runs.jsonl import Appender, write_atomically
from bfpo_bench.runs.manifest import FORMAT, Manifest
from bfpo_bench.runs.records import Response, Verdict
from bfpo_bench.scoring.collect import score_run
from bfpo_bench.scoring.documents import document_table, write_documents
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.scoring.stored import read_stored
from bfpo_bench.suite.suites import load_suite
from bfpo_bench.suite.tasks import TaskSpec, load_tasks, tasks_dir

JUDGES = ("harm", "refusal")


def answer(task: str, doc_id: int, prompt: str, text: str, **more: Any) -> Response:
    """A response as an engine would have stored it."""
    fields: dict[str, Any] = {
        "sample": 0,
        "messages": [{"role": "user", "content": prompt}],
        "finish_reason": "stop",
        "prompt_tokens": len(prompt.split()),
        "response_tokens": len(text.split()),
        "seed": 0,
        "engine": "made",
    }
    return Response(task=task, doc_id=doc_id, response=text, **fields | more)


def write_run(
    folder: Path,
    model: str,
    tasks: Sequence[str],
    answers: Iterable[tuple[Response, Mapping[str, Mapping[str, Any]]]],
) -> FinishedRun:
    """The run of `tasks` at `folder`. With each response what judges say of it: judge -> a verdict's
    fields besides those of its response; where a judge has none it says nothing."""
    run, suite = RunFolder(folder), load_suite("bfpo")
    known = load_tasks(tasks_dir())
    specs = [known[name] for name in tasks]
    with ExitStack() as stack:
        responses = stack.enter_context(Appender(run.responses_file))
        files = {j: stack.enter_context(Appender(run.verdicts_file(j))) for j in JUDGES}
        for told, said in answers:
            responses.append(told.dump())
            for judge, fields in said.items():
                verdict = Verdict(*told.key, text_hash=told.text_hash, **fields)
                files[judge].append(verdict.dump())
    write_atomically(run.results_file, '{"results": {}}\n')
    manifest = _manifest(model, specs)
    run.write_manifest(manifest)
    judges = [load_judge(name) for name in JUDGES]
    stored = read_stored(run, specs, judges, None)
    scores = score_run(run, stored, manifest, suite, specs, judges, {}, {})
    write_atomically(run.scores_file, scores.model_dump_json() + "\n")
    write_documents(run, document_table(run, stored, specs, judges, {}, {}))
    return read_finished(folder)


def _manifest(model: str, specs: Sequence[TaskSpec]) -> Manifest:
    identity = ModelIdentity(
        name=model, weights=model, adapter=None, tokenizer="t", chat_template=None
    )
    settings = Settings(
        suite="bfpo",
        suite_version=2,
        tasks={spec.name: spec.identity for spec in specs},
        limit=None,
        seed=0,
        temperature=0.0,
        top_p=1.0,
        max_new_tokens=512,
        context=8192,
        chat_template=False,
        few_shot={},
        system_prompt=None,
        samples={},
    )
    return Manifest(
        format=FORMAT,
        run_id=run_id(identity, settings),
        model=identity,
        model_source={},
        settings=settings,
        partial=False,
        suite_title="Made for a measurement",
        judges={name: {"kind": name, "version": 1} for name in JUDGES},
        comparability={"settings": settings.model_dump(), "data": {}, "judges": {}},
        comparability_key="0123456789ab",
    )
