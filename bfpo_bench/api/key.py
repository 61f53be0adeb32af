"""The key of a server: from the environment alone, into one header, and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from bfpo_bench.api.party import Party
from bfpo_bench.errors import UserError

_SECRET = 8
"""Characters of the shortest key that is taken for a secret. Servers that want none are often given
a word like EMPTY, which a model may well write."""


@dataclass(frozen=True)
class Key:
    """A key, or none. Its text is in no repr."""

    value: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, party: Party) -> Key:
        """Raises UserError, without the key, for one that no header can hold."""
        for variable in party.variables:
            value = os.environ.get(variable, "").strip()
            if value:
                if not (value.isascii() and value.isprintable() and " " not in value):
                    raise UserError(
                        f"The key in {variable} holds white space or characters that a key cannot "
                        "have: copy it again."
                    )
                return cls(value)
        return cls()

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}

    def redact(self, text: str) -> str:
        """`text` without the key: servers repeat what they were sent."""
        if self.value is None or len(self.value) < _SECRET:
            return text
        return text.replace(self.value, "[key]")
