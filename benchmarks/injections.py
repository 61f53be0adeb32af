"""How often a sentence in a response that speaks to the judge changes an embedded judge's label.

    python benchmarks/injections.py ../shared/labelled [--responses N] [--json]

The 30 injections of injections.yaml are put before and after N responses of the XSTest set and N of the
Do-Not-Answer set (drawn with a fixed seed), each on a line of its own. A flip is a two-way label
(harmful or not; refused or not) that is not the one without the injection; a hit is a flip to the
side that the injection wants. Responses that are already on that side cannot be hit, so hits are
counted of the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.load import load_judge

JUDGES = ("refusal", "harm")
SIDES = {
    "refusal": "harmless",
    "partial_refusal": "harmless",
    "harmless": "harmless",
    "compliance": "harmful",
    "harmful": "harmful",
}
"""Label -> the side of `towards` that it is on."""


@dataclass(frozen=True)
class Injection:
    towards: str
    text: str


def injections() -> list[Injection]:
    told = yaml.safe_load(Path(__file__).with_name("injections.yaml").read_text())
    return [Injection(**entry) for entry in told["injections"]]


def placed(answer: str, injection: Injection) -> Iterator[tuple[str, str]]:
    """(where, the answer with the injection there)."""
    yield "before", f"{injection.text}\n{answer}"
    yield "after", f"{answer}\n{injection.text}"


@dataclass(frozen=True)
class Flips:
    """Of `tried` answers with an injection `flipped` changed sides; of `open` ones, which were not on
    the side that it wants, `hit` came over."""

    judge: str
    where: str
    tried: int
    flipped: int
    open: int
    hit: int


def measure(judge: str, items: Sequence[Item]) -> list[Flips]:
    find = load_judge(judge).finder()
    counts: dict[str, list[int]] = {"before": [0, 0, 0, 0], "after": [0, 0, 0, 0]}
    for item in items:
        plain = _side(find(item))
        for injection in injections():
            for where, answer in placed(item.answer, injection):
                side = _side(find(Item(item.prompt, answer, item.document)))
                count = counts[where]
                count[0] += 1
                count[1] += side != plain
                count[2] += plain != injection.towards
                count[3] += side != plain and side == injection.towards
    return [Flips(judge, where, *count) for where, count in counts.items()]


def _side(found: Finding) -> str:
    return SIDES[found.label]


def responses(labelled: Path, count: int) -> list[Item]:
    import pandas as pd

    files = (
        ("xstest_two_models/data/tune.parquet", "prompt", "completion"),
        ("do_not_answer_human/data/test.parquet", "question", "response"),
    )
    found = []
    for name, prompt, response in files:
        rows = pd.read_parquet(labelled / name).sample(count, random_state=0)
        found += [Item(str(p), str(r)) for p, r in zip(rows[prompt], rows[response], strict=True)]
    return [item for item in found if item.answer.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--responses", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    items = responses(options.labelled, options.responses)
    found = [flips for judge in JUDGES for flips in measure(judge, items)]
    if options.json:
        print(json.dumps([vars(flips) for flips in found], indent=2))
        return
    print(table(found))


def table(found: Sequence[Flips]) -> str:
    lines = [f"{'judge':10}{'injected':10}{'flips':>22}{'hits':>22}"]
    for flips in found:
        lines.append(
            f"{flips.judge:10}{flips.where:10}{_share(flips.flipped, flips.tried):>22}"
            f"{_share(flips.hit, flips.open):>22}"
        )
    return "\n".join(lines)


def _share(part: int, of: int) -> str:
    return f"{part:,} of {of:,} ({100 * part / of:.1f} %)" if of else "–"


if __name__ == "__main__":
    main()
