"""The judge stage: one judge, loaded once, for the stored responses of every run of the command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bfpo_bench.judges.baseline import Reference, baseline_answers, baseline_of
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item, item_of
from bfpo_bench.judges.running.run import findings
from bfpo_bench.judges.running.work import Work
from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response, ResponseKey, Verdict
from bfpo_bench.stages.counted import each_once


@dataclass(frozen=True)
class JudgeJob:
    """`tasks`: names of those this judge scores. `memory` is the hash of all that its findings depend
    on, None for a judge that costs nothing.

    `baseline` is the run that answers are compared with; without one, `references` maps a task to
    the field of its documents that holds the answer to compare with.
    """

    work: Work
    runs: tuple[Path, ...]
    tasks: frozenset[str]
    memory: str | None = None
    baseline: Path | None = None
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JudgeResult:
    """How many verdicts were made now, how many the runs already had, and how many of those made now
    the same command would make again; `unjudged` counts those made now that are none, by reason.
    `engine` describes what served the judge."""

    made: int
    found: int
    again: int = 0
    engine: dict[str, Any] = field(default_factory=dict)
    unjudged: dict[str, int] = field(default_factory=dict)


@dataclass
class _Open:
    """A run's responses that want a verdict, with the verdicts that they have already."""

    file: Appender
    stored: dict[tuple[ResponseKey, str], Verdict]
    lacking: list[Response]

    def put(self, job: JudgeJob, verdict: Verdict) -> bool:
        """Store what is new; whether the same command would ask for it again."""
        if verdict != self.stored.get((verdict.key, verdict.text_hash)):
            self.file.append(verdict.dump())
        return _lacks(job, verdict)


def judge(job: JudgeJob, report: Report) -> JudgeResult:
    """A verdict for every response of the judge's tasks that has none yet, appended as it is made."""
    report(Progress("reading responses"))
    baseline = None if job.baseline is None else baseline_answers(RunFolder(job.baseline))
    reasons: Counter[str] = Counter()
    description: dict[str, Any] = {}
    made = found = again = 0
    with ExitStack() as stack:
        runs = []
        asked: list[tuple[_Open, Response]] = []
        items: list[Item] = []
        for path in job.runs:
            run, had = _open(job, RunFolder(path), stack)
            runs.append(run)
            found += had
            for response in run.lacking:
                made += 1
                item = shown(job, response, baseline)
                if isinstance(item, Finding):
                    reasons.update(_reason(item))
                    again += run.put(job, verdict_of(response, item))
                else:
                    asked.append((run, response))
                    items.append(item)
        found_now = findings(job.work, items, job.memory, description, report)
        for position, finding in each_once(found_now, len(items)):
            run, response = asked[position]
            reasons.update(_reason(finding))
            again += run.put(job, verdict_of(response, finding))
    return JudgeResult(made, found, again, description, dict(reasons))


def _open(job: JudgeJob, folder: RunFolder, stack: ExitStack) -> tuple[_Open, int]:
    """The run with what it lacks, and how many verdicts it has."""
    key = job.work.judge.key
    file = stack.enter_context(Appender(folder.verdicts_file(key)))
    stored = {(v.key, v.text_hash): v for v in folder.verdicts(key)}
    mine = [r for r in folder.responses() if r.task in job.tasks]
    lacking = [r for r in mine if _lacks(job, stored.get((r.key, r.text_hash)))]
    return _Open(file, stored, lacking), len(mine) - len(lacking)


def _lacks(job: JudgeJob, verdict: Verdict | None) -> bool:
    """Whether a response wants a verdict. What the world's fault left unjudged is asked again; so is
    what a judge without a model could not say: what it lacked (NLTK's data, say) may be here now."""
    if verdict is None or verdict.fault:
        return True
    return verdict.label == "unjudged" and job.work.judge.spec.engine == "none"


def shown(
    job: JudgeJob, response: Response, baseline: Mapping[tuple[str, int], Reference] | None
) -> Item | Finding:
    """What the judge is shown of a response; or the finding where it is shown nothing."""
    if response.error is not None:
        reason = f"the engine failed on the prompt: {response.error}"
        return Finding("unjudged", error=reason, fault=response.fault)
    other = None
    if job.work.judge.spec.kind == "preference":
        found = baseline_of(response, baseline, job.references)
        if isinstance(found, Finding):
            return found
        other = found
    return item_of(
        response.messages[-1]["content"],
        response.response,
        reasoning_open=response.reasoning_open,
        document=response.document,
        baseline=other,
    )


def _reason(finding: Finding) -> list[str]:
    return [finding.error or "no reason given"] if finding.label == "unjudged" else []


def verdict_of(response: Response, found: Finding) -> Verdict:
    """A verdict on `response`; a label that is none of the known ones is a bug of the parser."""
    return Verdict(
        task=response.task,
        doc_id=response.doc_id,
        sample=response.sample,
        text_hash=response.text_hash,
        label=found.label,  # type: ignore[arg-type]
        score=found.score,
        raw=found.raw,
        error=found.error,
        answers=dict(found.answers) if found.answers is not None else None,
        fault=found.fault,
    )
