"""Options of `run` and `plan` that change what a model is asked, or how it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bfpo_bench.cli import complete

BiasOf = Annotated[
    Path | None,
    typer.Option(
        "--bias",
        metavar="FILE",
        help="Subtract this from the logits of each answer's first tokens: a file of `bfpo-bench bias`. "
        "For engines vllm and transformers.",
    ),
]
Defences = Annotated[
    list[str],
    typer.Option(
        "--defence",
        metavar="DEFENCE",
        help="What to put around each model: instruction, exemplars, self-check-input or "
        "self-check-output; none is the bare model. Repeatable: a run and a row each.",
        show_default="none",
        autocompletion=complete.defences,
    ),
]
LevelsOf = Annotated[
    list[str],
    typer.Option(
        "--levels",
        metavar="H,S",
        help="Ask each model for these levels of helpfulness and safety, which it was trained with; all: "
        "for each pair of them. Repeatable: a run and a row each.",
        show_default="none",
    ),
]
