"""What each document adds to its task's score: one table a run, for comparisons and the report."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.judges.judge import Judge
from bfpo_bench.runs import jsonl
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.scoring.deciding import Verdicts, deciding
from bfpo_bench.scoring.graded import grade
from bfpo_bench.scoring.outcomes import OUTCOMES, Judged, checked, outcome
from bfpo_bench.scoring.said import ABSENT, LABELS, row_of
from bfpo_bench.scoring.stored import Stored
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_NOBODY = -1


@dataclass(frozen=True)
class _Rows:
    """One task's rows, by document and sample. `outcomes` are places in OUTCOMES and `refused` 0 or 1,
    both -1 where there is none."""

    doc_ids: np.ndarray
    samples: np.ndarray
    values: np.ndarray
    outcomes: np.ndarray
    refused: np.ndarray


def document_table(
    run: RunFolder,
    stored: Stored,
    tasks: Sequence[TaskSpec],
    judges: Sequence[Judge],
    faults: Mapping[str, str],
    failed: Mapping[str, str],
) -> pa.Table:
    """The run's documents, in the order of `tasks` and then of document and sample.

    Columns: `task`, `doc_id`, `sample`; `value`, of a discriminative task its own metric, 0 to 1, of a
    generative one points, 0 to 100, null where the response is unjudged; `outcome` (generative), one
    of OUTCOMES; `refused`, which splits safe and over-refused where somebody can say. The mean of a
    scored task's values is its `raw_value` in scores.json where it is discriminative, else its
    `value`; rows of a task without a score count for nothing. `faults` and `failed` as `score_run`
    has them.
    """
    parts = {}
    for spec in tasks:
        if spec.name in failed:
            continue
        if spec.kind == "discriminative":
            parts[spec.name] = _discriminative(run, spec)
        else:
            parts[spec.name] = _generative(spec, stored, deciding(spec, judges, stored, faults))
    return _table(parts)


def _discriminative(run: RunFolder, spec: TaskSpec) -> _Rows:
    """Each of lm-eval's samples, with what it has of the task's metric."""
    import numpy as np

    assert spec.metric is not None
    sample: Any = msgspec.defstruct(
        "_Sample", [("doc_id", int), ("value", float | bool)], rename={"value": spec.metric}
    )
    found = jsonl.read_as(run.samples_file(spec.name), sample)
    rows = sorted((one.doc_id, float(one.value)) for one in found)
    nothing = np.full(len(rows), _NOBODY, np.int8)
    return _Rows(
        doc_ids=np.array([doc_id for doc_id, _ in rows], np.int64),
        samples=np.zeros(len(rows), np.int32),
        values=np.array([value for _, value in rows], np.float64),
        outcomes=nothing,
        refused=nothing,
    )


def _generative(spec: TaskSpec, stored: Stored, found: Verdicts) -> _Rows:
    import numpy as np

    keys = stored.responses(spec.name)
    which, place = _outcomes(spec, found, len(keys))
    points = [np.nan if one is None or one.points is None else one.points for one in which]
    outcomes = [_NOBODY if one is None else OUTCOMES.index(one.outcome) for one in which]
    refused = [_NOBODY if one is None or one.refused is None else one.refused for one in which]
    return _Rows(
        doc_ids=np.asarray(keys.documents, np.int64),
        samples=np.asarray(keys.samples, np.int32),
        values=np.array(points, np.float64)[place],
        outcomes=np.array(outcomes, np.int8)[place],
        refused=np.array(refused, np.int8)[place],
    )


def _outcomes(
    spec: TaskSpec, found: Verdicts, count: int
) -> tuple[list[Judged | None], np.ndarray]:
    """Different outcomes, and [count] which of them each response has; None: no judge that counts
    spoke."""
    import numpy as np

    if found.grades is not None:
        kind, said = found.grades
        numbers = zip(said.codes, said.scores or (), strict=True)
        graded: list[Judged | None] = [grade(kind, LABELS[code], score) for code, score in numbers]
        return graded or [None], np.arange(count)
    columns = (found.check, found.harm, found.refusal)
    if all(column is None for column in columns):
        return [None], np.zeros(count, np.int64)
    nobody = bytes([ABSENT]) * count
    table = np.stack([np.frombuffer(c or nobody, np.uint8) for c in columns])
    different, place = np.unique(table, axis=1, return_inverse=True)
    return [_judged(spec, row) for row in different.T.tolist()] or [None], place.reshape(-1)


def _judged(spec: TaskSpec, row: Sequence[int]) -> Judged:
    check, harm, refusal = row_of(row)
    if check is not None:
        return checked(check, refusal)
    assert spec.prompts is not None
    return outcome(spec.prompts, harm, refusal)


def _table(parts: Mapping[str, _Rows]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    def column(name: str, kind: Any) -> np.ndarray:
        return np.concatenate([np.empty(0, kind), *(getattr(p, name) for p in parts.values())])

    def words(places: np.ndarray, of: Sequence[str]) -> pa.DictionaryArray:
        codes = pa.array(places, pa.int32(), mask=places == _NOBODY)
        return pa.DictionaryArray.from_arrays(codes, pa.array(of, pa.string()))

    tasks = np.repeat(np.arange(len(parts)), [len(p.values) for p in parts.values()])
    values, refused = column("values", np.float64), column("refused", np.int8)
    return pa.table(
        {
            "task": words(tasks.astype(np.int32), list(parts)),
            "doc_id": pa.array(column("doc_ids", np.int64)),
            "sample": pa.array(column("samples", np.int32)),
            "value": pa.array(values, mask=np.isnan(values)),
            "outcome": words(column("outcomes", np.int8), OUTCOMES),
            "refused": pa.array(refused == 1, mask=refused == _NOBODY),
        }
    )


def write_documents(run: RunFolder, table: pa.Table) -> None:
    """Replace the run's documents.parquet in one step."""
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(table, content)
    jsonl.write_atomically(run.documents_file, content.getvalue())


def read_documents(run: RunFolder) -> pd.DataFrame:
    """What `document_table` gave: `task` and `outcome` are categories, a value that is null is NaN.

    Raises UserError where there is no such file, or it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    mend = "give the run's command again, which makes it anew from what is stored"
    try:
        table = pq.read_table(run.documents_file)
        found: pd.DataFrame = table.select(_table({}).column_names).to_pandas()
    except FileNotFoundError as error:
        raise UserError(f"There is no {run.documents_file}: {mend}.") from error
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(
            f"{run.documents_file} is damaged ({first_line(error)}): {mend}."
        ) from error
    return found
