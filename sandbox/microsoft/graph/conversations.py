"""conversationId and conversationIndex (`providers.md 2.4 GR-12`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.mail.mime import normal_subject

if TYPE_CHECKING:
    from sandbox.microsoft.graph.ids import Ids
    from sandbox.microsoft.graph.items import Item

FILETIME_EPOCH = 11_644_473_600


class Conversations:
    """Items of a mailbox by conversation.

    A conversation is a topic, the normalised subject of its messages; without a subject it is what hangs together by
    references. Set to "references", two threads of the same topic are two conversations.
    """

    def __init__(self, ids: Ids, settings: Mapping[str, Any]) -> None:
        self._ids = ids
        self._settings = settings
        self._topics: dict[str, str] = {}  # topic -> conversation
        self._messages: dict[str, Item] = {}  # Message-ID -> an item that has it

    @staticmethod
    def topic(item: Item) -> str:
        """Of an item, without case; Exchange's automatic mails name theirs in a header, whatever their subject."""
        told = item.mail.header("Thread-Topic") if item.mail and "subject" not in item.fields else ""
        subject = told or item.fields.get("subject", item.mail.subject if item.mail else "")
        return normal_subject(str(subject)).casefold()

    def place(self, item: Item) -> None:
        """Give a new item its conversation and its index."""
        parent = self._parent(item)
        item.index = self._index(item, parent)
        topic = self.topic(item)
        if parent is not None and self.topic(parent) == topic:
            item.conversation = parent.conversation
        elif topic and self._settings["graph_conversations"] == "topic" and topic in self._topics:
            item.conversation = self._topics[topic]
        else:
            item.conversation = self._ids.conversation()
        if topic:
            self._topics[topic] = item.conversation
        ident = self._message_id(item)
        if ident:
            self._messages[ident] = item

    def replace(self, item: Item) -> None:
        """After a change of the subject."""
        item.conversation = ""
        self.place(item)

    def forget(self, item: Item) -> None:
        """An item is gone; its topic stays known."""
        ident = self._message_id(item)
        if self._messages.get(ident) is item:
            del self._messages[ident]

    @staticmethod
    def _message_id(item: Item) -> str:
        return str(item.fields.get("internetMessageId") or (item.mail.message_id if item.mail else ""))

    def _parent(self, item: Item) -> Item | None:
        references = item.fields.get("references", item.mail.references if item.mail else ())
        return next((self._messages[r] for r in references if r in self._messages), None)

    def _index(self, item: Item, parent: Item | None) -> bytes:
        if item.mail is not None and item.mail.thread_index:
            return item.mail.thread_index
        if parent is not None:
            return parent.index + self._ids.rng.randbytes(5)
        filetime = int((item.received + FILETIME_EPOCH) * 10_000_000)
        return b"\x01" + filetime.to_bytes(8, "big")[1:6] + self._ids.rng.randbytes(16)
