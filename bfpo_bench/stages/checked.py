"""Responses behind a self-check: the subject is asked about the request, or about its own answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bfpo_bench.defences.defence import Defence
from bfpo_bench.defences.question import read_check
from bfpo_bench.engines.base import Engine, Failure, Generation, GenerationRequest, Told
from bfpo_bench.engines.events import beginning
from bfpo_bench.engines.tokens import fit, render
from bfpo_bench.judges.reasoning import strip_reasoning
from bfpo_bench.progress import Progress, Report
from bfpo_bench.runs.checks import (
    Check,
    checks_file,
    stored_answers,
    stored_checks,
    unchecked_file,
)
from bfpo_bench.runs.folder import RunFolder
from bfpo_bench.runs.jsonl import Appender
from bfpo_bench.runs.records import Response, ResponseKey
from bfpo_bench.stages.asked import Asked, Asking
from bfpo_bench.stages.counted import each_once

Made = Callable[[Asked, Generation | Failure, str, Any], Response]
"""What is stored of an answer, or of a failure: (asked, given, engine's name, tokenizer)."""


@dataclass(frozen=True)
class Checked:
    """The loaded engine, whose run it works for, and how its responses are made of what it gives."""

    run: RunFolder
    engine: Engine
    tokenizer: Any
    how: Asking
    defence: Defence
    made: Made

    def response(self, asked: Asked, given: Generation | Failure) -> Response:
        return self.made(asked, given, self.engine.name, self.tokenizer)


def checked_responses(through: Checked, todo: Sequence[Asked], report: Report) -> None:
    """Answer and check whatever of `todo` is not yet, and store each response when both are done.

    A check is stored before the response that it decides about. Where the engine fails on a check the
    response has that failure, and neither answer nor refusal.
    """
    if not todo:
        return
    try:
        if through.defence.checks == "input":
            _requests_first(through, todo, report)
        else:
            _answers_first(through, todo, report)
    finally:
        through.run.forget_faults()


def _requests_first(through: Checked, todo: Sequence[Asked], report: Report) -> None:
    questions = {_key(a): through.defence.question(_request(a), "") for a in todo}
    with Appender(through.run.responses_file) as file:
        checks: dict[ResponseKey, Check] = {}
        for asked, check in _checks(through, todo, questions, report):
            if isinstance(check, Failure):
                file.append(through.response(asked, check).dump())
            else:
                checks[_key(asked)] = check
                if check.blocked:
                    file.append(_blocked(through, _unasked(through, asked), check).dump())
        passed = [a for a in todo if _key(a) in checks and not checks[_key(a)].blocked]
        for asked, given in _generated(through, passed, "responses", report):
            told = checks[_key(asked)].told()
            file.append(replace(through.response(asked, given), defence=told).dump())


def _answers_first(through: Checked, todo: Sequence[Asked], report: Report) -> None:
    answers = stored_answers(through.run)
    with Appender(through.run.responses_file) as file:
        with Appender(unchecked_file(through.run)) as waiting:
            unanswered = [a for a in todo if _key(a) not in answers]
            for asked, given in _generated(through, unanswered, "responses", report):
                answer = through.response(asked, given)
                if isinstance(given, Failure):
                    file.append(answer.dump())
                else:
                    answers[answer.key] = answer
                    waiting.append(answer.dump())
        questions: dict[ResponseKey, str] = {}
        for asked in (a for a in todo if _key(a) in answers):
            answer = answers[_key(asked)]
            if text := _read(answer):
                questions[_key(asked)] = through.defence.question(_request(asked), text)
            else:
                # Nothing is said that could be harmful, or looked at
                file.append(answer.dump())
        for asked, check in _checks(through, todo, questions, report):
            answer = answers[_key(asked)]
            if isinstance(check, Failure):
                file.append(through.response(asked, check).dump())
            elif check.blocked:
                file.append(_blocked(through, answer, check).dump())
            else:
                file.append(replace(answer, defence=check.told()).dump())


def _read(answer: Response) -> str:
    """What whoever reads the answer reads, and so what it was started with as well: without a trace, and
    empty where the subject said nothing."""
    told = strip_reasoning(answer.response, opened=answer.reasoning_open).text
    if not told or answer.started is None:
        return told
    # It goes on within a line, perhaps within a word: what it begins with is where it was left
    if told == answer.response.strip():
        return f"{answer.started}{answer.response.rstrip()}"
    return f"{answer.started} {told}"


def _checks(
    through: Checked,
    todo: Sequence[Asked],
    questions: Mapping[ResponseKey, str],
    report: Report,
) -> Iterator[tuple[Asked, Check | Failure]]:
    """The check of each that has a question: those that are stored first, then what the subject says
    to the others, stored before it is given. A stored one counts for the same question alone."""
    stored = stored_checks(through.run)
    known = {k: c for k, c in stored.items() if questions.get(k) == c.asked}
    wanted = [a for a in todo if _key(a) in questions]
    yield from ((a, known[_key(a)]) for a in wanted if _key(a) in known)
    unasked = [a for a in wanted if _key(a) not in known]
    put = [_put(through, asked, questions[_key(asked)]) for asked in unasked]
    places = {_key(question): place for place, question in enumerate(put)}
    with Appender(checks_file(through.run)) as file:
        for question, given in _generated(through, put, "self-checks", report):
            asked = unasked[places[_key(question)]]
            if isinstance(given, Failure):
                yield asked, replace(given, reason=f"its self-check got no answer: {given.reason}")
                continue
            check = _check(through, question, given, questions[_key(asked)])
            file.append(check.dump())
            yield asked, check


def _generated(
    through: Checked, todo: Sequence[Asked], phase: str, report: Report
) -> Iterator[tuple[Asked, Generation | Failure]]:
    if not todo:
        return
    report(beginning(through.engine, phase, len(todo)))
    given = each_once(through.engine.generate([a.request for a in todo]), len(todo))
    for done, (position, generation) in enumerate(given, 1):
        yield todo[position], generation
        report(Progress(phase, done, len(todo)))


def _put(through: Checked, asked: Asked, question: str) -> Asked:
    """The question as a request of its own: one user message, greedy, and as long an answer as the
    task's may be, so that a model which reasons can do so here as well."""
    how, tokenizer = through.how, through.tokenizer
    messages = [{"role": "user", "content": question}]
    most = how.suite.decoding_of(asked.task).max_new_tokens
    seed = asked.request.seed
    if tokenizer is None:
        request = GenerationRequest((), most, seed=seed, messages=tuple(messages))
        return Asked(asked.task, asked.doc_id, messages, request, 0, False, False)
    rendered = render(tokenizer, messages, how.chat_template)
    prompt = fit(rendered.tokens, most, how.context)
    request = GenerationRequest(prompt.tokens, prompt.max_new_tokens, seed=seed)
    opened = rendered.reasoning_open
    return Asked(asked.task, asked.doc_id, messages, request, prompt.cut, prompt.capped, opened)


def _check(through: Checked, question: Asked, given: Generation, text: str) -> Check:
    """What the subject's answer to the question comes to. One that is neither yes nor no blocks
    nothing: a defence refuses where the subject says so, and not where it cannot be understood."""
    told = through.response(question, given)
    reading = read_check(told.response, opened=told.reasoning_open)
    return Check(
        task=told.task,
        doc_id=told.doc_id,
        sample=told.sample,
        asked=text,
        said=told.response,
        reading=reading,
        blocked=reading == "harmful",
        prompt_tokens=told.prompt_tokens,
        response_tokens=told.response_tokens,
        engine=told.engine,
        cut=told.prompt_cut,
    )


def _unasked(through: Checked, asked: Asked) -> Response:
    """The response of a subject that was not asked: no token of its own went in or came out."""
    given = Generation((), "stop", Told("", 0, 0))
    return through.response(replace(asked, cut=0, capped=False), given)


def _blocked(through: Checked, answer: Response, check: Check) -> Response:
    """The refusal in the place of the answer, whose trace, if it opened one, is gone with it. The
    answer's tokens stay counted: the subject wrote them."""
    return replace(
        answer,
        response=through.defence.refusal,
        finish_reason="stop",
        reasoning_open=False,
        started=None,
        defence=check.told(),
    )


def _key(asked: Asked) -> ResponseKey:
    return asked.task, asked.doc_id, 0


def _request(asked: Asked) -> str:
    return asked.messages[-1]["content"]


def check_counts(run: RunFolder, counts: Mapping[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """The counts of each task, with those of its self-checks where there are any: how many, how many
    blocked the response, said neither yes nor no or were asked a question that was cut, and their tokens, which are none of the responses'."""
    found = {task: dict(count) for task, count in counts.items()}
    for response in run.responses():
        told = response.defence
        if told is None or response.task not in found:
            continue
        mine = found[response.task]
        more = {
            "checks": 1,
            "blocked": int(told["blocked"]),
            "checks_neither": int(told["reading"] == "neither"),
            "checks_cut": int(told["cut"] > 0),
            "check_prompt_tokens": told["prompt_tokens"] or 0,
            "check_tokens": told["response_tokens"] or 0,
        }
        for name, value in more.items():
            mine[name] = mine.get(name, 0) + value
    return found
