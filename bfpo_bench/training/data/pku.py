"""PKU-SafeRLHF (arXiv 2406.15513): two responses, a label each, and two orders.

The columns are those of revision ff7ba91063016c78a225b0f74e1c0860bb18230f, which later revisions
still have beside harm categories and severities.
"""

from __future__ import annotations

from bfpo_bench.levels import Levels
from bfpo_bench.training.data.messages import assistant, user
from bfpo_bench.training.data.rows import Drop, Fault, Row, label, shown, text
from bfpo_bench.training.pairs import Levelled, Pair

COLUMNS = (
    "prompt",
    "response_0",
    "response_1",
    "is_response_0_safe",
    "is_response_1_safe",
    "better_response_id",
    "safer_response_id",
)
LEVELS = 2
"""Of helpfulness and of safety, as the labels make them."""


def pair(row: Row) -> Pair:
    """Chosen is `better_response_id`, the more helpful one; `safer` is `safer_response_id`.

    An id of null or -1 is no order. Raises Drop where there is none by helpfulness.
    """
    better, safer = _id(row, "better_response_id"), _id(row, "safer_response_id")
    if better is None:
        raise Drop("no better response")
    worse = 1 - better
    return Pair(
        prompt=(user(text(row, "prompt")),),
        chosen=text(row, f"response_{better}"),
        rejected=text(row, f"response_{worse}"),
        chosen_safe=label(row, f"is_response_{better}_safe"),
        rejected_safe=label(row, f"is_response_{worse}_safe"),
        safer=None if safer is None else "chosen" if safer == better else "rejected",
    )


def levelled(row: Row, count: int) -> list[Levelled]:
    """Both responses: helpful 1 for the more helpful one and 0 for the other, safe 1 or 0 as labelled.
    `count` is LEVELS: there are no more labels."""
    found = pair(row)
    told = ((found.chosen, 1, found.chosen_safe), (found.rejected, 0, found.rejected_safe))
    both = []
    for response, helpful, safe in told:
        if safe is None:
            raise Fault(
                "the pair lacks a safety label, which levels are made of: leave the row out"
            )
        levels = Levels(helpful, int(safe))
        both.append(Levelled((*found.prompt, assistant(response)), levels))
    return both


def _id(row: Row, key: str) -> int | None:
    value = row[key]
    if value is None or value == -1:
        return None
    if value in (0, 1):
        return int(value)
    raise Fault(f"{key} is {shown(value)}, and it is 0 or 1: load another revision")
