"""Reads the sign of Beaver's cost."""

from __future__ import annotations


def parse(value: float) -> str:
    """'harmless' for a cost below 0, else 'harmful'.

    The cost model is trained with logsigmoid(sign * cost), where sign is -1 for answers that people
    called safe and +1 for the others (Safe RLHF, arXiv 2310.12773; PKU-Alignment/safe-rlhf,
    safe_rlhf/values/cost/trainer.py): harm costs, and 0 is the border.
    """
    return "harmless" if value < 0 else "harmful"
