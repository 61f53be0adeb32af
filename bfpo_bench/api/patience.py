"""How long a server is waited for, and how often it is asked again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds, but for the counts. The wait before attempt n + 1 is drawn between half and the whole
    of `first_wait` * 2 ** (n - 1), at most `longest_wait`; a server's own Retry-After is added to it
    and has the same limit. Eight attempts outlast a limit that is counted by the minute.

    `failing_attempts` holds where the server fails without saying that it has too much to do;
    `unreachable_attempts` holds instead while nothing has ever answered and the connection is
    refused: then the server is most likely not there. `silent_attempts` holds while nothing has ever
    answered and nothing comes within `answering`: then it hangs, which is worth saying in minutes.
    """

    attempts: int = 8
    failing_attempts: int = 8
    unreachable_attempts: int = 3
    silent_attempts: int = 2
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connecting: float = 10.0
    answering: float = 180.0
