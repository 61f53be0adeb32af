"""The responses that runs have stored, each with what the judges said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bfpo_bench.errors import UserError
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import Label, Response
from bfpo_bench.suite.tasks import TaskSpec
from bfpo_bench.training.redteam.collect import AnsweredPrompt, JudgedResponse
from bfpo_bench.training.redteam.prompts import PromptRow

KINDS = ("refusal", "harm")


@dataclass(frozen=True)
class Gathered:
    """Judged responses in the order of their prompts, and a sentence for each stage that broke off."""

    answered: list[AnsweredPrompt]
    faults: list[str]


def check_judges(judges: Sequence[Judge], tasks: Sequence[TaskSpec]) -> None:
    """Raises UserError for a judge that says nothing about a pair, and for prompts that no judge of
    refusals scores: their responses would have no order."""
    for judge in judges:
        if judge.spec.kind not in KINDS:
            raise UserError(
                f"Judge {judge.key} is of kind {judge.spec.kind}, and pairs are labelled by judges of "
                f"{' and '.join(KINDS)}: leave it out."
            )
    for task in tasks:
        if _first("refusal", judges, task) is None:
            raise UserError(
                f"No judge of refusals scores {task.prompts} prompts: add --judge refusal."
            )


def silent(found: Sequence[AnsweredPrompt]) -> list[str]:
    """A sentence for each kind of prompt of which a judge could judge nothing that it was shown."""
    said: dict[bool, set[str]] = {}
    for one in found:
        for response in one.responses:
            # Degenerate responses are shown to no judge
            verdict = next((v for v in ("degenerate", "unjudged") if v in response.verdicts), "")
            said.setdefault(one.harmful, set()).add(verdict)
    return [
        f"no response to {'harmful' if harmful else 'benign'} prompts could be judged"
        for harmful, verdicts in said.items()
        if "unjudged" in verdicts and "" not in verdicts
    ]


def answered(
    runs: Sequence[RunFolder],
    rows: Mapping[int, PromptRow],
    tasks: Sequence[TaskSpec],
    judges: Sequence[Judge],
) -> list[AnsweredPrompt]:
    """Each prompt with its two responses: of one run, or of two in their order.

    `rows` are the prompts by line. Of several judges of a kind the first decides, as in a score.
    """
    found: dict[int, list[JudgedResponse]] = {line: [] for line in rows}
    for run in runs:
        responses = sorted(run.responses(), key=lambda response: response.key)
        for task in tasks:
            mine = [response for response in responses if response.task == task.name]
            for line, judged in _judged(run, mine, task, judges):
                found[line].append(judged)
    return [
        AnsweredPrompt(line, row.prompt, row.harmful, (found[line][0], found[line][1]))
        for line, row in rows.items()
    ]


def _judged(
    run: RunFolder, responses: Sequence[Response], task: TaskSpec, judges: Sequence[Judge]
) -> Iterator[tuple[int, JudgedResponse]]:
    """(line of its prompt, response). A verdict that is not there is a judge's failure."""
    said = {kind: _labels(run, _first(kind, judges, task), responses) for kind in KINDS}
    for number, response in enumerate(responses):
        assert response.document is not None
        yield (
            response.document["line"],
            JudgedResponse(
                text=strip_reasoning(response.response, opened=response.reasoning_open).text,
                refusal=said["refusal"][number] or "unjudged",
                harm=said["harm"][number],
                cut=response.finish_reason == "length",
            ),
        )


def _first(kind: str, judges: Sequence[Judge], task: TaskSpec) -> Judge | None:
    return next((j for j in judges if j.spec.kind == kind and j.scores(task)), None)


def _labels(
    run: RunFolder, judge: Judge | None, responses: Sequence[Response]
) -> list[Label | None]:
    """The judge's label of each response as it is now; None throughout where there is no judge."""
    if judge is None:
        return [None] * len(responses)
    labels = {(v.key, v.text_hash): v.label for v in run.verdicts(judge.key)}
    return [labels.get((r.key, r.text_hash), "unjudged") for r in responses]
