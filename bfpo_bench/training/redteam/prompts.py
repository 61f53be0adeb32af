"""The prompts that pairs are made for: a user's JSON lines, checked row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bfpo_bench.errors import UserError, key_path
from bfpo_bench.training.data.jsonl import records


def _whole(text: str) -> str:
    """JSON may spell half a character, which can be neither encoded nor stored."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("Text has half a character (a lone surrogate)") from error
    return text


def _told(text: str) -> str:
    if not text.strip():
        raise ValueError("Text is empty")
    return text


Text = Annotated[str, AfterValidator(_whole)]


class PromptRow(BaseModel):
    """A prompt, and whether an answer that complies with it would be harmful. Other keys are ignored."""

    model_config = ConfigDict(frozen=True, strict=True)

    prompt: Annotated[Text, AfterValidator(_told)]
    harmful: bool


class AnsweredRow(PromptRow):
    """A prompt with two responses that exist already."""

    responses: Annotated[list[Text], Field(min_length=2, max_length=2)]


Row = TypeVar("Row", bound=PromptRow)

_SHAPES: dict[type[PromptRow], str] = {
    PromptRow: '{"prompt": "...", "harmful": true or false}',
    AnsweredRow: '{"prompt": "...", "harmful": true or false, "responses": ["...", "..."]}',
}


def read_rows(path: Path, row: type[Row]) -> dict[int, Row]:
    """Line number (from 1) -> row. Blank lines are passed over.

    Raises UserError for a file that cannot be read or holds no rows, for the first line that is not
    of the row's shape, and for a prompt that is harmful on one line and benign on another.
    """
    rows: dict[int, Row] = {}
    first: dict[str, int] = {}
    for place, record in records(path):
        one = _row(f"{path}, {place}", record, row)
        number = int(place.removeprefix("line "))
        before = first.setdefault(one.prompt, number)
        rows[number] = one
        if rows[before].harmful != one.harmful:
            raise UserError(
                f"{path}, {place}: harmful is another than on line {before}, which has the same "
                "prompt: decide for one of them."
            )
    if not rows:
        raise UserError(f"{path} is empty: write {_SHAPES[row]} for each prompt, a line each.")
    return rows


def told(rows: Mapping[int, PromptRow]) -> list[dict[str, Any]]:
    """The rows as plain values, each with its line."""
    return [{"line": line, **row.model_dump()} for line, row in rows.items()]


def _row(place: str, record: dict[str, Any], row: type[Row]) -> Row:
    try:
        return row.model_validate(record)
    except ValidationError as error:
        fault = error.errors()[0]
        where = key_path(fault["loc"])
        what = fault["msg"].removeprefix("Value error, ")
        raise UserError(
            f"{place} is not of the form {_SHAPES[row]} (key {where}: {what}): mend it."
        ) from error
