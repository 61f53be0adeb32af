"""What the Hugging Face hub says about a repository, in one place for data sets and models.

Network faults fall back on the local cache; what the user can mend becomes a UserError.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from bfpo_bench.errors import UserError, first_line
from bfpo_bench.names import existing, shortened

T = TypeVar("T")
RepoType = Literal["dataset", "model"]
_REVISION = re.compile(r"[\w.+@-]+(/[\w.+@-]+)*")


@dataclass(frozen=True)
class HubRevision:
    """A repository at one commit. `files` is empty where only the cache could be asked."""

    repo: str
    repo_type: RepoType
    requested: str
    sha: str
    files: tuple[str, ...]
    online: bool


def go_offline() -> None:
    """From here on this process and those that it starts ask the network for nothing.

    The libraries read the variables when they are imported: those that already are get told, too.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        module: Any = sys.modules.get(name)
        for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
            if hasattr(module, variable):
                setattr(module, variable, True)


def is_offline() -> bool:
    """Whether `go_offline` or the user (HF_HUB_OFFLINE=1) keeps the hub's library off the network."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def commits_are_the_hubs() -> bool:
    """Whether commits are worth writing down: another address may answer with commits of its own."""
    return not os.environ.get("HF_ENDPOINT")


def resolve(repo: str, repo_type: RepoType, revision: str | None = None) -> HubRevision:
    """The commit that `revision` (default: main) of `repo` stands for now, and its files.

    Raises UserError when the repository or revision is unknown or gated, or when the hub cannot be
    reached and the local cache does not hold it.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    requested = revision or "main"
    if not _is_revision(requested):
        raise UserError(
            f"{shortened(requested)!a} is no revision: name a branch, tag or commit of {repo}."
        )
    kind = "data set" if repo_type == "dataset" else "model"
    try:
        info: Any = HfApi().repo_info(repo, repo_type=repo_type, revision=revision, timeout=15)
        if getattr(info, "gated", False):
            _check_access(repo, repo_type)
    except Exception as error:
        mend = _mend(error, repo, repo_type, requested)
        if mend is not None:
            raise UserError(mend) from error
        if isinstance(error, HfHubHTTPError) and not _is_server_fault(error):
            raise UserError(f"The hub refused {kind} {repo}: {first_line(error)}.") from error
        if not is_unreachable(error):
            raise
        return _from_cache(repo, repo_type, requested, error)
    files = tuple(s.rfilename for s in info.siblings or [])
    return HubRevision(repo, repo_type, requested, info.sha, files, online=True)


def _is_revision(name: str) -> bool:
    """Whether git may call a branch, tag or commit so, and no other file of the cache is called so."""
    return bool(_REVISION.fullmatch(name)) and ".." not in name and len(name) <= 200


def ensure_known(error: BaseException, repo: str, repo_type: RepoType) -> None:
    """Raise the UserError that explains a hub error met while downloading, if it is one of those."""
    mend = _mend(error, repo, repo_type, "the resolved revision")
    if mend is not None:
        raise UserError(mend) from error


def _mend(error: BaseException, repo: str, repo_type: RepoType, revision: str) -> str | None:
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    kind = "data set" if repo_type == "dataset" else "model"
    drop = "" if repo_type == "model" else ", or leave it out (tasks with --tasks)"
    if isinstance(error, GatedRepoError):
        return (
            f"The {kind} {repo} is gated: ask for access on its hub page and set HF_TOKEN "
            f"(`hf auth login`){drop}."
        )
    if isinstance(error, RevisionNotFoundError):
        return (
            f"The {kind} {repo} has no revision {revision!r}: name a branch, tag or commit of it."
        )
    if isinstance(error, RepositoryNotFoundError):
        near = _near_cached(repo, repo_type)
        or_folder = " or give a folder" if repo_type == "model" else ""
        return (
            f"There is no {kind} {repo} on the hub{near} (it may have been renamed, or be private, "
            f"which needs HF_TOKEN): mend the name{or_folder}{drop}."
        )
    if isinstance(error, HFValidationError):
        return f"{repo!r} is neither a folder nor a hub id: give a folder or an id like org/name."
    return None


def _check_access(repo: str, repo_type: RepoType) -> None:
    """A gated repository shows its metadata to anyone; ask whether its files may be read, too."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        HfApi().auth_check(repo, repo_type=repo_type)
    except (GatedRepoError, RepositoryNotFoundError):
        raise
    except HfHubHTTPError:
        # Mirrors without this endpoint answer 404: the download itself will tell.
        return


def _is_server_fault(error: Any) -> bool:
    response = getattr(error, "response", None)
    return response is None or response.status_code >= 500 or response.status_code == 429


def is_unreachable(error: BaseException) -> bool:
    """huggingface_hub lets its HTTP client's errors through, and which client that is has changed."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled | HfHubHTTPError | ConnectionError | TimeoutError):
        return True
    clients = ("httpx", "httpx2", "requests", "urllib3")
    return any(kind.__module__.split(".")[0] in clients for kind in type(error).__mro__)


