"""From a defence's name to the defence."""

from __future__ import annotations

from bfpo_bench.defences.defence import Defence, read_wording
from bfpo_bench.defences.exemplars import Exemplars
from bfpo_bench.defences.instruction import Instruction
from bfpo_bench.defences.self_check_input import SelfCheckInput
from bfpo_bench.defences.self_check_output import SelfCheckOutput
from bfpo_bench.errors import UserError
from bfpo_bench.names import DEFENCES, NO_DEFENCE
from bfpo_bench.nearest import nearest

KINDS: tuple[type[Defence], ...] = (Instruction, Exemplars, SelfCheckInput, SelfCheckOutput)


def load_defence(name: str) -> Defence | None:
    """None for `none`, the bare model. Raises UserError for a name that is none of ours."""
    if name == NO_DEFENCE:
        return None
    for kind in KINDS:
        if kind.name == name:
            return kind(read_wording(kind.files))
    known = (NO_DEFENCE, *DEFENCES)
    raise UserError(
        f"There is no defence {name[:40]!r}{nearest(name, known)}: --defence takes {', '.join(known)}."
    )
