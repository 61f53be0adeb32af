"""What a leaderboard's columns hold, as a schema that documents and checks them.

`leaderboards/schema.json` is `json_schema()`, for readers who have no Python of ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from bfpo_bench.leaderboard.columns import (
    AGGREGATES,
    IDENTITY,
    INTERVAL,
    LATER,
    LENGTH_CONTROLLED,
    SCORES,
    SPREAD,
    TEXT,
    scored,
)
from bfpo_bench.names import NAME

_PERCENT = {"unit": "percent"}
Percent = Annotated[float | None, Field(ge=0, le=100, json_schema_extra=_PERCENT)]
"""None, an empty cell of the CSV: not scored."""


_DATE = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:.+)?$"


def _time(text: str) -> str:
    if not re.match(_DATE, text):
        raise ValueError("is no date of ISO 8601, such as 2026-01-31")
    datetime.fromisoformat(text)
    return text


_Given = Annotated[str, Field(min_length=1)]

_TEXTS: dict[str, tuple[Any, str]] = {
    "model": (_Given, "The model as it was given to run: a Hugging Face id, or a folder's path."),
    "suite": (
        Annotated[str, Field(pattern=r"^[^@\s]+@[0-9]+$")],
        "The suite's name and version: name@version.",
    ),
    "partial": (
        bool,
        "Whether the row is of a part: of some tasks, of fewer documents, or after a fault.",
    ),
    "comparability_key": (
        _Given,
        "Rows are comparable where it is the same; FILE.keys.json says what it stands for.",
    ),
    "engine": (str, "The engines that answered, parted by spaces."),
    "judges": (str, "The judges that the scores rest on, as name or name@model, parted by spaces."),
    "date": (
        Annotated[str, Field(json_schema_extra={"pattern": _DATE}), AfterValidator(_time)],
        "When the run was scored: ISO 8601, in UTC. Rows of earlier versions have the day alone.",
    ),
    "base": (str, "The model it was trained from, as that one's row names it; else empty."),
    "training": (str, "How it was trained, by its training manifest; else empty."),
    "missing": (str, "Weighted tasks without a score, parted by spaces: the means leave them out."),
}
_SCORED = {
    "helpfulness": "The mean of the two helpfulness cells.",
    "harmlessness": "The mean of the two harmlessness cells.",
    **{
        cell: f"The mean of the families of {cell.replace('_', ', ')} tasks."
        for cell in AGGREGATES
        if cell.endswith(("_discriminative", "_generative"))
    },
    "over_refusal": "Benign prompts that were refused. The one score where lower is better.",
}
_SPREAD = dict(
    zip(
        SPREAD,
        (
            "The least harmlessness by one judge of a panel alone; empty where one judge decided.",
            "The greatest harmlessness by one judge of a panel alone.",
        ),
        strict=True,
    )
)
_ENDINGS = {
    "_ci_low": "The lower end of the 95 % interval of the column it is named after.",
    "_ci_high": "The upper end of the 95 % interval of the column it is named after.",
    LENGTH_CONTROLLED: "A win rate as it would be if both answers were equally long.",
}
_TASK = "A task's score; higher is better."


class _Open(BaseModel):
    # A suite of one's own has tasks of its own
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Percent]


def _row_model() -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (kind, Field(default="" if name in LATER else ..., description=told))
        for name, (kind, told) in _TEXTS.items()
    }
    for name, told in _SCORED.items():
        fields[name] = (Percent, Field(description=told))
        for end in INTERVAL:
            fields[f"{name}{end}"] = (Percent, Field(description=_ENDINGS[end]))
    fields |= {n: (Percent, Field(default=None, description=told)) for n, told in _SPREAD.items()}
    return create_model("Row", __base__=_Open, **fields)


Row = _row_model()
"""A row with typed cells; tasks' columns are its extra fields."""
KNOWN = (*TEXT, *SCORES, *SPREAD)


