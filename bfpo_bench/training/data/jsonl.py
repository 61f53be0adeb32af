"""A user's own data: a JSON record a line, each a pair or a conversation.

Pairs:          {prompt, chosen, rejected, chosen_safe, rejected_safe, safer?, margin?,
                chosen_segments?, rejected_segments?}
Conversations:  {messages} or {prompt, response}; with levels helpfulness_level and safety_level

`prompt` is a text or a list of messages that ends with the user's; chosen is the more helpful
response; labels are 0, 1, true or false; `safer` is "chosen" or "rejected"; `margin` is a number. Segments are
a list of {text, reward} whose texts, one after the other, are exactly the response. Levels are whole
numbers from 0. Other keys are passed over.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bfpo_bench.errors import UserError
from bfpo_bench.levels import Levels
from bfpo_bench.runs.jsonl import write_atomically
from bfpo_bench.training.data.messages import assistant, messages, user
from bfpo_bench.training.data.rows import Fault, Row, label, shown, text
from bfpo_bench.training.pairs import Levelled, Message, Pair, Segment, Side

LEVELS = ("helpfulness_level", "safety_level")


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its place, "line N". Empty lines are passed over; the last needs no newline.

    Raises UserError where the file cannot be read, or for a line that is no record.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"line {number}", _record(line)
    except Fault as fault:
        raise UserError(f"{path}, line {number}, {fault}.") from fault
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save it as such.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend the path.") from error


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Fault("is not valid JSON: mend or delete it") from error
    if not isinstance(record, dict):
        raise Fault("is no JSON record in braces: mend or delete it")
    return record


def pair(row: Row) -> Pair:
    """Labels are None where the row has none. Raises Drop or Fault for what is no pair."""
    _need(row, "prompt", "chosen", "rejected")
    return Pair(
        prompt=tuple(_prompt(row)),
        chosen=text(row, "chosen"),
        rejected=text(row, "rejected"),
        chosen_safe=label(row, "chosen_safe"),
        rejected_safe=label(row, "rejected_safe"),
        safer=_side(row),
        margin=_margin(row),
        chosen_segments=_segments(row, "chosen"),
        rejected_segments=_segments(row, "rejected"),
    )


def conversation(row: Row) -> list[Message]:
    if "messages" in row:
        return messages(row["messages"])
    if "chosen" in row:
        raise Fault("a pair is no conversation: say with target which response to learn")
    _need(row, "prompt", "response")
    return [*_prompt(row), assistant(text(row, "response"))]


def levelled(row: Row, count: int) -> list[Levelled]:
    """The one conversation, whose levels are below `count`."""
    found = conversation(row)
    return [Levelled(tuple(found), Levels(*(_level(row, key, count) for key in LEVELS)))]


def record(pair: Pair) -> dict[str, Any]:
    """The pair as a row, which `pair` reads back as it was."""
    plain = len(pair.prompt) == 1 and pair.prompt[0]["role"] == "user"
    prompt = pair.prompt[0]["content"] if plain else list(pair.prompt)
    told = {**pair.dump(), "prompt": prompt}
    return {key: value for key, value in told.items() if value is not None}


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write the pairs, in one step, as the file that source jsonl reads."""
    lines = (json.dumps(record(p), ensure_ascii=False, allow_nan=False) + "\n" for p in pairs)
    write_atomically(path, "".join(lines))


def _need(row: Row, *keys: str) -> None:
    if lacking := [key for key in keys if key not in row]:
        has = ", ".join(row) or "nothing"
        raise Fault(f"there is no {' and no '.join(lacking)} in it (it has {has}): mend its keys")


def _prompt(row: Row) -> list[Message]:
    if isinstance(row["prompt"], list):
        return messages(row["prompt"])
    return [user(text(row, "prompt"))]


def _side(row: Row) -> Side | None:
    value = row.get("safer")
    if value in (None, "chosen", "rejected"):
        return value
    raise Fault(f'safer is {shown(value)}, and it is "chosen" or "rejected": mend it')


def _margin(row: Row) -> float | None:
    value = row.get("margin")
    return None if value is None else _number(value, "margin")


def _number(value: Any, key: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and abs(value) <= sys.float_info.max:
        return float(value)
    raise Fault(f"{key} is {shown(value)}, which is no finite number: mend it")


def _level(row: Row, key: str, count: int) -> int:
    value = row.get(key)
    if value is None:
        raise Fault(
            f"there is no {key}, which levels train on: give all responses levels (bfpo-bench levels), "
            "or leave levels out"
        )
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count:
        return value
    raise Fault(
        f"{key} is {shown(value)}, and levels: {count} are 0 to {count - 1}: mend it, or set levels to "
        "how many the file was made with"
    )


def _segments(row: Row, side: Side) -> tuple[Segment, ...] | None:
    key = f"{side}_segments"
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, list):
        raise Fault(f"{key} is {shown(value)}, and it is a list of {{text, reward}}: mend it")
    found = tuple(_segment(part, f"{key}.{place}") for place, part in enumerate(value))
    if "".join(segment.text for segment in found) != text(row, side):
        raise Fault(
            f"{key}, one text after the other, are not the {side} response: mend them, or cut it anew "
            "(bfpo-bench segments)"
        )
    return found


def _segment(part: Any, place: str) -> Segment:
    said = part.get("text") if isinstance(part, dict) else None
    if not isinstance(said, str) or not said or "reward" not in part:
        raise Fault(f"{place} is {shown(part)}, and a segment is {{text, reward}}: mend it")
    return Segment(said, _number(part["reward"], f"{place}.reward"))
