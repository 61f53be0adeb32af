"""The common table's entries: which models are made, and which rows they give."""

from __future__ import annotations

from dataclasses import dataclass, field

from bfpo_bench.demo import compare
from bfpo_bench.demo.compare import SFT, Comparison
from bfpo_bench.demo.methods.models import (
    Bias,
    Conditioned,
    Iterated,
    Made,
    Patched,
    Sum,
    Trained,
)
from bfpo_bench.demo.methods.rows import Row
from bfpo_bench.names import DEFENCES

DPO = {"name": "dpo", "beta": 0.1}
BFPO = {"name": "bfpo", "tau": 0.1}


def vector(eta: float) -> Sum:
    """The preference vectors of safety and of helpfulness, each with weight `eta`."""
    plus, minus = ("dpo-safety-only", "dpo-helpful-only"), ("safety-minus", "helpful-minus")
    models = (SFT, plus[0], minus[0], plus[1], minus[1])
    return Sum("preference-vector", models, (1.0, eta, -eta, eta, -eta))


# As in `demo --compare`, learning rates are each the best of benchmarks/compare_rates.py. IPO's target of
# 1 / (2 tau) = 5 nats is within reach as BFPO's are; other hyper-parameters are the papers'.
MADE: tuple[Made, ...] = (
    Trained("dpo-safe-first", DPO, 1e-4, "safe-first"),
    Trained("ipo", {"name": "ipo", "tau": 0.1}, 1e-4, "safe-first"),
    Trained("safedpo", {"name": "safedpo", "beta": 0.1, "delta": 1.0}, 1e-4, "safedpo"),
    Trained("bso", {"name": "bso", "beta": 0.1, "penalty": 1.0}, 1e-4, "safedpo"),
    Trained(
        "modpo",
        {"name": "modpo", "beta": 0.1, "weight": 0.5},
        1e-4,
        "helpful-only",
        margin="dpo-safety-only",
    ),
    Trained("sacpo", DPO, 1e-4, "safety-only", start="dpo-helpful-only"),
    Trained("ama-bfpo", BFPO, 3e-3, segments=True),
    Trained("ama-dpo", DPO, 1e-4, "safe-first", segments=True),
    Trained("derta", {"name": "derta", "transition": 1.0}, 1e-3, "safedpo"),
    Trained("helpful-minus", DPO, 1e-4, "helpful-swapped"),
    Trained("safety-minus", DPO, 1e-4, "safety-swapped"),
    Trained("safety-patch", {"name": "ascent", "bound": 10.0}, 1e-4, "harmful"),
    Trained("over-safety-patch", {"name": "sft"}, 1e-4, "harmful"),
    Trained(
        "safety-expert",
        {"name": "midpo_safety", "beta": 0.1},
        3e-4,
        "safety-only",
        margin="dpo-safety-only",
        lora=True,
    ),
    Trained(
        "helpfulness-expert",
        {"name": "midpo_helpfulness", "beta": 0.1},
        3e-4,
        "helpful-only",
        margin="dpo-helpful-only",
        lora=True,
    ),
    Trained(
        "midpo",
        {"name": "midpo_router", "beta": 0.1, "penalty": 1.0},
        3e-4,
        "safe-first",
        experts=("safety-expert", "helpfulness-expert"),
    ),
    Conditioned("control-tokens", 1e-4),
    Iterated("iterated", DPO, 3e-5, "safe-first"),
    Sum("rewarded-soup", ("dpo-helpful-only", "dpo-safety-only"), (0.5, 0.5)),
    vector(0.5),
    Patched("safe-patching", "safety-patch", "over-safety-patch"),
    Bias("tsdi", "dpo-safety-only"),
)

LEVELS = "Control tokens (arXiv 2404.01295)"
SODE, EQUILIBRATE = "Defences of SODE (arXiv 2401.00287)", "Equilibrate RLHF (arXiv 2502.11555)"
ROWS: tuple[Row, ...] = (
    *(Row(name) for name in Comparison().names),
    *(Row(name) for name in ("dpo-safe-first", "ipo", "safedpo", "bso", "modpo")),
    *(Row(name) for name in ("sacpo", "rewarded-soup")),
    Row("ama-bfpo", section=EQUILIBRATE),
    Row("ama-dpo", section=EQUILIBRATE),
    Row("derta", section="DeRTa (arXiv 2407.09121)"),
    Row("dpo-safety-only", bias="tsdi", section="TSDI (arXiv 2502.02153)"),
    *(Row(SFT, defence=name, section=SODE) for name in DEFENCES if name != "exemplars"),
    *(Row("control-tokens", levels=cell, section=LEVELS) for cell in ("0,0", "0,1", "1,0", "1,1")),
    Row("midpo", section="MidPO (arXiv 2506.02460)"),
    Row("preference-vector", section="Preference Vector (arXiv 2504.20106)"),
    Row("safe-patching", section="SafePatching (arXiv 2405.13820)"),
    Row("iterated", section="Iterative alignment (arXiv 2512.04210)"),
)


LEFT_OUT = {
    "FDC": "FDC has no row: none of the corpus's harmful requests is of the group *explicit*.",
    "exemplars": "`exemplars` has no row: its 437 tokens leave too little of the model's context of 512.",
    "Trade-off sweep": "The sweep has none either: it is no method of its own.",
}
"""Methods without a row -> the sentence of docs/methods.md that says why."""


@dataclass(frozen=True)
class Table:
    """What is made and measured, in this order. `subject` is the row that the last words are about."""

    comparison: Comparison = field(default_factory=Comparison)
    made: tuple[Made, ...] = MADE
    rows: tuple[Row, ...] = ROWS
    subject: str = compare.BFPO
