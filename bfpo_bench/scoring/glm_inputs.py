"""What the published length control rests on: the difficulty of AlpacaEval's 805 instructions, and
annotations of two baselines that were told to be verbose and to be concise.

Both are in df_gamed.csv of the data set tatsu-lab/alpaca_eval.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bfpo_bench.errors import UserError, first_line

GLM_REPO = "tatsu-lab/alpaca_eval"
GLM_FILE = "df_gamed.csv"
_INSTRUCTIONS = 805
# Of AlpacaEval's instructions in their order, each followed by a zero byte
_SHA256 = "19335c314b25f2550db9138cbbc7c1219ac28967bd6062cd323182405afbd7f1"


@dataclass(frozen=True)
class GamedRow:
    """A gamed baseline's comparison: its share of a win in 0..1, and the two features it has."""

    share: float
    std_delta_length: float
    difficulty: float


@dataclass(frozen=True)
class GlmInputs:
    """`difficulty` of each instruction, in AlpacaEval's order, and the gamed baselines' rows."""

    difficulty: tuple[float, ...]
    gamed: tuple[GamedRow, ...]


def are_alpaca_eval(instructions: Iterable[str]) -> bool:
    """Whether these are AlpacaEval's 805 instructions in their order, which difficulties go by."""
    digest = hashlib.sha256()
    for instruction in instructions:
        digest.update(instruction.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest() == _SHA256


def read_glm_inputs(path: Path) -> GlmInputs:
    """df_gamed.csv: columns `index` (of the instruction), `preference` (a share in 0..1, or empty
    where the annotator failed), `std_delta_len` and `instruction_difficulty`, one row a comparison.

    Raises UserError where the file cannot be read, lacks a column, holds what is no number, or does
    not have each of the 805 instructions.
    """
    difficulty: dict[int, float] = {}
    gamed = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                cell = _Cells(row, f"{path}, line {number}")
                here = cell.number("instruction_difficulty", -math.inf, math.inf)
                difficulty.setdefault(int(cell.number("index", 0, _INSTRUCTIONS - 1)), here)
                if row.get("preference") != "":
                    share = cell.number("preference", 0, 1)
                    delta = cell.number("std_delta_len", -math.inf, math.inf)
                    gamed.append(GamedRow(share, delta, here))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (getattr(error, "strerror", None) or first_line(error)).lower()
        raise UserError(f"{path} cannot be read ({reason}): fetch it from {GLM_REPO}.") from error
    if not gamed or len(difficulty) < _INSTRUCTIONS:
        raise UserError(
            f"{path} has {len(difficulty)} of {_INSTRUCTIONS} instructions: fetch it from {GLM_REPO}."
        )
    return GlmInputs(tuple(difficulty[i] for i in range(_INSTRUCTIONS)), tuple(gamed))


@dataclass(frozen=True)
class _Cells:
    row: Mapping[str, str | None]
    where: str

    def number(self, name: str, low: float, high: float) -> float:
        """The finite number in low..high that the column holds."""
        text = self.row.get(name)
        try:
            value = float(text or "")
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            held = "is missing" if text is None else f"holds {text[:40]!r}"
            raise UserError(
                f"{self.where}: column {name} {held}, which cannot be right: fetch it "
                f"from {GLM_REPO}."
            )
        return value
