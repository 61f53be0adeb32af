"""Whose server is asked: what sentences about it say, and where its key and its address come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Party:
    """`whose` stands before "server" and "model" in sentences, and `speaker` is who answers there.

    `address` is what its URL is called and `option` the one that names another; `variables` of the
    environment may hold its key, the first that is set does. `use` is what the model is wanted for,
    and `mend` what to do where the model does not take such a request.
    """

    whose: str
    speaker: str
    address: str
    option: str
    variables: tuple[str, ...]
    use: str
    mend: str

    @property
    def server(self) -> str:
        """Inside a sentence."""
        return f"{self.whose} server"

    @property
    def keys(self) -> str:
        """The variables that a key is set in."""
        first, *others = self.variables
        return f"{first} (or {', '.join(others)})" if others else first

    @property
    def opening(self) -> str:
        """`whose` at the beginning of a sentence."""
        return self.whose[0].upper() + self.whose[1:]
