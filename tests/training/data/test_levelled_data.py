"""Responses with levels: of a file, and of PKU-SafeRLHF's labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recipes import write_records

from bfpo_bench.errors import UserError
from bfpo_bench.levels import Levels
from bfpo_bench.training.data import DataSpec, check_levelled, load_levelled
from bfpo_bench.training.data.messages import assistant, user
from bfpo_bench.training.data.pku import levelled

ROW = {"prompt": "?", "response": "!", "helpfulness_level": 3, "safety_level": 0}


def load(path: Path, *rows: dict[str, Any], count: int = 5) -> Any:
    return load_levelled([DataSpec(source="jsonl", path=write_records(path, rows))], 0, count)


def test_a_row_has_two_levels(tmp_path: Path) -> None:
    [found], [report] = load(tmp_path / "r.jsonl", ROW)
    assert found.levels == Levels(helpfulness=3, safety=0)
    assert found.messages == (user("?"), assistant("!"))
    [other], [again] = load(tmp_path / "r.jsonl", ROW | {"safety_level": 1})
    assert other.messages == found.messages
    assert again.sha256 != report.sha256


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"helpfulness_level": None},
            "line 2: there is no helpfulness_level, which levels train on",
        ),
        ({"safety_level": None}, "line 2: there is no safety_level, which levels train on"),
        ({"safety_level": 5}, "line 2: safety_level is 5, and levels: 5 are 0 to 4"),
        ({"safety_level": -1}, "line 2: safety_level is -1, and levels: 5 are 0 to 4"),
        ({"safety_level": 1.5}, "line 2: safety_level is 1.5"),
        ({"safety_level": True}, "line 2: safety_level is true"),
    ],
)
def test_a_row_without_usable_levels_is_named(
    change: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        load(tmp_path / "r.jsonl", ROW, ROW | change)


PKU = {"prompt": "?", "response_0": "zero", "response_1": "one", "safer_response_id": 0}


@pytest.mark.parametrize("better", [0, 1])
@pytest.mark.parametrize("safe", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_both_responses_of_a_labelled_pair(better: int, safe: tuple[int, int]) -> None:
    """Each has its own label of safety, and 1 for helpfulness if it is the better one."""
    row = PKU | {
        "better_response_id": better,
        "is_response_0_safe": safe[0],
        "is_response_1_safe": safe[1],
    }
    found = {one.messages[-1]["content"]: one.levels for one in levelled(row, 2)}
    assert found == {"zero": Levels(1 - better, safe[0]), "one": Levels(better, safe[1])}


@pytest.mark.parametrize(
    ("spec", "count", "sentence"),
    [
        ({"source": "ultrachat"}, 2, "Source ultrachat has no levels of helpfulness and safety"),
        ({"source": "ultrafeedback"}, 2, "Source ultrafeedback has no levels"),
        ({"source": "pku-saferlhf"}, 5, "labels for levels: 2, and the recipe says 5: set it to 2"),
        ({"source": "pku-saferlhf", "target": "safer"}, 2, "has target, and with levels every"),
        ({"source": "pku-saferlhf", "assume_safe": True}, 2, "has assume_safe, and with levels"),
    ],
)
def test_a_source_without_levels(spec: dict[str, Any], count: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        check_levelled(DataSpec(**spec), count)
