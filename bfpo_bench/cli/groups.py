"""`bfpo-bench groups`: safety data sorted into groups, for a recipe's shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def groups(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help="Records with a prompt, or messages.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For explicit.jsonl, implicit.jsonl, ...; replaced."),
    ] = None,
    json_: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
) -> None:
    """Sort prompts into explicit, implicit and mixed safety data by a rule of words.

    Explicit: a risky subject is named. Implicit: the wish to harm, to deceive or to
    gain unfairly, without such a subject. Mixed: both. Neither: no safety data that
    the rule knows; it is a first sort of English prompts, and misses much.

    Where every record brings a label of its own (`group`), the rule's agreement
    with these labels is printed: Cohen's kappa, and the share found of each.

        bfpo-bench groups safety.jsonl --out groups
    """
    import json

    from bfpo_bench.cli.ui import Terminal
    from bfpo_bench.runs.folder import check_file
    from bfpo_bench.runs.jsonl import write_atomically
    from bfpo_bench.training.fdc.groups import LABELS
    from bfpo_bench.training.fdc.sorting import sort_file

    if out is not None:
        for label in LABELS:
            check_file(out / f"{label}.jsonl", read=(file,))
    found = sort_file(file)
    for label, records in found.records.items() if out is not None else ():
        assert out is not None
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        write_atomically(out / f"{label}.jsonl", lines)
    counts = {label: len(records) for label, records in found.records.items()}
    measured = found.measured
    if json_:
        told: dict[str, Any] = {"counts": counts, "kappa": None, "found": None}
        if measured is not None:
            said = measured.agreement
            told |= {"kappa": [said.kappa, said.ci_low, said.ci_high], "found": measured.found}
        typer.echo(json.dumps(told, indent=2))
        return
    console = Terminal()
    for label, count in counts.items():
        rate = None if measured is None else measured.found[label]
        of = "" if rate is None else f"  found of those labelled so: {rate:.0%}"
        console.print(f"{label:8} {count:,}{of}", highlight=False)
    if measured is not None and measured.agreement.kappa is not None:
        said = measured.agreement
        console.print(
            f"kappa {said.kappa:.2f} [{said.ci_low:.2f}, {said.ci_high:.2f}]", highlight=False
        )