def _cache_folder(repo: str, repo_type: RepoType) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"{repo_type}s--{repo.replace('/', '--')}"


def _remember(at: HubRevision) -> None:
    """Note in the hub's cache what `requested` stands for, as huggingface_hub does.

    Files are fetched by commit, which leaves no such note, and without it the cache could not be
    used where there is no network. It is written when the files are there, never before: a note
    that points at nothing would hide an older commit that is. A cache that cannot be written only
    costs the note.
    """
    ref = _cache_folder(at.repo, at.repo_type) / "refs" / at.requested
    with suppress(OSError):
        if at.requested != at.sha and (not ref.is_file() or ref.read_text() != at.sha):
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(at.sha)


def _cached_commit(repo: str, repo_type: RepoType, requested: str) -> str:
    """What the cache remembers of the revision, or the commit itself; "" for one it does not know."""
    if not _is_revision(requested):
        return ""
    ref = existing(str(_cache_folder(repo, repo_type) / "refs" / requested))
    if ref is not None and ref.is_file():
        return ref.read_text().strip()
    return requested if re.fullmatch(r"[0-9a-f]{40}", requested) else ""


def cached(
    repo: str, repo_type: RepoType, revision: str | None, names: Sequence[str] | None = None
) -> Path | None:
    """The revision's folder in the local cache if the files named (or patterns) lie in it, or else
    all files, as far as the cache knows what all are; None otherwise. The hub is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    sha = _cached_commit(repo, repo_type, revision or "main")
    folder = _cache_folder(repo, repo_type) / "snapshots" / sha
    if not sha or not folder.is_dir():
        return None
    if names is not None:
        return None if _lacking(folder, names) else folder
    try:
        snapshot_download(repo, repo_type=repo_type, revision=sha, local_files_only=True)
    except LocalEntryNotFoundError:
        return None
    return folder if all(p.exists() for p in folder.rglob("*")) else None


def _lacking(folder: Path, names: Sequence[str]) -> list[str]:
    """A snapshot's files are links, which may point at nothing where a download broke off."""
    return [n for n in names if not any(p.is_file() for p in folder.glob(n))]


def _from_cache(
    repo: str, repo_type: RepoType, requested: str, error: BaseException
) -> HubRevision:
    sha = _cached_commit(repo, repo_type, requested)
    snapshot = _cache_folder(repo, repo_type) / "snapshots" / sha
    if not sha or not snapshot.is_dir():
        kind = "data set" if repo_type == "dataset" else "model"
        option = " --repo-type dataset" if repo_type == "dataset" else ""
        raise UserError(
            f"The {kind} {repo} is not in the local cache and the hub cannot be reached "
            f"({first_line(error)}): fetch it where there is a network with "
            f"`hf download {repo}{option}` and bring the cache folder (HF_HOME) here."
        ) from error
    files = tuple(str(p.relative_to(snapshot)) for p in sorted(snapshot.rglob("*")) if p.is_file())
    return HubRevision(repo, repo_type, requested, sha, files, online=False)


def _near_cached(repo: str, repo_type: RepoType) -> str:
    from bfpo_bench.nearest import nearest

    root = _cache_folder(repo, repo_type).parent
    prefix = f"{repo_type}s--"
    names = [p.name.removeprefix(prefix).replace("--", "/", 1) for p in root.glob(prefix + "*")]
    return nearest(repo, names)


def fetch_snapshot(at: HubRevision, names: Sequence[str] | None = None) -> Path:
    """The repository at its commit, or just the files named, as a folder of the hub's cache.

    Raises UserError where access is refused or files are missing and cannot be fetched.
    """
    from huggingface_hub import snapshot_download

    patterns = list(names) if names is not None else None

    def download() -> str:
        return str(
            snapshot_download(
                at.repo, repo_type=at.repo_type, revision=at.sha, allow_patterns=patterns
            )
        )

    folder = Path(guarded(download, at.repo, at.repo_type))
    lacking = _lacking(folder, names or ())
    if lacking:
        kind = "data set" if at.repo_type == "dataset" else "model"
        where = f"on the hub at {at.sha}" if at.online else "in the local cache"
        raise UserError(
            f"The {kind} {at.repo} has no file {', '.join(lacking)} {where}: "
            + ("mend the name." if at.online else "fetch it with `bfpo-bench data pull`.")
        )
    _remember(at)
    return folder


def fetch_file(at: HubRevision, name: str) -> Path:
    """One file of the repository at its commit, from the cache or the hub."""
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(at.repo, name, repo_type=at.repo_type, revision=at.sha))


def guarded(call: Callable[[], T], repo: str, repo_type: RepoType) -> T:
    """`call()`, with the hub's errors about `repo` turned into UserErrors."""
    try:
        return call()
    except Exception as error:
        ensure_known(error, repo, repo_type)
        raise
