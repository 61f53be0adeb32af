"""Random damage to random files of a finished run, and the same command: the same scores, or a refusal."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults import Bench, Damaged

from benchmarks.torture import stored

SAME, REFUSED = "the same scores", "one sentence"
"""How it may end."""


@dataclass
class Damages:
    """`outcomes`: damage -> how it ended; `faults`: what must not be."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def tried(self) -> int:
        return sum(sum(count.values()) for count in self.outcomes.values())


def flipped(draw: random.Random, content: bytes) -> bytes:
    """One to three bits are others."""
    found = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


def digit(draw: random.Random, content: bytes) -> bytes:
    """One digit is another: what is left is as good JSON as before."""
    places = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
    if not places:
        return flipped(draw, content)
    at = draw.choice(places)
    other = str((int(chr(content[at])) + draw.randint(1, 9)) % 10).encode()
    return content[:at] + other + content[at + 1 :]


def truncated(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def holed(draw: random.Random, content: bytes) -> bytes:
    """Up to 4 KiB are zeros, as after a crash of the machine."""
    start = draw.randrange(len(content))
    length = min(draw.randint(1, 4096), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def bitten(draw: random.Random, content: bytes) -> bytes:
    """Some bytes in the middle are gone."""
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.randint(1, 200) :]


def doubled(draw: random.Random, content: bytes) -> bytes:
    """One line is there twice."""
    lines = content.splitlines(keepends=True)
    return b"".join([*lines, draw.choice(lines)])


def shuffled(draw: random.Random, content: bytes) -> bytes:
    """The lines are in another order (of a file of one JSON, nothing changes)."""
    lines = content.splitlines(keepends=True)
    if content.startswith(b"{\n"):
        return content
    return b"".join(draw.sample(lines, len(lines)))


def deleted(draw: random.Random, content: bytes) -> None:
    return None


DAMAGE: tuple[Callable[[random.Random, bytes], bytes | None], ...] = (
    flipped,
    digit,
    truncated,
    holed,
    bitten,
    doubled,
    shuffled,
    deleted,
)


def damage(
    bench: Bench,
    folder: Path,
    *,
    times: int,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Damages:
    """So many times: copy the finished run, damage one or two files, give the command again."""
    draw, found = random.Random(seed), Damages()
    for number in range(times):
        copy = bench.copy(folder / f"damaged-{number}")
        files = sorted(p for p in copy.cwd.rglob("*") if _belongs(p))
        told = []
        for path in draw.sample(files, draw.choice([1, 1, 1, 2])):
            how = draw.choice(DAMAGE)
            content = how(draw, path.read_bytes())
            path.unlink() if content is None else path.write_bytes(content)
            told.append(f"{how.__name__} {path.relative_to(copy.cwd)}")
        outcome, said = _outcome(copy)
        what = " and ".join(told)
        for one in told:
            found.outcomes.setdefault(one.split()[0], Counter())[outcome] += 1
        if outcome in (SAME, REFUSED):
            shutil.rmtree(copy.cwd)
        else:
            found.faults.append(f"{copy.cwd.name}: {what}: {outcome}: {said[-300:]}")
        tell(f"{number + 1}/{times} {what} -> {outcome}: {said[-200:]}")
    return found


def _belongs(path: Path) -> bool:
    """Whether it is a file that a run or a leaderboard is kept in."""
    return path.is_file() and path.suffix in (".json", ".jsonl", ".parquet", ".csv", ".sqlite")


def _outcome(copy: Damaged) -> tuple[str, str]:
    """How the command ended over the damaged copy, and its last words."""
    try:
        said = copy.again()
    except Exception as error:
        return "a traceback", f"{type(error).__name__}: {error}"
    if said.code == 2:
        return REFUSED, said.error
    if said.code != 0:
        return f"exit code {said.code}", said.out.strip()
    if len(list(copy.cwd.glob("runs/*"))) > 1:
        return "another run", ""
    if copy.scores() != Damaged(copy.bench, copy.bench.whole).scores():
        return "other scores", ""
    [row] = stored.board(copy.bench.whole)
    # A heading that was cut in a word leaves a column of that half word, which is empty
    same = any(row.items() <= other.items() for other in stored.board(copy.cwd))
    return (SAME if same else "another row"), ""
