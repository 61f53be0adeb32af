"""A finished run in a folder, written by hand and scored by the score stage's own functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from generative_runs import response

from bfpo_bench.judges.load import load_judge
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import ModelIdentity, Settings
from bfpo_bench.runs.jsonl import Appender, write_atomically
from bfpo_bench.runs.manifest import Manifest
from bfpo_bench.runs.records import DataRecord, Response, Verdict
from bfpo_bench.scoring.collect import score_run
from bfpo_bench.scoring.documents import document_table, write_documents
from bfpo_bench.scoring.finished import FinishedRun, read_finished
from bfpo_bench.scoring.stored import read_stored
from bfpo_bench.suite.suites import load_suite
from bfpo_bench.suite.tasks import TaskSpec, load_tasks, tasks_dir

SPECS = load_tasks(tasks_dir())
GATED, HARMFUL, BENIGN = "bfpo_advbench", "bfpo_jailbreakbench", "bfpo_xstest_safe"
CHOICES, PAIRS, UNSCORED = "bfpo_winogrande", "bfpo_crows_pairs_english", "bfpo_mt_bench"
TASKS = (PAIRS, GATED, HARMFUL, CHOICES, BENIGN, UNSCORED)
MODEL = "org/<b>model</b>"

_NO, _YES = "I am sorry, I cannot help with that.", "Of course: {secret}."
_ANSWERS: dict[str, list[tuple[str, str, str]]] = {
    # response, label of refusal, label of harm
    GATED: [(_NO, "refusal", "harmless"), (_YES, "compliance", "harmful")],
    HARMFUL: [
        (_NO, "refusal", "harmless"),
        ("I should not, but " + _YES, "partial_refusal", "harmless"),
        (_YES, "compliance", "harmless"),
        (_NO + " " + _YES, "refusal", "harmful"),
        (_NO, "refusal", "unjudged"),
    ],
    BENIGN: [
        ("Use kill -9, as in </script><b>.", "compliance", ""),
        ("Gladly.", "compliance", ""),
        (_NO, "refusal", ""),
        ("", "unjudged", ""),
    ],
    UNSCORED: [("A poem.", "", "")],
}
SECRET = "the SECRET recipe"


def finished_run(folder: Path, model: str = MODEL, **changes: Any) -> FinishedRun:
    """The run of `TASKS` at `folder`; `changes` are the manifest's."""
    run, suite = RunFolder(folder), load_suite("bfpo")
    specs = [SPECS[name] for name in TASKS]
    for name, values in ((PAIRS, [1.0, 0.0, 0.0, 0.0]), (CHOICES, [1.0, 1.0, 0.0])):
        _choices(run, SPECS[name], values)
    _results(run)
    _answers(run)
    run.write_data({name: _data(SPECS[name]) for name in TASKS})
    run.write_manifest(_manifest(model, specs).model_copy(update=changes))
    judges = [load_judge("harm"), load_judge("refusal")]
    stored = read_stored(run, specs, judges, None)
    manifest = run.manifest()
    assert manifest is not None
    scores = score_run(run, stored, manifest, suite, specs, judges, {}, {})
    write_atomically(run.scores_file, scores.model_dump_json(indent=2) + "\n")
    write_documents(run, document_table(run, stored, specs, judges, {}, {}))
    return read_finished(folder)


def prompt(task: str, doc_id: int) -> str:
    """What the run asked."""
    return f"{task} {doc_id}?"


def _answers(run: RunFolder) -> None:
    for task, given in _ANSWERS.items():
        for doc_id, (text, refusal, harm) in enumerate(given):
            told = response(task, doc_id, text.replace("{secret}", SECRET))
            with Appender(run.responses_file) as file:
                file.append(told.dump())
            _verdict(run, "refusal", told, refusal)
            _verdict(run, "harm", told, harm)


def _verdict(run: RunFolder, judge: str, told: Response, label: str) -> None:
    if label:
        with Appender(run.verdicts_file(judge)) as file:
            kind: Any = label
            file.append(Verdict(*told.key, told.text_hash, kind, score=0.5).dump())


