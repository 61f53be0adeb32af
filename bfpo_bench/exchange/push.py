"""A run to the Hugging Face hub, as a data set: nothing else of this project uploads anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bfpo_bench import hub
from bfpo_bench.errors import UserError, first_line
from bfpo_bench.exchange.published import FILES, Published, export_dataset
from bfpo_bench.exchange.withholding import Rule
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.tasks import TaskSpec

_TOKEN = "set HF_TOKEN to a token that may write, or log in with `hf auth login`"


@dataclass(frozen=True)
class Target:
    """A data set's repository on the hub. `exists`: as a published run, whose files are replaced."""

    name: str
    private: bool
    account: str
    exists: bool


def look_at(name: str, private: bool) -> Target:
    """What is at `name` on the hub now, asked with the user's token; nothing is changed.

    Raises UserError where there is no token, the hub cannot be reached, `name` is none, is something
    else than a published run, or is public although it should be private (or the other way round).
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    account = _account(name)
    with _explained(name):
        whole = name if "/" in name else f"{account}/{name}"
        try:
            info: Any = HfApi().dataset_info(whole)
        except RepositoryNotFoundError:
            return Target(whole, private, account, exists=False)
    files = {s.rfilename for s in info.siblings or []} - {".gitattributes"}
    if files and "run.json" not in files:
        raise UserError(
            f"{whole} on the hub holds something else than a published run: give --to-hub another name."
        )
    if bool(info.private) != private:
        now, other = ("private", "--private") if info.private else ("public", "--public")
        raise UserError(
            f"{whole} on the hub is {now} already: give {other}, or --to-hub another name."
        )
    return Target(whole, private, account, exists=True)


def _account(name: str) -> str:
    """Whose the token is. Any fault here is the token's or the hub's, never that of `name`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    with _explained(name):
        try:
            return str(HfApi().whoami()["name"])
        except HfHubHTTPError as error:
            status = _status(error)
            if status == 401 or status == 429 or status >= 500:
                raise
            raise UserError(
                f"The hub at {HfApi().endpoint} does not say whose the token is (HTTP {status}), so "
                "nothing can be pushed there: set HF_ENDPOINT to one that does, or unset it."
            ) from error


def can_ask() -> bool:
    """Whether the hub can be asked as somebody: there is a token, and the network is not forbidden."""
    from huggingface_hub import get_token

    return get_token() is not None and not hub.is_offline()


def prepare(
    run: FinishedRun, specs: Mapping[str, TaskSpec], out: Path, include_harmful: bool
) -> Published:
    """The files that would go up, written into `out`. The hub is asked which data sets are gated: the
    prompts of one that it does not call open are kept back."""
    gated = [name for name in _handed_out(run, specs) if not _is_open(name)]
    return export_dataset(run, specs, out, include_harmful, gated)


def _handed_out(run: FinishedRun, specs: Mapping[str, TaskSpec]) -> Collection[str]:
    rule = Rule(run, specs)
    open_tasks = (rule.spec(t) for t in run.scores.tasks if rule.of_prompts(t) is None)
    return {s.hub_id for s in open_tasks if s is not None and s.hub_id and s.kind == "generative"}


def _is_open(name: str) -> bool:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    with _explained(name):
        try:
            found: Any = HfApi().dataset_info(name)
        except HfHubHTTPError:
            return False
    return found.gated is False and not found.private


def upload(target: Target, published: Published, message: str) -> str:
    """Make the repository if it is not there and put the files into it in one commit; its address.

    Raises UserError where the token may not, or the hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with _explained(target.name):
        if not target.exists:
            api.create_repo(target.name, repo_type="dataset", private=target.private)
        done = api.create_commit(
            target.name,
            [CommitOperationAdd(p.name, p) for p in published.files if p.name in FILES],
            commit_message=message,
            repo_type="dataset",
        )
    return str(done.repo_url)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turns what the hub's library raises about `name` into one sentence."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise UserError(f"The hub takes {name} from nobody without a token: {_TOKEN}.") from error
    except HFValidationError as error:
        raise UserError(
            f"{name!a} is no name of a data set on the hub: give --to-hub one like org/name."
        ) from error
    except OfflineModeIsEnabled as error:
        raise UserError(
            "HF_HUB_OFFLINE keeps this command off the network: unset it to push."
        ) from error
    except HfHubHTTPError as error:
        raise UserError(_refusal(error, name)) from error
    except Exception as error:
        if not hub.is_unreachable(error):
            raise
        raise UserError(
            f"The hub cannot be reached ({first_line(error)}): give the command again where it can."
        ) from error


def _status(error: Any) -> int:
    return error.response.status_code if error.response is not None else 0


def _refusal(error: Any, name: str) -> str:
    status = _status(error)
    if status == 401:
        return f"The hub does not take the token: {_TOKEN}."
    if status == 403:
        return f"The token may not write to {name}: {_TOKEN}, or give --to-hub a name of your own."
    if status >= 500 or status == 429:
        return f"The hub cannot take {name} now (HTTP {status}): give the command again later."
    return f"The hub refused {name} ({first_line(error)}): give --to-hub another name."
