"""Reads a grade of 1 to 10."""

from __future__ import annotations

from bfpo_bench.judges.api.grades import read_grades
from bfpo_bench.judges.api.reply import Reply
from bfpo_bench.judges.finding import Finding


def parse(reply: Reply) -> Finding:
    """'rated', with the grade as its score; unjudged without a whole number of 1 to 10."""
    grades = read_grades(reply, {"rating": (1, 10)})
    if isinstance(grades, str):
        return Finding("unjudged", raw=reply.text, error=grades)
    return Finding("rated", float(grades["rating"]), raw=reply.text)
