"""A router's folder as a subject: what its base may not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from experts import experts, routed
from own_code import change

from bfpo_bench.engines.routed.folder import write_routed
from bfpo_bench.engines.subject import resolve_subject
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError
from bfpo_bench.training.midpo.experts import routing_of
from bfpo_bench.training.recipe_parts import Experts


@pytest.mark.usefixtures("hub")
def test_its_base_runs_no_code_of_its_own(tmp_path: Path) -> None:
    """transformers knows the base's classes, and a training loads it by those. Its own would make it
    another model than the router was trained over, whatever its weights are."""
    base, found = experts(tmp_path)
    (tmp_path / "base" / "own_model.py").write_text("raise AssertionError")
    change(tmp_path / "base" / "config.json", auto_map={"AutoModelForCausalLM": "own_model.Own"})
    parts = Experts(**{role: str(folder) for role, folder in found.items()})
    made = routing_of(parts, resolve_subject(base))
    assert made is not None
    write_routed(tmp_path / "router", routed(made), made)
    assert resolve_subject(str(tmp_path / "router")).routed
    with pytest.raises(UserError) as error:
        resolve_subject(str(tmp_path / "router"), trust=Trust(code=True))
    assert str(error.value) == (
        "The router router was trained over base without the code that base brings along, and would not "
        "be the same with it: leave --trust-remote-code out for it."
    )
