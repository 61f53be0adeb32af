"""One file of responses in, one with levels out, and the cuts beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.judging import PlannedJudge
from bfpo_bench.levels import Levels
from bfpo_bench.progress import Ui
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.training.control.judged import (
    check_apart,
    complete,
    levelled,
    read_rows,
    scored,
)
from bfpo_bench.training.control.sidecar import (
    AXES,
    DEFAULT,
    Axis,
    StoredCuts,
    make_cuts,
    read_cuts,
    sidecar,
    write_cuts,
)
from bfpo_bench.training.kinds import check_kinds


@dataclass(frozen=True)
class Levelling:
    """`cells` counts the responses of each pair of levels, `left_out` the others by reason. `cuts` is
    None where nothing was written, for which `faults` has the sentences."""

    cells: Counter[Levels]
    left_out: Counter[str]
    cuts: StoredCuts | None
    faults: list[str]


def level_file(
    responses: Path,
    out: Path,
    judges: Mapping[Axis, PlannedJudge],
    count: int | None,
    given_cuts: Path | None,
    ui: Ui,
    arguments: Mapping[str, Any],
) -> Levelling:
    """Write `out` and its sidecar.

    Raises UserError for one judge of both axes, for input that is none, for cuts that do not fit, and where no response is left
    though no judge broke.
    """
    check_apart(judges)
    given = None if given_cuts is None else read_cuts(given_cuts, judges, count)
    rows, left_out = read_rows(responses)
    for axis in AXES:
        check_kinds(responses, rows, judges[axis].judge.spec)
    said = {axis: scored(rows, axis, judges[axis], ui, arguments) for axis in AXES}
    faults = [one.fault for one in said.values() if one.fault is not None]
    kept, more = complete(said)
    left_out += more
    if not kept:
        if faults:
            return Levelling(Counter(), left_out, None, faults)
        reasons = ", ".join(f"{n} {reason}" for reason, n in left_out.items())
        raise UserError(
            f"{responses}: no response is left ({reasons or 'it has none'}): give other responses."
        )
    cuts = given or make_cuts([scores for _, scores in kept], judges, count or DEFAULT)
    found = list(levelled(rows, kept, cuts))
    # First the cuts: a file with levels is never without them
    write_cuts(sidecar(out), cuts)
    write_atomically(out, (json.dumps(r, ensure_ascii=False) + "\n" for r, _ in found))
    return Levelling(Counter(levels for _, levels in found), left_out, cuts, faults)
