"""Mail on its way: into mailboxes of the tenant, of other vendors of the sandbox, or out of the world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.microsoft.mail.kind import kind_of
from sandbox.microsoft.mail.mime import MAILS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.microsoft.directory import Account
    from sandbox.microsoft.graph.items import Item
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]


class Outbox:
    """Delivers; `sent` holds what left for addresses that nobody in the sandbox has."""

    def __init__(self, microsoft: Microsoft) -> None:
        self._microsoft = microsoft
        self.clear()

    def clear(self) -> None:
        """Nothing was sent."""
        self.sent: list[Json] = []

    def deliver(
        self,
        account: Account,
        raw: bytes,
        *,
        folder: str = "inbox",
        received: float | None = None,
        categories: Sequence[str] = (),
        unread: bool = True,
    ) -> Item:
        """A mail arrives. `categories`: it wears them at once, copied from a contact as Outlook for Mac does."""
        box, mail = account.mailbox, MAILS.get(raw)
        moment = self._microsoft.frame.clock.time() if received is None else received
        item = box.new_item(box.at_path(folder), mail, moment, mail.date or moment)
        item.kind = kind_of(mail)
        item.is_read = not unread
        item.is_draft = item.folder.well_known == "drafts"
        item.categories = list(categories)
        return box.add(item)

    def carry(
        self, raw: bytes, recipients: Sequence[str], *, spam: bool = False
    ) -> tuple[dict[str, Item], list[Callable[[], object]]]:
        """Deliver to mailboxes of the tenant at once; what is left to do for others, when no lock is held.

        What came into mailboxes of the tenant, by address; `spam` goes to Junk Email.
        """
        later: list[Callable[[], object]] = []
        done: dict[str, Item] = {}
        for address in dict.fromkeys(a.lower() for a in recipients):
            account = self._microsoft.directory.find(address)
            if account is None:
                later.append(lambda to=address: self._hand_over(to, raw, spam))  # type: ignore[misc]
            elif account.email not in done:
                done[account.email] = self.deliver(account, raw, folder="junkemail" if spam else "inbox")
        return done, later

    def _hand_over(self, address: str, raw: bytes, spam: bool) -> None:
        """Give a mail to another vendor of the sandbox that has the mailbox, else let it go."""
        for vendor in self._microsoft.frame.vendors.values():
            receive = getattr(vendor, "receive", None)
            if vendor is not self._microsoft and receive is not None and receive(address, raw, spam=spam):
                return
        with self._microsoft.lock:
            self.sent.append({"to": address, "raw": raw.decode("utf-8", "replace")})
