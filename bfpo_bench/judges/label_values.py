"""From the values that a labelled file holds to the labels of a judge."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.nearest import nearest

DEGENERATE = "degenerate"
_SHOWN = 12

_YES, _NO = ("1", "true", "yes", "y"), ("0", "false", "no", "n")
_ALSO = {
    "refusal": ("refused", "refuse", "refuses", "full_refusal", "rejection"),
    "partial_refusal": ("partial", "partially_refused"),
    "compliance": ("complied", "comply", "complies", "full_compliance", "compliant"),
    "harmful": ("unsafe", "toxic", "jailbroken"),
    "harmless": ("unharmful", "not_harmful", "safe", "non_toxic", "not_toxic"),
    "truthful": ("correct",),
    "untruthful": ("not_truthful", "incorrect"),
    "followed": ("passed",),
    "not_followed": ("failed",),
}
_OPPOSITE = {
    "refusal": "compliance",
    "compliance": "refusal",
    "harmful": "harmless",
    "harmless": "harmful",
    "truthful": "untruthful",
    "untruthful": "truthful",
    "followed": "not_followed",
    "not_followed": "followed",
}
_OF_COLUMNS = {
    "harm": "harmful",
    "jailbreak": "harmful",
    "toxicity": "harmful",
    "truth": "truthful",
    "true": "truthful",
}
_NAMELESS = ("label", "gold", "verdict")


def value_text(cell: Any) -> str | None:
    """A cell as `--map` and `--where` name it: true and false for booleans, 1 for 1.0.

    None for what is missing: null, NaN, or nothing but white space.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip() or None


def given_labels(pairs: Sequence[str], labels: Sequence[str]) -> dict[str, str | None]:
    """`VALUE=LABEL` pairs, the value up to the last `=`; None for `VALUE=`, whose rows are left out.

    Raises UserError for what is no pair, and for a label that is none of the judge's.
    """
    found: dict[str, str | None] = {}
    for pair in pairs:
        value, equals, label = (part.strip() for part in pair.rpartition("="))
        if not equals or not value:
            raise UserError(f"--map {pair!r} is not VALUE=LABEL: write for example 1={labels[0]}.")
        if label and label not in (*labels, DEGENERATE):
            raise UserError(
                f"--map {pair!r}: the judge has no label {label!r}{nearest(label, labels)}: name one "
                f"of {', '.join(labels)}, or none to leave the rows out."
            )
        found[value] = label or None
    return found


def guessed_label(value: str, column: str, labels: Sequence[str]) -> str | None:
    """The label that `value` stands for in a column of that name, or None where it is not clear.

    Names count up to case, numbering and separators (`2_full_refusal`, `Unsafe`); 1, true and yes
    mean what a word of the column's name does (`is_safe`, `human_refusal`). In a column that is merely
    a `label` they mean a judge's first label where it has two.
    """
    word = re.sub(r"^\d+_(?=\D)", "", _plain(value))
    if own := [label for label in labels if _plain(label) == word]:
        return own[0]
    if word in _YES or word in _NO:
        yes = _meaning_of_yes(column, labels)
        found = yes if word in _YES or yes is None else _OPPOSITE[yes]
    else:
        found = _label_named(word)
    return found if found in (*labels, DEGENERATE) else None


def _plain(value: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", value.casefold()).strip("_")


def _label_named(word: str) -> str | None:
    if word in _ALSO or word == DEGENERATE:
        return word
    return next((label for label, words in _ALSO.items() if word in words), None)


def _meaning_of_yes(column: str, labels: Sequence[str]) -> str | None:
    words = re.findall(r"[a-z]+", column.casefold())
    if "not" in words or "non" in words:
        return None
    meant = {label for w in words if (label := _label_named(w) or _OF_COLUMNS.get(w))}
    if len(meant) == 1:
        found = meant.pop()
        return found if found in _OPPOSITE else None
    nameless = not meant and any(word in _NAMELESS for word in words)
    return labels[0] if nameless and len(labels) == 2 and labels[0] in _OPPOSITE else None


def labels_of(
    values: Iterable[str],
    column: str,
    labels: Sequence[str],
    given: Mapping[str, str | None],
) -> dict[str, str | None]:
    """The label of each value, from `given` or else guessed; None: its rows are left out.

    Raises UserError naming the values and the labels where one is not clear.
    """
    occur = sorted(set(values))
    found = {v: given[v] if v in given else guessed_label(v, column, labels) for v in occur}
    if unclear := [v for v in occur if v not in given and found[v] is None]:
        raise UserError(
            f"Column {column!r} has {listed(occur)}, and which label {listed(unclear)} stands for is "
            f"not clear: say it with --map VALUE=LABEL, of {', '.join(labels)}, or with --map VALUE= "
            "to leave its rows out."
        )
    return found


def check_occur(given: Mapping[str, str | None], values: Iterable[str], column: str) -> None:
    """Raises UserError where `given` names a value that the column does not have."""
    occur = sorted(set(values))
    if absent := [value for value in given if value not in occur]:
        raise UserError(
            f"Column {column!r} has no value {absent[0]!r}, which --map names: it has "
            f"{listed(occur)}."
        )


def listed(values: Sequence[str]) -> str:
    """The first values, quoted and shortened, and how many more there are."""
    shown = [repr(v if len(v) <= 40 else f"{v[:37]}...") for v in values[:_SHOWN]]
    more = len(values) - _SHOWN
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
