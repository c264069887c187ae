"""Filling the tenant from an organisation file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.directory import Account
from sandbox.microsoft.graph.items import Folder
from sandbox.microsoft.graph.mailbox import Mailbox
from sandbox.microsoft.mail.kind import kind_of
from sandbox.microsoft.mail.mime import MAILS, Mail, crlf

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]


@lru_cache(maxsize=4000)
def _read(path: Path, changed: int) -> bytes:
    return crlf(path.read_bytes())


def seed(microsoft: Microsoft, org: Json, mail: Path | None) -> None:
    """Add users, folders, categories and mails; ValueError names the entry that makes no sense."""
    directory = microsoft.directory
    for user in org.get("users", ()):
        if user.get("mail") == "microsoft" and directory.find(user["email"]) is None:
            directory.add(
                Account(
                    user["email"],
                    user.get("name", ""),
                    tuple(user.get("aliases", ())),
                    microsoft.open_mailbox(user["email"]),
                    title=user.get("title", ""),
                )
            )
            domains = (address.rpartition("@")[2] for address in (user["email"], *user.get("aliases", ())))
            directory.domains = list(dict.fromkeys([*directory.domains, *domains]))
    part = org.get("microsoft") or {}
    for address, folders in (part.get("folders") or {}).items():
        for folder in folders:
            make_folder(directory.get(address).mailbox, f"{folder.get('parent') or ''}/{folder['name']}".strip("/"))
    for address, categories in (part.get("categories") or {}).items():
        for category in categories:
            directory.get(address).mailbox.add_category(category["name"], category.get("color", "none"))
    entries = [(entry, _mail(entry, mail)) for entry in org.get("mail", ()) if _ours(microsoft, entry)]
    entries.sort(key=lambda pair: _moment(pair[0], pair[1]))
    for entry, parsed in entries:
        _place(microsoft, entry, parsed)


def make_folder(box: Mailbox, path: str) -> Folder:
    """The folder of a path of names; what is missing is made."""
    try:
        return box.at_path(path)
    except LookupError:
        parent, _, name = path.rpartition("/")
        return box.create_folder(make_folder(box, parent) if parent else box.root, name)


def _ours(microsoft: Microsoft, entry: Json) -> bool:
    return any(microsoft.directory.find(address) is not None for address in entry.get("in", {}))


def _mail(entry: Json, folder: Path | None) -> Mail:
    if "raw" in entry:
        return MAILS.get(entry["raw"].encode("utf-8"))
    if folder is None:
        raise ValueError(f"mail {entry.get('file')!r}: no mail folder was given")
    path = folder / entry["file"]
    try:
        return MAILS.get(_read(path, path.stat().st_mtime_ns))
    except OSError as error:
        raise ValueError(f"mail {entry['file']!r}: {error}") from None


def _moment(entry: Json, mail: Mail) -> float:
    given = entry.get("date")
    if isinstance(given, str):
        given = datetime.fromisoformat(given)
    if isinstance(given, datetime):
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()
    return mail.date or 0.0


def _place(microsoft: Microsoft, entry: Json, mail: Mail) -> None:
    moment = _moment(entry, mail)
    for address, how in entry["in"].items():
        account = microsoft.directory.find(address)
        if account is None:
            continue
        how = how or {}
        box = account.mailbox
        item = box.new_item(make_folder(box, how.get("folder", "Inbox")), mail, moment, mail.date or moment)
        item.kind = kind_of(mail)
        item.is_read = not how.get("unread", True)
        item.is_draft = item.folder.well_known == "drafts"
        item.categories = list(how.get("categories", ()))
        box.add(item, quiet=True)
