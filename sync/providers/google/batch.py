"""Many Google calls in one HTTP call (providers.md 1.2).

Each part pays its own units and has its own outcome. Parts that are refused for rate while others pass are normal: they
are tried once more, singly, until one is refused again; the rest stays `Busy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from googleapiclient.errors import HttpError

from sync.errors import Busy, Denied, RemoteError
from sync.providers.google import errors
from sync.providers.google.http import Api, Call
from sync.providers.google.quota import BATCH_PARTS, UNITS

Answer = dict[str, Any] | RemoteError


def run(api: Api, calls: Sequence[Call]) -> list[Answer]:
    """The answers in order, one HTTP call per 50; an error in place of a part that was refused.

    Raises `Busy` when nothing at all was done, and `Denied` always: it is about the mailbox, not about one part.
    """
    answers: list[Answer] = []
    for start in range(0, len(calls), BATCH_PARTS):
        chunk = calls[start : start + BATCH_PARTS]
        try:
            answers += [_single(api, chunk[0])] if len(chunk) == 1 else _multipart(api, chunk)
        except Busy as error:
            if not answers:
                raise
            answers += [error] * (len(calls) - len(answers))
            break
    if len(calls) == 1 and isinstance(answers[0], Busy):
        raise answers[0]
    for answer in answers:
        if isinstance(answer, Denied):
            raise answer
    return answers


def _single(api: Api, call: Call) -> Answer:
    try:
        return api.call(call)
    except RemoteError as error:
        return error


def _read(api: Api, call: Call, reply: Any) -> Answer:
    try:
        return api.read(call.method, reply)
    except Busy as error:
        return error


def _multipart(api: Api, calls: Sequence[Call]) -> list[Answer]:
    replies: dict[str, Any] = {}

    def collect(number: str, body: Any, error: HttpError | None) -> None:
        replies[number] = body if error is None else error

    request = api.client.new_batch_http_request(callback=collect)
    for number, call in enumerate(calls):
        request.add(call.request, request_id=str(number))
    methods = {call.method for call in calls}
    api.send(
        methods.pop() if len(methods) == 1 else "batch",
        sum(UNITS[call.method] for call in calls),
        all(call.repeatable for call in calls),
        request.execute,
    )
    return _settled(api, calls, [replies[str(number)] for number in range(len(calls))])


def _settled(api: Api, calls: Sequence[Call], replies: Sequence[Any]) -> list[Answer]:
    """Refusals as errors of ours, after the second try of those that may pass."""
    answers: list[Answer] = []
    stopped: Busy | None = None
    for call, reply in zip(calls, replies, strict=True):
        if not isinstance(reply, HttpError):
            answers.append(_read(api, call, reply))
            continue
        refusal = errors.read(reply)
        if not refusal.passing:
            answers.append(api.refused(refusal, call.method))
            continue
        if stopped is None:
            again = (
                _single(api, call) if _at_once(refusal, call) else api.refused(refusal, call.method, call.repeatable)
            )
            stopped = again if isinstance(again, Busy) else None
            answers.append(again)
            continue
        answers.append(stopped)
    return answers


def _at_once(refusal: errors.Refusal, call: Call) -> bool:
    """Whether a refused part may be sent again now: no wait was told, and twice is no harm."""
    return not refusal.wait and (call.repeatable or refusal.limited)
