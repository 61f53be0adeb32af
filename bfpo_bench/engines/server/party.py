"""What sentences call the server that a subject is asked at, and where its key is found."""

from __future__ import annotations

from bfpo_bench.api.party import Party

SUBJECT = Party(
    whose="the",
    speaker="the server",
    address="The server URL",
    option="--server",
    variables=("BFPO_SERVER_API_KEY", "OPENAI_API_KEY"),
    use="ask",
    mend="name another with --server, or take another --engine",
)
