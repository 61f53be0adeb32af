"""Names that become parts of files, columns and cells, and text that may stand where they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

_LONGEST = 128
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def _checked(name: str) -> str:
    if not NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ValueError(
            f"a name begins with a letter or digit, has letters, digits and . _ + - alone, and at "
            f"most {_LONGEST} of them"
        )
    return name


Name = Annotated[str, AfterValidator(_checked)]
"""What a suite, task or judge may be called: files, columns and table cells are named by it."""


def existing(given: str) -> Path | None:
    """The file or folder behind what a user gave; None where there is none, also where nothing
    could be called so (too long, a NUL in it, the home of nobody)."""
    try:
        path = Path(given).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError):
        return None


def is_hub_id(name: str) -> bool:
    """Whether the name has the form of a model's on the hub: its owner's, and its own."""
    owner, _, own = name.partition("/")
    return bool(NAME.fullmatch(owner) and NAME.fullmatch(own))


def is_utf8(text: str) -> bool:
    """Whether a file can hold the text: a name that is no UTF-8 reaches Python with lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shortened(name: str) -> str:
    """A name as a sentence may quote it."""
    return name if len(name) <= 120 else f"{name[:117]}..."


def code(text: str) -> str:
    """The text as a Markdown code span on one line, empty for no text: what strangers wrote is
    neither Markdown nor HTML, and stays in its cell."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    quoted = flat.replace("`", "'").replace("|", "\\|")
    return f"`{quoted}`" if quoted else ""


NULL_ENGINE = " (null engine)"
"""Follows the model's name in runs and rows that the null engine made: their answers measure nothing."""


def of_null_engine(model: str) -> bool:
    """Whether the name, or a label that begins with it, is of a run of the null engine."""
    return NULL_ENGINE in model


EMBEDDED_JUDGES = ("harm", "refusal")
"""Small models of ours, and a first look: `judges list` says how far they agree with people."""

NO_DEFENCE = "none"
DEFENCES = ("instruction", "exemplars", "self-check-input", "self-check-output")
"""What `--defence` puts around a model. ` + <defence>` follows the model's name in its runs and rows."""


ALL_LEVELS = "all"
"""What `--levels` calls every pair of levels that a model was trained with."""


def behind(model: str, defence: str) -> str:
    """The name of the model behind the defence, or asked for what it says."""
    return f"{model} + {defence}"


def bare(model: str) -> tuple[str, str | None]:
    """The model's own name, and the defence that it is behind, if it is."""
    name, plus, defence = model.rpartition(" + ")
    return (name, defence) if plus and defence in DEFENCES else (model, None)
