"""Full and read-only disks, on a small tmpfs: one sentence, and when there is space, the same scores."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.torture.kills import Reference, Tally, compare
from benchmarks.torture.session import Ended, Session
from benchmarks.torture.workload import Workload


@dataclass
class Disks:
    """`tried`: what was done, and how it ended; `skipped` says why nothing was tried."""

    tried: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    skipped: str | None = None


def may_mount() -> str | None:
    """None where a tmpfs can be mounted here, else the reason why not."""
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"no tmpfs can be mounted: {done.stderr.strip()}"


@contextmanager
def small_disk(at: Path, kilobytes: int) -> Iterator[Callable[[str], None]]:
    """A tmpfs of that size at `at`; what is given remounts it with other options."""
    at.mkdir(parents=True)

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(at)], check=True)

    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(at)], check=True
    )
    try:
        yield remount
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def fill_disks(
    workload: Workload,
    reference: Reference,
    folder: Path,
    command: tuple[str, ...],
    *,
    sizes: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Disks:
    """The command on so many disks that are too small, from nearly nothing to nearly enough; then on
    a read-only one; each is then mended, and the same command must end with the reference's scores."""
    found = Disks(skipped=may_mount())
    if found.skipped is not None:
        return found
    needed = sum(kilobytes(reference.cwd / name) for name in ("runs", "leaderboards"))
    for number in range(sizes):
        size = max(64, round(needed * (number + 1) / (sizes + 1)))
        with small_disk(folder / f"full-{number}", size) as remount:
            cwd = folder / f"full-{number}"
            ended = Session(workload, cwd, command, log=folder / f"full-{number}.log").wait()
            what = f"a disk of {size} of {needed} KiB"
            _judged(found, what, ended)
            remount(f"size={needed * 4}k")
            _mended(found, workload, reference, cwd, command, what)
            tell(f"{what}: {found.tried[what]}")
    with small_disk(folder / "read-only", needed * 4) as remount:
        cwd = folder / "read-only"
        remount("ro")
        ended = Session(workload, cwd, command, log=folder / "read-only.log").wait()
        what = "a read-only folder"
        _judged(found, what, ended)
        remount("rw")
        _mended(found, workload, reference, cwd, command, what)
        remount("ro")
        ended = Session(workload, cwd, command, log=folder / "read-only.log").wait()
        _judged(found, "a finished run in a read-only folder", ended)
        remount("rw")
        tell(f"{what}: {found.tried[what]}")
    return found


def kilobytes(folder: Path) -> int:
    """What the files of `folder` take, in whole pages."""
    sizes = [p.stat().st_size for p in folder.rglob("*") if p.is_file()]
    return sum(-(-size // 4096) * 4 for size in sizes)


def _judged(found: Disks, what: str, ended: Ended) -> None:
    last = ([line for line in ended.err.splitlines() if line.startswith("error")] or [""])[-1]
    found.tried[what] = f"{ended.code}: {last[:200]}"
    if ended.code not in (2, 3) or "Traceback" in ended.err:
        found.faults.append(f"{what}: exit code {ended.code}: {ended.err.strip()[-400:]}")
    if ended.left:
        found.faults.append(f"{what}: {ended.left} processes were left")


def _mended(
    found: Disks,
    workload: Workload,
    reference: Reference,
    cwd: Path,
    command: tuple[str, ...],
    what: str,
) -> None:
    """The same command, now that there is space."""
    ended = Session(workload, cwd, command, log=cwd.with_suffix(".again.log")).wait()
    if ended.code != 0:
        found.faults.append(f"{what}, mended: exit code {ended.code}: {ended.err.strip()[-400:]}")
        return
    tally = Tally()
    compare(tally, reference, cwd, exact=True)
    found.faults += [f"{what}, mended: {fault}" for fault in tally.faults()]
