"""Many Graph calls in one HTTP call (providers.md 2.9).

Graph answers with 200 whatever became of the parts, in any order, and runs four of them at once. Each part pays and
has its own outcome. Parts that are refused for rate while others pass are normal: they are tried once more, singly,
until one is refused again; the rest stays `Busy`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sync.errors import Busy, Conflict, Denied, RemoteError
from sync.providers.microsoft import errors
from sync.providers.microsoft.http import Api, Call
from sync.providers.microsoft.quota import BATCH_BYTES, BATCH_PARTS

Answer = Any  # a part's JSON, its bytes for a raw one, or the RemoteError it was refused with
Reply = Mapping[str, Any]  # a part's answer as the batch has it
REFUSED = 401  # the token
UNDONE = 424  # a part whose predecessor failed


def run(api: Api, calls: Sequence[Call]) -> list[Answer]:
    """The answers in order, one HTTP call per 20; an error in place of a part that was refused.

    Raises `Busy` when nothing at all was done, and `Denied` always: it is about the mailbox, not about one part.
    """
    answers: list[Answer] = []
    for chunk in _chunks(calls):
        try:
            answers += [_single(api, chunk[0])] if len(chunk) == 1 else _multiple(api, chunk)
        except Busy as error:
            if not answers:
                raise
            answers += [error] * (len(calls) - len(answers))
            break
    return _judged(answers)


def sequence(api: Api, calls: Sequence[Call]) -> list[Answer]:
    """Up to 20 calls in one HTTP call, each after the one before; what comes after a refused one is not done and gets a
    `Conflict`. Nothing is tried again."""
    if len(calls) == 1:
        return _judged([_single(api, calls[0])])
    return _judged(
        [_error(api, call, reply) for call, reply in zip(calls, _send(api, calls, ordered=True), strict=True)]
    )


def sure(answer: Answer) -> dict[str, Any]:
    """The answer's JSON, or its error raised."""
    if isinstance(answer, RemoteError):
        raise answer
    found: dict[str, Any] = answer
    return found


def _judged(answers: list[Answer]) -> list[Answer]:
    if len(answers) == 1 and isinstance(answers[0], Busy):
        raise answers[0]
    for answer in answers:
        if isinstance(answer, Denied):
            raise answer
    return answers


def _chunks(calls: Sequence[Call]) -> Iterator[list[Call]]:
    chunk: list[Call] = []
    size = 0
    for call in calls:
        length = len(call.path) + len(json.dumps(call.body or {})) + 300
        if chunk and (len(chunk) == BATCH_PARTS or size + length > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(call)
        size += length
    if chunk:
        yield chunk


def _single(api: Api, call: Call) -> Answer:
    try:
        return api.call(call)
    except RemoteError as error:
        return error


def _multiple(api: Api, calls: Sequence[Call]) -> list[Answer]:
    """Refusals as errors of ours, after the second try of those that may pass."""
    answers: list[Answer] = []
    stopped: Busy | None = None
    for call, reply in zip(calls, _send(api, calls), strict=True):
        refusal = _refusal(reply)
        if refusal is None or not refusal.passing:
            answers.append(_error(api, call, reply))
            continue
        if stopped is None:
            again = _single(api, call) if _at_once(refusal, call) else _error(api, call, reply)
            stopped = again if isinstance(again, Busy) else None
            answers.append(again)
            continue
        answers.append(stopped)
    return answers


def _at_once(refusal: errors.Refusal, call: Call) -> bool:
    """Whether a refused part may be sent again now: twice is no harm, and the wait that was told is as good as over."""
    return (call.repeatable or refusal.limited) and not refusal.wait


def _send(api: Api, calls: Sequence[Call], *, ordered: bool = False) -> list[Reply]:
    """The replies in the calls' order, with status, headers and body. Parts that refuse the token, and what was not
    done because of them, are sent once more with a new one."""
    replies = _post(api, calls, ordered)
    refused = [number for number, reply in enumerate(replies) if _status(reply) == REFUSED]
    if not refused:
        return replies
    api.renew(errors.challenge(replies[refused[0]].get("headers") or {}))
    again = [number for number, reply in enumerate(replies) if _status(reply) in (REFUSED, UNDONE)]
    for number, reply in zip(again, _post(api, [calls[number] for number in again], ordered), strict=True):
        replies[number] = reply
    return replies


def _post(api: Api, calls: Sequence[Call], ordered: bool) -> list[Reply]:
    parts = [_part(number, call) for number, call in enumerate(calls)]
    if ordered:
        for number, part in enumerate(parts[1:]):
            part["dependsOn"] = [str(number)]
    methods = {call.method for call in calls}
    name = methods.pop() if len(methods) == 1 else "batch"
    outer = Call(name, "POST", "/$batch", {"requests": parts}, {}, all(call.repeatable for call in calls))
    body = api.json(name, api.send(name, outer, len(calls)))
    replies = body.get("responses")
    found = {str(reply.get("id")): reply for reply in replies or () if isinstance(reply, dict)}
    missing = {"status": 504}  # a part without an answer
    return [found.get(str(number), missing) for number in range(len(calls))]


def _status(reply: Reply) -> int:
    return int(reply.get("status") or 504)


def _part(number: int, call: Call) -> dict[str, Any]:
    part: dict[str, Any] = {"id": str(number), "method": call.verb, "url": call.path, "headers": dict(call.headers)}
    if call.body is not None:
        part["headers"]["Content-Type"] = "application/json"
        part["body"] = call.body
    return part


def _refusal(reply: Reply) -> errors.Refusal | None:
    status = _status(reply)
    return errors.read(status, reply.get("headers") or {}, reply.get("body")) if status >= 400 else None


def _error(api: Api, call: Call, reply: Reply) -> Answer:
    """What the caller gets of one reply."""
    refusal = _refusal(reply)
    if refusal is not None and refusal.status == UNDONE:
        return Conflict("the step before failed", vendor=errors.VENDOR, operation=call.method, status=refusal.status)
    if refusal is not None:
        return api.refused(refusal, call.method, call.repeatable)
    body = reply.get("body")
    if call.raw:
        return _bytes(body)
    return body if isinstance(body, dict) else {}


def _bytes(body: object) -> bytes:
    """What is no JSON comes in base64 (providers.md 2.9), or as the text that it is."""
    if not isinstance(body, str):
        return b""
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return body.encode("utf-8", "surrogateescape")
