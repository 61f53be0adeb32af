"""Planning for `--engine server`: which model the servers have, and whether they can do what a run asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bfpo_bench.engines.base import Remote
from bfpo_bench.engines.hosted import hosted_subject
from bfpo_bench.engines.select import EngineChoice
from bfpo_bench.engines.server.needs import (
    Kinds,
    check_chat,
    check_context,
    check_tokens,
    counted,
    described,
    long_choices,
)
from bfpo_bench.engines.subject import (
    Parts,
    Subject,
    identified,
    load_tokenizer,
    model_files,
    open_parts,
)
from bfpo_bench.engines.trust import Trust
from bfpo_bench.errors import UserError
from bfpo_bench.names import existing
from bfpo_bench.plan_defences import defences_of, guarded
from bfpo_bench.plan_levels import levelled, levels_of
from bfpo_bench.request import Request
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.identity import Settings, run_id, short_name
from bfpo_bench.suite.tasks import TaskSpec

if TYPE_CHECKING:
    from bfpo_bench.engines.server.capabilities import Capabilities

ENGINE = "server"
NAME = "served_model_name"

Told = Callable[[str], None]


@dataclass(frozen=True)
class OnServers:
    """A model as servers have it."""

    subject: Subject
    engine: EngineChoice
    remote: Remote


def check_servers(request: Request) -> None:
    """Raises UserError for servers without the engine that asks them, and the other way round."""
    if request.engine == ENGINE and not request.servers:
        raise UserError(
            "--engine server asks servers, and none is named: give --server URL, up to /v1 "
            "(`bfpo-bench run` and `plan` take it)."
        )
    if request.servers and request.engine != ENGINE:
        raise UserError("--server is for --engine server: give that, too, or leave it out.")
    if request.engine != ENGINE:
        return
    from bfpo_bench.engines.server.arguments import check_server_arguments

    check_server_arguments(request.engine_arguments)
    if hosted(request) and not request.chat_template:
        raise UserError(
            "--engine-arg api=chat sends messages, which the server puts through its model's template: "
            "leave out --no-chat-template, or ask the model by its files."
        )


def hosted(request: Request) -> bool:
    """Whether models are known by their names on the servers alone."""
    return request.engine == ENGINE and request.engine_arguments.get("api") == "chat"


def check_not_started(tasks: Sequence[TaskSpec]) -> None:
    """Raises UserError for tasks that begin an answer with tokens, of which messages have none."""
    started = [t.name for t in tasks if t.started_with is not None and t.started_with.tokens]
    if started:
        raise UserError(
            f"--engine-arg api=chat sends messages, in which no answer can be started, as "
            f"{', '.join(started)} need{'s' if len(started) == 1 else ''}: leave out api=chat, or leave "
            "those tasks out with --tasks."
        )


def plan_on_servers(
    given: str, request: Request, settings: Settings, tasks: Sequence[TaskSpec], progress: Told
) -> OnServers:
    """The model behind `given` on the request's servers, which have been asked what they can do.

    Raises UserError for a server that cannot be used (see `look_at`), lacks what the run needs, or is
    not like the others, unless the run has all its answers.
    """
    try:
        return _plan(given, request, settings, tasks, progress)
    except UserError as error:
        subject = _answered(given, request, settings, tasks, progress)
        if subject is None:
            raise
        reason = f"which is not needed for what is answered (it says: {error})"
        remote = Remote(servers=_urls(request), served=_name_there(given, request))
        return OnServers(subject, EngineChoice(ENGINE, reason), remote)


def _answered(
    given: str, request: Request, settings: Settings, tasks: Sequence[TaskSpec], progress: Told
) -> Subject | None:
    """The model, if its runs were answered to the end: then no server need be there."""
    from bfpo_bench.resume import once_answered

    sealed = [seals.parent.name for seals in request.out.glob("*/seals.json")]
    if hosted(request):
        subject = hosted_subject(_name_there(given, request), _urls(request))
    else:
        try:
            parts = _parts(given, request, chat=False)
        except UserError:
            return None
        if not any(name.startswith(short_name(parts.source.name)) for name in sealed):
            # Its weights need not be hashed to know that
            return None
        subject = identified(parts, progress)
    behind = [
        guarded(levelled(subject, levels), defence)
        for levels in levels_of(request, subject, progress)
        for defence in defences_of(request, tasks)
    ]
    folders = [request.folder(run_id(one.identity, settings)) for one in behind]
    return subject if all(once_answered(RunFolder(folder)) for folder in folders) else None


def _urls(request: Request) -> tuple[str, ...]:
    return tuple(url.rstrip("/") for url in request.servers)


def _plan(
    given: str, request: Request, settings: Settings, tasks: Sequence[TaskSpec], progress: Told
) -> OnServers:
    from bfpo_bench.api.key import Key
    from bfpo_bench.engines.server.look import look_at_all
    from bfpo_bench.engines.server.party import SUBJECT
    from bfpo_bench.engines.server.same_tokenizer import check_tokenizers

    key = Key.from_environment(SUBJECT)
    progress(f"asking {counted(len(request.servers), 'server')} about {given}")
    found = look_at_all(request.servers, _name_there(given, request), key)
    remote = Remote(servers=tuple(one.url for one in found), served=found[0].name)
    kinds: Kinds = Counter(task.kind for task in tasks)
    if hosted(request):
        check_chat(found, kinds)
        check_not_started(tasks)
        subject = hosted_subject(remote.served, remote.servers)
        return OnServers(subject, EngineChoice(ENGINE, described(found, kinds, chat=True)), remote)
    check_tokens(found, kinds)
    parts = _parts(given, request, all(one.chat for one in found))
    # Before its weights are hashed, which takes minutes of a large folder
    progress(f"comparing the tokenizer of {parts.source.name} with the server's")
    tokenizer = load_tokenizer(parts.tokens.materialise(weights=False), parts.code)
    compared = _compared(found, check_tokenizers(found, tokenizer, parts.source.name, key))
    subject = identified(parts, progress)
    files = model_files(
        subject,
        tokenizer,
        settings.context,
        request.engine_arguments,
        request.seed,
        weights=False,
    )
    check_context(found, files.context)
    notes = [compared, *long_choices(found, files.context, kinds)]
    reason = "; ".join([described(found, kinds, chat=False), *notes])
    return OnServers(subject, EngineChoice(ENGINE, reason), remote)


def _compared(found: Sequence[Capabilities], ways: Sequence[str | None]) -> str:
    """How tokenizers were, in words; never silent about one that was not."""
    unknown = [one.url for one, way in zip(found, ways, strict=True) if way is None]
    if unknown:
        return f"NOTE: nothing at {', '.join(unknown)} shows whether its tokenizer is this model's"
    return f"tokenizer compared {' and '.join(dict.fromkeys(way for way in ways if way))}"


def _name_there(given: str, request: Request) -> str:
    """What the servers are taken to call it: as the user says, else as it is given here."""
    name = request.engine_arguments.get(NAME)
    if name is None:
        whole = hosted(request) or existing(given) is not None
        return given if whole else given.partition("@")[0]
    if not isinstance(name, str) or not name:
        raise UserError(
            f"--engine-arg {NAME} must be the model's name on the server, not {name!r}."
        )
    if len(request.models) > 1:
        raise UserError(
            f"--engine-arg {NAME}={name} is one model's name, and {len(request.models)} are measured: "
            "give one --model."
        )
    return name


def _parts(given: str, request: Request, chat: bool) -> Parts:
    """`chat`: the servers answer messages."""
    # Weights are the server's affair: none is read here
    trust = Trust(given in request.trust_remote_code, pickle=True)
    try:
        parts = open_parts(given, trust)
    except UserError as error:
        if not chat:
            raise
        raise UserError(
            f"{str(error).removesuffix('.')}; one that is known by its name on the server alone is "
            "asked with --engine-arg api=chat."
        ) from error
    if parts.routed:
        raise UserError(
            f"{parts.source.name} is a router over LoRA experts, which no server has loaded: ask it with "
            "--engine transformers."
        )
    return parts