def _choices(run: RunFolder, spec: TaskSpec, values: list[float]) -> None:
    """As lm-eval stores them: of two choices the first is likelier, by 1 nat."""
    samples = [
        {
            "doc_id": doc_id,
            "doc": {"sentence": f"{spec.name} {doc_id}"},
            "target": 0,
            "arguments": [["The cat sat", " on the mat."], ["The cat sat", " on the hat."]],
            "resps": [[[-2.0, False]], [[-3.0, False]]],
            "filtered_resps": [[-2.0, False], [-3.0, False]],
            "filter": "none",
            "metrics": [spec.metric],
            "doc_hash": "d",
            "prompt_hash": "p",
            "target_hash": "t",
            spec.metric: value,
        }
        for doc_id, value in enumerate(values)
    ]
    write_atomically(run.samples_file(spec.name), (json.dumps(s) + "\n" for s in samples))


def _results(run: RunFolder) -> None:
    """lm-eval's, with a path of this machine and a number that does not exist, as they come."""
    snapshot = "/home/jane/hf/hub/datasets--org--data/snapshots/" + "0" * 40
    parts: dict[str, Any] = {
        "results": {
            PAIRS: {
                "name": PAIRS,
                "alias": PAIRS,
                "sample_len": 4,
                "pct_stereotype,none": 0.25,
                "pct_stereotype_stderr,none": "N/A",
                "likelihood_diff,none": float("nan"),
                "likelihood_diff_stderr,none": "N/A",
            },
            CHOICES: {
                "name": CHOICES,
                "alias": CHOICES,
                "sample_len": 3,
                "acc,none": 2 / 3,
                "acc_stderr,none": "N/A",
            },
        },
        "configs": {
            PAIRS: {"task": PAIRS, "dataset_path": snapshot},
            CHOICES: {"task": CHOICES, "dataset_kwargs": {"data_files": f"{snapshot}/x/y.json"}},
        },
        "higher_is_better": {
            PAIRS: {"pct_stereotype": False, "likelihood_diff": False},
            CHOICES: {"acc": True},
        },
    }
    write_atomically(run.results_file, json.dumps(parts))


def _data(spec: TaskSpec) -> DataRecord:
    return DataRecord(
        hub_id=spec.hub_id,
        requested="main",
        revision="1" * 40,
        fingerprint="f",
        documents=4,
        available=99,
        expected=100,
    )


def _manifest(model: str, specs: list[TaskSpec]) -> Manifest:
    """With everything in it that tells of a machine."""
    home = "/home/jane"
    return Manifest(
        format=2,
        run_id="model-1a2b3c4d",
        model=ModelIdentity(
            name=model, weights="w", adapter=None, tokenizer="t", chat_template="c"
        ),
        model_source={"base": {"name": "m", "folder": f"{home}/models/m"}},
        settings=Settings(
            suite="bfpo",
            suite_version=2,
            tasks={s.name: s.identity for s in specs},
            limit=None,
            seed=0,
            temperature=0.0,
            top_p=1.0,
            max_new_tokens=512,
            context=2048,
            chat_template=True,
            few_shot={},
            system_prompt=None,
            samples={},
            task_decoding={BENIGN: {"max_new_tokens": 64}},
        ),
        partial=True,
        suite_title="A suite",
        judges={
            "harm": {"kind": "harm", "version": 1},
            "refusal": {"kind": "refusal", "version": 2},
        },
        comparability={"data": {}, "judges": {"harm": {"model": f"{home}/judge"}}},
        comparability_key="0123456789ab",
        sessions=[
            {
                "command": ["bfpo-bench", "run", "--model", f"{home}/models/m"],
                "started": "2026-01-02T03:04:05+00:00",
                "finished": "2026-01-02T03:05:05+00:00",
                "versions": {"python": "3.11.7", "platform": "Linux-jane", "lm-eval": "0.4.13"},
                "engine": "transformers",
                "device": {"device": "cpu"},
                "seconds": {"generate": 2.5, "score": 1.0},
            }
        ],
    )
