"""Planning for `--defence`: which are put around the models, and whether they can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bfpo_bench.defences.defence import Defence
from bfpo_bench.defences.load import load_defence
from bfpo_bench.engines.subject import Subject, load_tokenizer, model_files
from bfpo_bench.engines.tokens import MIN_NEW_TOKENS, render, takes_system
from bfpo_bench.errors import UserError
from bfpo_bench.names import behind
from bfpo_bench.request import Request
from bfpo_bench.runs.identity import Settings
from bfpo_bench.suite.tasks import TaskSpec


def defences_of(request: Request, tasks: Sequence[TaskSpec]) -> tuple[Defence | None, ...]:
    """In the order given, None being the bare model, which is all there is where none is given.

    Raises UserError for a name that is none of ours or is given twice, and for tasks without an
    answer to defend.
    """
    found = tuple(load_defence(name) for name in request.defences)
    if twice := [n for n in request.defences if request.defences.count(n) > 1]:
        raise UserError(f"--defence {twice[0]} is given twice: name it once.")
    if any(found) and not any(t.kind == "generative" for t in tasks):
        raise UserError(
            "--defence guards what a model writes, and these tasks compare log-likelihoods alone: add "
            "generative tasks, or leave it out."
        )
    return found or (None,)


def defended(
    subject: Subject,
    defence: Defence | None,
    request: Request,
    settings: Settings,
    progress: Callable[[str], None],
) -> Subject:
    """The subject behind the defence, which is another subject: another run and another row.

    Raises UserError where the defence needs a conversation and there is no chat template, and where it
    leaves no room for one in the model's context. A hosted model's context is not known here.
    """
    if defence is None:
        return subject
    template = request.chat_template and subject.identity.chat_template is not None
    if defence.turns and not template:
        why = "--no-chat-template leaves none" if request.chat_template is False else "it has none"
        raise UserError(
            f"--defence {defence.name} gives {subject.name} earlier turns of a conversation, which need a "
            f"chat template, and {why}: use --defence instruction."
        )
    if not subject.hosted:
        progress(f"fitting {defence.name} into the context of {subject.name}")
        _check_room(subject, defence, settings, template)
    return guarded(subject, defence)


def guarded(subject: Subject, defence: Defence | None) -> Subject:
    """The same files under the defence's name and identity, unchecked."""
    if defence is None:
        return subject
    name = behind(subject.name, defence.name)
    named = {"name": name, "defence": defence.identity}
    return replace(subject, name=name, identity=subject.identity.model_copy(update=named))


def _check_room(subject: Subject, defence: Defence, settings: Settings, template: bool) -> None:
    """Raises UserError unless as many tokens are left for a request, and as many for its answer, as an
    answer must have at least."""
    folder = subject.tokenizer_source.materialise(weights=False)
    tokenizer = load_tokenizer(folder, subject.remote_code)
    context = model_files(subject, tokenizer, settings.context, {}, 0, weights=False).context
    empty = [{"role": "user", "content": ""}]
    if settings.system_prompt is not None:
        empty.insert(0, {"role": "system", "content": settings.system_prompt})
    asked = [defence.conversation(empty, takes_system(tokenizer, template))]
    if defence.checks is not None:
        asked.append([{"role": "user", "content": defence.question("", "")}])
    words = max(len(render(tokenizer, messages, template).tokens) for messages in asked)
    if (needed := words + 2 * MIN_NEW_TOKENS) > context:
        raise UserError(
            f"--defence {defence.name} puts {words} tokens of its own before {subject.name}, whose context "
            f"here is {context} and would have to be {needed} at least: leave that defence out, or measure "
            "a model with a longer context."
        )
