"""The leaderboard as Markdown, JSON and CSV."""

from __future__ import annotations

import json
import re

import pandas as pd

from bfpo_bench.leaderboard.columns import AGGREGATES
from bfpo_bench.leaderboard.export import FORMATS

NONE = float("nan")


def row(model: str, value: float, key: str = "k", partial: bool = False) -> dict[str, object]:
    text = {
        "model": model,
        "suite": "s@1",
        "partial": partial,
        "comparability_key": key,
        "engine": "vllm",
        "judges": "refusal",
        "date": "2030-01-02",
        "base": "",
        "training": "",
        "missing": "bfpo_x",
    }
    return text | {f"{a}{end}": value for a in AGGREGATES for end in ("", "_ci_low", "_ci_high")}


TABLE = pd.DataFrame(
    [
        row("a", 12.34567),
        row("b|<b>", NONE),
        row("c", 80),
        row("d", 5, "j"),
        row("e", 9, partial=True),
    ]
)


def test_markdown_has_a_section_a_block_best_first() -> None:
    text = FORMATS["markdown"](TABLE)
    assert re.findall("^## .*", text, re.M) == [
        "## `s@1` (key `k`)",
        "## `s@1` (key `j`)",
        "## `s@1`, partial (key `k`)",
    ]
    first = [line for line in text.split("## ")[1].splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[:3] for line in first[1:]] == [
        ["| 1", "`c`", "80.0 [80.0, 80.0]"],
        ["| 2", "`a`", "12.3 [12.3, 12.3]"],
        ["| –", r"`b\|<b>`", "–"],
    ]


def test_every_line_of_a_markdown_table_has_as_many_cells() -> None:
    """A bar in a name does not open another cell."""
    lines = [x for x in FORMATS["markdown"](TABLE).splitlines() if x.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {2 + len(AGGREGATES) + 4 + 1}


def test_markdown_says_how_a_model_was_trained_and_as_code() -> None:
    """What stands in a stranger's training manifest, or names a model, is neither Markdown nor HTML."""
    told = {"base": "org/b", "training": "bfpo x=`<img src=x>|[a](b) on 1a2b3c4d"}
    text = FORMATS["markdown"](pd.DataFrame([row("a", 1) | told, row("b", 0)]))
    lines = [x for x in text.splitlines() if x.startswith(("| 1", "| 2"))]
    assert [line.split(" | ")[-4:-2] for line in lines] == [
        ["`org/b`", r"`bfpo x='<img src=x>\|[a](b) on 1a2b3c4d`"],
        ["", ""],
    ]


def test_json_has_a_list_of_blocks() -> None:
    found = json.loads(FORMATS["json"](TABLE))
    assert [(b["suite"], b["comparability_key"], b["partial"]) for b in found] == [
        ("s@1", "k", False),
        ("s@1", "j", False),
        ("s@1", "k", True),
    ]
    rows = found[0]["rows"]
    assert [(r["rank"], r["model"]) for r in rows] == [(1, "c"), (2, "a"), (None, "b|<b>")]
    assert rows[1]["helpfulness"] == 12.3457
    assert rows[2]["helpfulness"] is None
    assert {(r["base"], r["training"]) for r in rows} == {("", "")}


def test_json_of_an_empty_leaderboard_is_an_empty_list() -> None:
    assert json.loads(FORMATS["json"](TABLE.iloc[:0])) == []


def test_csv_is_the_file_as_it_is_kept() -> None:
    lines = FORMATS["csv"](TABLE).splitlines()
    assert lines[0] == ",".join(TABLE.columns)
    assert lines[1].startswith("a,s@1,False,k,vllm,refusal,2030-01-02,,,bfpo_x,12.3457,")
    assert len(lines) == 1 + len(TABLE)
