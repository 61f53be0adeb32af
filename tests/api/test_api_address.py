"""The address of a server, as a user gives it."""

from __future__ import annotations

import httpx
import pytest

from bfpo_bench.api.address import not_askable
from bfpo_bench.api.party import Party
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.judges.api.server import JUDGE


@pytest.mark.parametrize(
    ("party", "named"), [(SUBJECT, "The server URL"), (JUDGE, "The judge's URL")]
)
def test_one_that_cannot_be_asked(party: Party, named: str) -> None:
    assert str(not_askable("http://a b/v1", party, httpx.InvalidURL("no host\nat all"))) == (
        f"{named} http://a b/v1 cannot be asked (no host): give one like http://127.0.0.1:8000/v1."
    )
