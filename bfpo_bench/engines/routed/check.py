"""A router's folder from its file names and its midpo.json: whether it is whole, and of its base."""

from __future__ import annotations

from bfpo_bench.engines.source import ROUTED, ROUTED_FILES, Source
from bfpo_bench.errors import UserError


def check_whole(router: Source) -> None:
    """Raises UserError for a folder that lacks the router, or an expert's weights or configuration."""
    if lacking := [file for file in ROUTED_FILES if not router.has(file)]:
        raise UserError(
            f"The router {router.name} lacks {lacking[0]}: restore it, or train the router anew."
        )


def check_base(router: Source, base: str, weights: str, code: bool) -> None:
    """Raises UserError where `base` has other `weights`, a commit or hash, than it was trained over, or
    would run `code` of its own, which no training does."""
    if code:
        raise UserError(
            f"The router {router.name} was trained over {base} without the code that {base} brings along, "
            "and would not be the same with it: leave --trust-remote-code out for it."
        )
    told = router.json(ROUTED).get("base_weights")
    if told != weights:
        raise UserError(
            f"{base}, the base of the router {router.name}, has other weights ({weights[:12]}) than those "
            f"it was trained over ({str(told)[:12]}): restore the base, or train the router anew."
        )
