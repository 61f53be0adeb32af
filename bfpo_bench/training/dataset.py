"""From a data set of pairs to the token ids that a trainer takes, main data and buffer in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset, Features, List, Value, concatenate_datasets

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.rows import COLUMNS, Masks
from bfpo_bench.training.encode import (
    LABELS,
    Encoded,
    Lengths,
    changes,
    check_template,
    encode_row,
    margin_label,
    safety_label,
)

Progress = Callable[[str, int, int], None]
"""Called with a phase, what of it is done, and how much there is."""
TEXTS = ("prompt", "chosen", "rejected")
SAME = "left out, responses the same within max_length"
_PART = 1000
"""Rows that are held as Python objects at a time."""


def encode_dataset(
    dataset: Dataset,
    name: str,
    tokenizer: Any,
    lengths: Lengths,
    margin: bool,
    progress: Progress = lambda phase, done, total: None,
    masks: Masks | None = None,
) -> tuple[Dataset, Counter[str]]:
    """Columns prompt_ids, chosen_ids, rejected_ids, chosen_safe, rejected_safe (1.0 or 0.0), row,
    margin where it is asked for, and chosen_kept and rejected_kept (1 or 0 a token) where rows are
    masked; and how many rows were changed or left out. `name` is for errors and progress.

    Raises UserError for columns that are missing and rows that cannot be trained on.
    """
    wanted = [*TEXTS, *LABELS, *(["margin"] if margin else [])]
    if lacking := [column for column in wanted if column not in dataset.column_names]:
        raise UserError(
            f"The {name} data have no column {lacking[0]}: a pair has {', '.join(wanted)}."
        )
    if not len(dataset):
        raise UserError(f"The {name} data are empty: give at least one pair.")
    if not isinstance(dataset[0]["prompt"], str):
        check_template(tokenizer, tokenizer.name_or_path or "the tokenizer")

    if masks is not None:
        wanted += [column for column in COLUMNS.values() if column in dataset.column_names]
    features = _features(margin, masks is not None)
    parts: list[Dataset] = []
    rows: list[dict[str, Any]] = []
    changed: list[tuple[str, ...]] = []
    for number, row in enumerate(dataset.select_columns(wanted)):
        if number % 100 == 0:
            progress(f"encoding the {name} pairs", number, len(dataset))
        encoded = encode_row(row, number, tokenizer, lengths, masks)
        if encoded.same:
            changed.append((SAME,))
        else:
            changed.append(encoded.changed)
            rows.append(_columns(encoded, row, number, margin))
        # Python's lists of numbers are ten times what Arrow's are
        if len(rows) == _PART:
            parts.append(Dataset.from_list(rows, features=features))
            rows = []
    if rows:
        parts.append(Dataset.from_list(rows, features=features))
    if not parts:
        raise UserError(
            f"The {name} data have no pair whose responses differ within max_length "
            f"{lengths.max_length}: raise it, or give other data."
        )
    return concatenate_datasets(parts), changes(changed)


def _columns(encoded: Encoded, row: dict[str, Any], number: int, margin: bool) -> dict[str, Any]:
    return {
        "prompt_ids": encoded.prompt_ids,
        "chosen_ids": encoded.chosen_ids,
        "rejected_ids": encoded.rejected_ids,
        "row": number,
        **{label: safety_label(row[label], label, number) for label in LABELS},
        **({"margin": margin_label(row["margin"], number)} if margin else {}),
        **{f"{side}_kept": mask for side, mask in (encoded.kept or {}).items()},
    }


def _features(margin: bool, masked: bool) -> Features:
    numbers = [*LABELS, *(["margin"] if margin else [])]
    return Features(
        {f"{text}_ids": List(Value("int32")) for text in TEXTS}
        | {"row": Value("int64")}
        | {name: Value("float32") for name in numbers}
        | {f"{side}_kept": List(Value("int8")) for side in COLUMNS if masked}
    )


def with_buffer(main: Dataset, buffer: Dataset | None) -> Dataset:
    """Both in one, the buffer's rows last; the column buffered is 1 for those."""
    marked = [main.add_column("buffered", [0.0] * len(main))]
    if buffer is not None:
        marked.append(buffer.add_column("buffered", [1.0] * len(buffer)))
    return concatenate_datasets(marked)


def describe_pairs(
    encoded: Dataset, wanted: Sequence[tuple[int, int]], tokenizer: Any
) -> list[dict[str, Any]]:
    """The pairs (buffered, row) in words: which data they are of, their row there, and their text."""
    places = zip(encoded["buffered"], encoded["row"], strict=True)
    found = {(int(buffered), row): index for index, (buffered, row) in enumerate(places)}
    return [
        {
            "data": "buffer" if buffered else "training",
            "row": row,
            **{k: tokenizer.decode(encoded[found[buffered, row]][f"{k}_ids"]) for k in TEXTS},
        }
        for buffered, row in wanted
    ]
