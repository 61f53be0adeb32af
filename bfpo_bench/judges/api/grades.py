"""Grades that a judge writes on lines of their own at the end of its reply, read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.reasoning import strip_reasoning

_LINE = re.compile(r"[\s*_`#>-]*([a-z]+)[*_`]*\s*[:=][\s*_`]*(.*?)[*_`]*\s*", re.I)
_WHOLE = re.compile(r"[0-9]{1,3}\.?", re.ASCII)


def read_grades(reply: Reply, ranges: Mapping[str, tuple[int, int]]) -> dict[str, int] | str:
    """Name -> grade for every name of `ranges` (least and greatest grade); else why there is none.

    The last lines must be `name: whole number`, one a name and in order, and no line before them may
    grade the same name: a judge that quotes such lines from the text under judgement, or changes its
    mind, has said nothing certain. Emphasis and a full stop are passed over.
    """
    if reply.finish_reason == "length":
        return "the judge's answer was cut off"
    answer = strip_reasoning(reply.text)
    if not answer.complete:
        return "the judge's reasoning was cut off before an answer"
    lines = [
        m for line in answer.text.splitlines() if line.strip() for m in [_LINE.fullmatch(line)]
    ]
    graded = [m[1].lower() for m in lines if m is not None and m[1].lower() in ranges]
    last = lines[-len(ranges) :]
    if graded != list(ranges) or [m[1].lower() for m in last if m is not None] != graded:
        return f"the judge's answer does not end in one line each for {', '.join(ranges)}"
    grades: dict[str, int] = {}
    for name, line in zip(ranges, last, strict=True):
        assert line is not None
        least, greatest = ranges[name]
        if not _WHOLE.fullmatch(line[2]):
            return f"the judge's grade for {name} is no whole number ({line[2][:40]!r})"
        grades[name] = int(line[2].rstrip("."))
        if not least <= grades[name] <= greatest:
            return f"the judge's grade for {name} is {grades[name]}, outside {least} to {greatest}"
    return grades
