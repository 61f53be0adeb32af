"""The one error that is shown to users as a sentence, and the sentence for a disk that fails."""

import errno
from collections.abc import Iterable

DISK_FAULTS = (errno.ENOSPC, errno.EROFS, errno.EDQUOT)


class UserError(Exception):
    """Something the user can mend: one sentence naming the thing, the reason and the mend.

    The command line prints it without a traceback and exits with code 2.
    """


def disk_sentence(error: OSError) -> str:
    """What to tell a user whose disk is full or read-only."""
    return (
        f"Writing {error.filename or 'the run'} failed ({error.strerror}): free some space and give "
        "the same command again; what was finished is kept."
    )


def key_path(parts: Iterable[object]) -> str:
    """Where in a file something stands, on one line: keys are a user's, and may hold anything."""
    return " ".join(".".join(map(str, parts)).split())


def first_line(error: BaseException) -> str:
    """The error's first line without its full stop, or its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
