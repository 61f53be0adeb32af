"""What a server's failures mean: ask again, give this item up, or stop altogether."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bfpo_bench.api.key import Key
from bfpo_bench.api.party import Party
from bfpo_bench.errors import UserError

_TOO_MANY = (429, 503, 529)
_SHOWN = 300
"""Characters of a server's message that are repeated."""

_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|too long|too many tokens|maximum (context|input)"
    r"|reduce the length|exceed\w* .{0,60}(tokens|length)|longer than the",
    re.I,
)
_REFUSED = re.compile(
    r"flagged|moderation|(content|usage|responsible ?ai)[ _-]?(management )?polic(y|ies)"
    r"|content[ _-]?filter|invalid_prompt",
    re.I,
)
_BARRED = re.compile(r"\b(account|organi[sz]ation|api key)\b.{0,60}\bflagged", re.I)
"""The user is refused, and not one prompt."""
_NO_MODEL = re.compile(
    r"model_not_found"
    r"|\bmodel:?\s+(\S+\s+)?((is|was|does|could)\s+)?(not\s+(exist|found|be found)|no longer)"
    r"|\b(unknown|no such) model\b|\binvalid model( name| id|:)",
    re.I,
)
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value", "unknown_parameter")


def may_pass(status: int) -> bool:
    """Whether the same request may well be answered later. A 501 stays: the server has no such thing."""
    return status in (408, 409, 425, 429) or (status >= 500 and status != 501)


class Transient(Exception):
    """It may well succeed when asked again; `retry_after` in seconds where the server named a time.

    `unreachable`: there was no connection at all. `silent`: there was one, and nothing came in time.
    `pushed_back`: the server has too much to do.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        unreachable: bool = False,
        silent: bool = False,
        pushed_back: bool = False,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.unreachable = unreachable
        self.silent = silent
        self.pushed_back = pushed_back


class Unanswered(Exception):
    """This one text has no reply, and will not be asked about again now.

    `fault`: the world's and not the model's, so that a later command asks again. `unreachable`: the
    last attempt found no server, or one that was silent.
    """

    def __init__(self, reason: str, *, fault: bool, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.fault = fault
        self.unreachable = unreachable


@dataclass(frozen=True)
class Failure:
    """A response that is no success: its status, and what the server says of it, without the key."""

    status: int
    message: str
    code: str
    retry_after: float | None


def read_failure(status: int, headers: Mapping[str, str], body: str, key: Key) -> Failure:
    """Servers differ: `{"error": {"message", "code"}}`, the same unwrapped, `{"detail"}`, plain text."""
    message, codes = body, ""
    try:
        told = json.loads(body)
        error = told.get("error", told)
        if isinstance(error, Mapping):
            message = str(error.get("message") or error.get("detail") or error)
            codes = f"{error.get('code')} {error.get('type')}".lower()
        else:
            message = str(error)
    except (ValueError, AttributeError, RecursionError):
        pass
    shown = " ".join(key.redact(message).split())[:_SHOWN].rstrip(".")
    return Failure(status, shown, codes, _retry_after(headers.get("retry-after")))


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number of them or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def meaning(
    failure: Failure, party: Party, url: str, model: str, *, answered: bool, fitted: bool = False
) -> Transient | Unanswered | UserError:
    """What to do about a failure; the URL and the model are named where the user must change one.

    `answered`: whether the server has ever replied. A 403 is the key's only before that: later, it
    is more likely about one text (a firewall, a moderation). `fitted`: the prompt was cut to what the
    model can hold, and one that is too long is so for this server alone.
    """
    status, said = failure.status, failure.message
    quoted = f"{status}, {said!r}" if said else str(status)
    refused = _refuses_the_prompt(failure)
    if status == 401 or (status == 403 and not answered and not refused):
        # The server's own words are left out: they may hold a part of the key
        return UserError(
            f"{party.opening} server {url} does not accept the key ({status}): set "
            f"{party.keys} to one that may use {model}."
        )
    if status == 402 or "insufficient_quota" in failure.code:
        return UserError(
            f"{party.opening} server {url} wants to be paid ({quoted}): add credit there."
        )
    if may_pass(status):
        return Transient(
            f"it replied with {quoted}",
            retry_after=failure.retry_after,
            pushed_back=status in _TOO_MANY,
        )
    if refused:
        return Unanswered(f"{party.speaker} refused ({quoted})", fault=False)
    if status == 403:
        return Unanswered(f"{party.server} forbade the request (403)", fault=True)
    if _TOO_LONG.search(said) or status == 413:
        return Unanswered(f"{party.server} did not take the prompt ({quoted})", fault=fitted)
    if status in (404, 405) or status < 400 or _names_no_model(failure):
        return UserError(
            f"{party.opening} server {url} has no model {model} to {party.use} ({quoted}): name one "
            "that it serves, and its URL up to /v1."
        )
    if any(code in failure.code for code in _UNSUPPORTED):
        return UserError(
            f"{party.opening} model {model} does not take the request ({quoted}): {party.mend}."
        )
    return Unanswered(f"{party.server} did not take the prompt ({quoted})", fault=True)


def _refuses_the_prompt(failure: Failure) -> bool:
    told = f"{failure.code} {failure.message}"
    return bool(_REFUSED.search(told)) and not _BARRED.search(told)


def _names_no_model(failure: Failure) -> bool:
    return bool(_NO_MODEL.search(f"{failure.code} {failure.message}"))
