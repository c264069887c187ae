"""users.getProfile, watch and stop (`providers.md 1.5 GM-17`)."""

from __future__ import annotations

import re
from typing import Any

from sandbox.google.call import Call, operation
from sandbox.google.errors import failed_precondition, invalid
from sandbox.google.gmail.labels import check_known

Json = dict[str, Any]
WATCH_DAYS = 7
TOPIC = re.compile(r"projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/topics/[A-Za-z][\w.~+%-]{2,254}")


@operation("gmail.users.getProfile")
def profile(call: Call) -> Json:
    """Address, totals and the current history id."""
    box = call.account.mailbox
    return {
        "emailAddress": call.account.email,
        "messagesTotal": len(box.messages),
        "threadsTotal": len(box.threads),
        "historyId": str(box.history.touch()),
    }


@operation("gmail.users.watch")
def watch(call: Call) -> Json:
    """Watch or renew, for seven days; a second topic is refused until stop."""
    box, now = call.account.mailbox, call.google.frame.clock.time()
    topic = call.body.get("topicName", "")
    if not TOPIC.fullmatch(topic):
        raise invalid(f"Invalid topicName does not match {TOPIC.pattern}")
    for name in call.body.get("labelIds", []):
        check_known(box, name)
    if box.watch and box.watch["expires"] > now and box.watch["topic"] != topic:
        raise failed_precondition(
            "Only one user push notification client allowed per developer (call /stop then try again)"
        )
    expires = now + WATCH_DAYS * 86400
    behavior = call.body.get("labelFilterBehavior") or call.body.get("labelFilterAction") or "include"
    box.watch = {"topic": topic, "expires": expires, "labels": call.body.get("labelIds", []), "behavior": behavior}
    return {"historyId": str(box.history.touch()), "expiration": str(int(expires * 1000))}


@operation("gmail.users.stop")
def stop(call: Call) -> None:
    """No more notifications; no error when there were none."""
    call.account.mailbox.watch = None
