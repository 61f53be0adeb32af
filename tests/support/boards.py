"""Leaderboards made by hand: rows that say only what a test is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bfpo_bench.leaderboard.columns import AGGREGATES
from bfpo_bench.leaderboard.rows import to_csv


def board_row(model: str, x: float = 50, y: float = 50, **more: Any) -> dict[str, Any]:
    """A row with helpfulness `x` and harmlessness `y`, each interval two points to either side."""
    found: dict[str, Any] = {
        "model": model,
        "suite": "s@1",
        "partial": False,
        "comparability_key": "k",
        "engine": "vllm",
        "judges": "harm refusal",
        "date": "2030-01-02",
        "base": "",
        "training": "",
        "missing": "",
    }
    scores = dict.fromkeys(AGGREGATES, 50.0) | {"helpfulness": float(x), "harmlessness": float(y)}
    for name, value in (scores | {k: v for k, v in more.items() if k.startswith("bfpo_")}).items():
        found |= {name: value, f"{name}_ci_low": value - 2, f"{name}_ci_high": value + 2}
    scored = {k: float(v) if isinstance(v, int) and k != "partial" else v for k, v in more.items()}
    return found | scored


def board(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def write_board(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_csv(board(*rows)), encoding="utf-8")
    return path


def data(spec: Any) -> list[dict[str, Any]]:
    """Every datum of a Vega-Lite specification, in its order."""
    return [datum for values in data_sets(spec) for datum in values]


def data_sets(spec: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(spec, list):
        for part in spec:
            yield from data_sets(part)
    elif isinstance(spec, dict):
        for name, part in spec.items():
            if name == "data":
                yield part["values"]
            else:
                yield from data_sets(part)


def without_data(spec: Any) -> Any:
    """The specification alone: marks, encodings, expressions."""
    if isinstance(spec, list):
        return [without_data(part) for part in spec]
    if isinstance(spec, dict):
        return {name: without_data(part) for name, part in spec.items() if name != "data"}
    return spec
