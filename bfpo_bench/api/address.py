"""The address of a server, as a user gives it."""

from __future__ import annotations

from urllib.parse import urlsplit

from bfpo_bench.api.party import Party
from bfpo_bench.errors import UserError, first_line

EXAMPLE = "http://127.0.0.1:8000/v1"


def check_address(url: str, party: Party) -> None:
    """Raises UserError for a URL that is none, or that holds more than an address."""
    try:
        parts = urlsplit(url)
        # Raises for a port that is none
        _ = parts.port
    except ValueError:
        raise UserError(f"{party.address} is none: give one like {EXAMPLE}.") from None
    # `user:secret@host` without a scheme has no host either: all of it is path
    if "@" in (parts.netloc or url) or parts.query or parts.fragment:
        # Not repeated here: what stands there may be a secret
        raise UserError(
            f"{party.address} holds more than an address (a user, a query or a fragment): give "
            f"the plain URL, and the key in the environment as {party.variables[0]}."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{party.address} {url!r} is none: give one like {EXAMPLE}.")


def not_askable(url: str, party: Party, error: Exception) -> UserError:
    """For a URL that httpx makes nothing of, which it says only when it is asked."""
    return UserError(
        f"{party.address} {url} cannot be asked ({first_line(error)}): give one like {EXAMPLE}."
    )
