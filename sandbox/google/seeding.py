"""Filling the domain from an organisation file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.google.accounts import Account
from sandbox.google.gmail.labels import create_label
from sandbox.google.gmail.mime import MAILS, Mail, crlf

if TYPE_CHECKING:
    from sandbox.google.vendor import Google

Json = dict[str, Any]


@lru_cache(maxsize=4000)
def _read(path: Path, changed: int) -> bytes:
    return crlf(path.read_bytes())


def seed(google: Google, org: Json, mail: Path | None) -> None:
    """Add users, labels and mails; ValueError names the entry that makes no sense."""
    for user in org.get("users", ()):
        if user.get("mail") == "google" and google.directory.find(user["email"]) is None:
            number = str(100_000_000_000_000_000_000 + google.frame.random.getrandbits(60))
            google.directory.add(
                Account(
                    user["email"],
                    user.get("name", ""),
                    tuple(user.get("aliases", ())),
                    google.open_mailbox(user["email"]),
                    number=number,
                )
            )
    for address, labels in (org.get("google") or {}).get("labels", {}).items():
        box = google.directory.get(address).mailbox
        for label in labels:
            create_label(box, label)
    entries = [(entry, _mail(entry, mail)) for entry in org.get("mail", ()) if _ours(google, entry)]
    entries.sort(key=lambda pair: _date_ms(pair[0], pair[1]))
    for entry, parsed in entries:
        _place(google, entry, parsed)


def _ours(google: Google, entry: Json) -> bool:
    return any(google.directory.find(address) is not None for address in entry.get("in", {}))


def _mail(entry: Json, folder: Path | None) -> Mail:
    if "raw" in entry:
        return MAILS.get(crlf(entry["raw"].encode("utf-8")))
    if folder is None:
        raise ValueError(f"mail {entry.get('file')!r}: no mail folder was given")
    path = folder / entry["file"]
    try:
        return MAILS.get(_read(path, path.stat().st_mtime_ns))
    except OSError as error:
        raise ValueError(f"mail {entry['file']!r}: {error}") from None


def _date_ms(entry: Json, mail: Mail) -> int:
    given = entry.get("date")
    if isinstance(given, str):
        given = datetime.fromisoformat(given)
    if isinstance(given, datetime) and given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    moment = given or mail.date
    return int(moment.timestamp() * 1000) if moment else 0


def _place(google: Google, entry: Json, mail: Mail) -> None:
    for address, how in entry["in"].items():
        account = google.directory.find(address)
        if account is None:
            continue
        box, labels = account.mailbox, []
        for name in (how or {}).get("labels", ("INBOX",)):
            try:
                labels.append(box.label(name).id)
            except LookupError:
                labels.append(create_label(box, {"name": name}).id)
        box.add(mail, labels, _date_ms(entry, mail), box.thread_for(mail), record=False)