def json_schema() -> dict[str, Any]:
    """The same as a JSON Schema (2020-12) of a row, as `leaderboard export --format json` prints it.

    In the CSV an empty cell is null, and `partial` reads True or False.
    """
    told = Row.model_json_schema()
    percent = {"type": ["number", "null"], "minimum": 0, "maximum": 100, **_PERCENT}
    own = {
        name: {"description": field["description"], **percent}
        if name not in TEXT
        else {key: value for key, value in field.items() if key != "title"}
        for name, field in told["properties"].items()
    }
    own["rank"] = {
        "description": "In exports alone: the row's place in its block.",
        "type": ["integer", "null"],
        "minimum": 1,
    }
    endings = " ".join(f"With {end}: {text}" for end, text in _ENDINGS.items())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A row of a leaderboard of bfpo-bench",
        "type": "object",
        "properties": own,
        "patternProperties": {
            f"^(?!({'|'.join(own)})$){NAME.pattern}$": {
                "description": f"{_TASK} {endings}",
                **percent,
            }
        },
        "additionalProperties": False,
        "required": told["required"],
    }


def described(column: str) -> dict[str, str]:
    """A column's description, and its unit where it has one."""
    if column in TEXT:
        return {"description": _TEXTS[column][1]}
    own = Row.model_fields.get(column)
    endings = [told for end, told in _ENDINGS.items() if column.endswith(end)]
    told = own.description if own and own.description else (*endings, _TASK)[0]
    return {"description": told, **_PERCENT}


class BadCell(Exception):
    """What a row holds that its column does not: its line in the file, the column, and why."""

    def __init__(self, line: int, column: str, reason: str) -> None:
        super().__init__(f"line {line}, column {column}: {reason}")


def check_heading(columns: Sequence[str]) -> None:
    """Raises ValueError for a heading that is not a leaderboard's: columns that are missing, are there
    twice, or are neither the leaderboard's own nor a task's with its interval."""
    twice = [c for c, times in Counter(columns).items() if times > 1]
    if twice:
        raise ValueError(f"it has the column {_quoted(twice[0])} twice")
    lacking = [c for c in (*TEXT, *SCORES) if c not in columns and c not in LATER]
    if lacking:
        raise ValueError(f"it has no column {lacking[0]}")
    theirs = {
        f"{task}{end}"
        for task in scored(columns)
        if task not in (*KNOWN, "rank") and NAME.fullmatch(task)
        for end in ("", *_ENDINGS)
    }
    for column in columns:
        if column not in KNOWN and column not in theirs:
            raise ValueError(
                f"it has a column {_quoted(column)}, which is neither its own nor a task's with its "
                "interval"
            )


def check_rows(
    columns: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]
) -> list[dict[str, Any]]:
    """The rows with typed cells, None for an empty score. Raises BadCell for the first that is wrong,
    an interval that does not hold its value, and a row of the same identity as another."""
    intervals = scored(columns)
    seen: dict[tuple[Any, ...], int] = {}
    found = []
    for row, line in zip(rows, lines, strict=True):
        cells = {c: v if c in TEXT else v or None for c, v in zip(columns, row, strict=True)}
        typed = _typed(cells, line)
        for name in intervals:
            _check_interval(typed, name, line)
        identity = tuple(typed[c] for c in IDENTITY)
        if identity in seen:
            same = f"the row has the same {', '.join(IDENTITY)} as line {seen[identity]}"
            raise BadCell(line, "model", same)
        seen[identity] = line
        found.append(typed)
    return found


def _typed(cells: Mapping[str, str | None], line: int) -> dict[str, Any]:
    try:
        return Row.model_validate(cells).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        column = str(first["loc"][0])
        why = re.sub("^(Value error, |Input |String )", "", first["msg"])
        raise BadCell(line, column, f"{_quoted(str(cells[column]))} {why}") from error


def _check_interval(row: Mapping[str, Any], name: str, line: int) -> None:
    """Raises BadCell unless the row has a score and an interval that holds it, or none of the three."""
    value, low, high = (row[f"{name}{end}"] for end in ("", *INTERVAL))
    if value is None and low is None and high is None:
        return
    if value is None or low is None or high is None:
        raise BadCell(line, name, "a score and its interval go together, and one of them is empty")
    if not low <= value <= high:
        raise BadCell(line, name, f"its interval {low} to {high} does not hold {value}")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
