"""Every request that the adapter makes of one mailbox, by the library's URL builders.

`$select` always: without it Graph sends bodies (providers.md 2.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from kiota_abstractions.request_adapter import RequestAdapter
from msgraph.generated.users.users_request_builder import UsersRequestBuilder

from sync.providers.microsoft.http import Call, call

FOLDER = ["id", "displayName", "parentFolderId", "totalItemCount"]
ITEM = [
    *("id", "parentFolderId", "conversationId", "internetMessageId", "categories", "from", "isDraft", "hasAttachments"),
    *("receivedDateTime", "createdDateTime", "lastModifiedDateTime"),
]
PAGE = 100
CHANGES_PAGE = 200
FOLDER_PAGE = 500
TWINS = 25  # messages of one Message-ID that are looked at
_SPACE = "{5f0b6c1a-9d0e-4c55-8a53-0d1c7ce2b9a4}"  # of the properties that are ours
KEY = f"String {_SPACE} Name MailspanKey"
REVISION = f"String {_SPACE} Name MailspanRevision"
OURS = f"singleValueExtendedProperties($filter=id eq '{KEY}' or id eq '{REVISION}')"


def quoted(text: str) -> str:
    """A text of a filter."""
    return "'" + text.replace("'", "''") + "'"


class Calls:
    """Requests of one mailbox; they are sent by `http.Api`."""

    def __init__(self, address: str) -> None:
        # The builders make URLs only; nothing is sent through them.
        self._user = UsersRequestBuilder(cast(RequestAdapter, object()), {}).by_user_id(address)

    # --- folders --------------------------------------------------------------------------------------------------

    def folder(self, folder: str) -> Call:
        """One folder, by id or well-known name."""
        return call("mailFolders.get", "GET", self._user.mail_folders.by_mail_folder_id(folder), select=FOLDER)

    def counts(self, folder: str) -> Call:
        """One folder, with the number of those in it."""
        builder = self._user.mail_folders.by_mail_folder_id(folder)
        return call("mailFolders.get", "GET", builder, select=[*FOLDER, "childFolderCount"])

    def children(self, folder: str) -> Call:
        """The folders below one; pages."""
        builder = self._user.mail_folders.by_mail_folder_id(folder).child_folders
        return call("mailFolders.list", "GET", builder, select=FOLDER, top=FOLDER_PAGE)

    def create_folder(self, parent: str, name: str) -> Call:
        builder = self._user.mail_folders.by_mail_folder_id(parent).child_folders
        return call("mailFolders.create", "POST", builder, {"displayName": name}, repeatable=False)

    def rename_folder(self, folder: str, name: str) -> Call:
        builder = self._user.mail_folders.by_mail_folder_id(folder)
        return call("mailFolders.update", "PATCH", builder, {"displayName": name})

    def move_folder(self, folder: str, parent: str) -> Call:
        builder = self._user.mail_folders.by_mail_folder_id(folder).move
        return call("mailFolders.move", "POST", builder, {"destinationId": parent})

    def delete_folder(self, folder: str) -> Call:
        """Into Deleted Items, with all that is in it; one that lies there is gone for its user."""
        return call("mailFolders.delete", "DELETE", self._user.mail_folders.by_mail_folder_id(folder))

    # --- categories -----------------------------------------------------------------------------------------------

    def categories(self) -> Call:
        """The master list; pages."""
        builder = self._user.outlook.master_categories
        return call("masterCategories.list", "GET", builder, select=["id", "displayName"])

    def create_category(self, name: str, color: str) -> Call:
        body = {"displayName": name, "color": color}
        return call("masterCategories.create", "POST", self._user.outlook.master_categories, body, repeatable=False)

    def delete_category(self, category: str) -> Call:
        """Off the master list, by its id there."""
        builder = self._user.outlook.master_categories.by_outlook_category_id(category)
        return call("masterCategories.delete", "DELETE", builder)

    # --- messages -------------------------------------------------------------------------------------------------

    def lying(self, folder: str) -> Call:
        """What lies in a folder; pages."""
        builder = self._user.mail_folders.by_mail_folder_id(folder).messages
        return call("messages.list", "GET", builder, select=ITEM, top=PAGE)

    def wearing(self, category: str) -> Call:
        """The messages of the whole mailbox that have this category; pages."""
        wanted = f"categories/any(c:c eq {quoted(category)})"
        return call("messages.list", "GET", self._user.messages, select=ITEM, top=PAGE, filter=wanted)

    def twins(self, internet_message_id: str) -> Call:
        """The messages of the whole mailbox that have this Message-ID."""
        wanted = f"internetMessageId eq {quoted(internet_message_id)}"
        return call("messages.list", "GET", self._user.messages, select=ITEM, top=TWINS, filter=wanted)

    def message(self, message: str) -> Call:
        return call("messages.get", "GET", self._user.messages.by_message_id(message), select=ITEM)

    def mime(self, message: str) -> Call:
        """The whole message as it came."""
        return call("messages.value", "GET", self._user.messages.by_message_id(message).content, raw=True)

    def categorise(self, message: str, categories: Sequence[str], etag: str) -> Call:
        """Replace the categories, if the message is still the one that was read."""
        builder = self._user.messages.by_message_id(message)
        body: dict[str, Any] = {"categories": list(categories)}
        return call("messages.update", "PATCH", builder, body, etag=etag)

    def move(self, message: str, folder: str) -> Call:
        """To a folder, by id or well-known name. Twice is the same as once: ids survive moves."""
        builder = self._user.messages.by_message_id(message).move
        return call("messages.move", "POST", builder, {"destinationId": folder})

    def conversation(self, thread: str) -> Call:
        """The messages of a conversation, wherever they lie, in no order (providers.md 2.4); pages."""
        wanted = f"conversationId eq {quoted(thread)}"
        return call("messages.list", "GET", self._user.messages, select=ITEM, top=PAGE, filter=wanted)

    # --- our notes (providers.md 2.7, 2.8) ------------------------------------------------------------------------

    def create_note(self, place: str, body: Mapping[str, Any]) -> Call:
        builder = self._user.mail_folders.by_mail_folder_id(place).messages
        return call("messages.create", "POST", builder, body, repeatable=False)

    def notes(self, place: str, key: str) -> Call:
        """The notes of a key in a folder; pages. Values are compared without case."""
        builder = self._user.mail_folders.by_mail_folder_id(place).messages
        wanted = f"singleValueExtendedProperties/any(ep: ep/id eq {quoted(KEY)} and ep/value eq {quoted(key)})"
        return call("messages.list", "GET", builder, select=["id"], top=PAGE, filter=wanted, expand=[OURS])

    def note(self, message: str) -> Call:
        """A message and whether it is a note."""
        builder = self._user.messages.by_message_id(message)
        return call("messages.get", "GET", builder, select=["id"], expand=[OURS])

    def delete_message(self, message: str) -> Call:
        """Into the recoverable items, out of the user's sight."""
        return call("messages.delete", "DELETE", self._user.messages.by_message_id(message))

    # --- changes --------------------------------------------------------------------------------------------------

    def delta(self, folder: str, since: str) -> Call:
        """The first page of the changes of a folder, of messages received since then (providers.md 2.5)."""
        builder = self._user.mail_folders.by_mail_folder_id(folder).messages.delta
        wanted = f"receivedDateTime ge {since}"
        return call("messages.delta", "GET", builder, select=ITEM, filter=wanted, prefer=_page(CHANGES_PAGE))

    def page(self, path: str, *, method: str = "messages.list", delta: bool = False) -> Call:
        """The next page of a list, or the next look at changes: links are used as they came."""
        made = call(method, "GET", self._user, prefer=_page(CHANGES_PAGE) if delta else "")
        return Call(made.method, made.verb, path, None, made.headers)


def _page(size: int) -> str:
    return f"odata.maxpagesize={size}"
