"""What a run has stored of its generative tasks, read once for all scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bfpo_bench.judges.baseline import baseline_answers, baseline_of
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.records import ResponseKey, Verdict
from bfpo_bench.scoring.graded import Lengths
from bfpo_bench.suite.tasks import TaskSpec


@dataclass(frozen=True)
class Stored:
    """`keys`: task -> its responses in order. `verdicts`: judge key -> response -> its verdict, as far
    as it is on the text that is stored now. `lengths`: of tasks whose answers are compared."""

    keys: Mapping[str, Sequence[ResponseKey]]
    verdicts: Mapping[str, Mapping[ResponseKey, Verdict]]
    lengths: Mapping[str, Lengths]

    def lacks(self, judge: str, task: str) -> bool:
        """Whether a fault of the world left responses of the task unjudged by this judge."""
        said = self.verdicts[judge]
        return any(key in said and said[key].fault for key in self.keys[task])


def read_stored(
    run: RunFolder, tasks: Sequence[TaskSpec], judges: Sequence[Judge], baseline: Path | None
) -> Stored:
    """Keys, verdicts and lengths of a run. `baseline`: the run that answers were compared with."""
    compared = (
        {t.name for t in tasks if "preference" in t.judged_by} if _compares(judges) else set()
    )
    references = {t.name: t.baseline for t in tasks if t.baseline is not None}
    answers = baseline_answers(RunFolder(baseline)) if baseline and compared else None
    keys: dict[str, list[ResponseKey]] = defaultdict(list)
    texts: dict[ResponseKey, str] = {}
    lengths: dict[str, Lengths] = defaultdict(lambda: Lengths({}, {}))
    for response in run.responses():
        keys[response.task].append(response.key)
        texts[response.key] = response.text_hash
        if response.task in compared:
            told = strip_reasoning(response.response, opened=response.reasoning_open).text
            lengths[response.task].model[response.key] = len(told)
            other = baseline_of(response, answers, references)
            if isinstance(other, str):
                lengths[response.task].baseline[response.key] = len(other)
    verdicts = {
        j.key: {v.key: v for v in run.verdicts(j.key) if texts.get(v.key) == v.text_hash}
        for j in judges
    }
    return Stored(
        defaultdict(list, {task: sorted(mine) for task, mine in keys.items()}), verdicts, lengths
    )


def _compares(judges: Sequence[Judge]) -> bool:
    return any(j.spec.kind == "preference" for j in judges)
