"""The naive peer's way with items: one call per record, nothing kept (see `benchmarks.peer`)."""

from __future__ import annotations

import base64
from email.message import EmailMessage
from typing import Any

from benchmarks.peer import DONE, NaiveCrm, NaiveGmail, parsed
from tests.sandboxed import Sandbox

PLACE = "Naive"
FIELDS = "Name, StageName, Amount, CloseDate"


class NaiveItems:
    """Labels and summaries of opportunities in one Gmail mailbox, and a conversation that is followed."""

    def __init__(self, sandbox: Sandbox, address: str, crm_user: str) -> None:
        self.address = address
        self.gmail = NaiveGmail(sandbox, address)
        self.crm = NaiveCrm(sandbox, crm_user)

    def leaf(self, item: str) -> str:
        """Ask the item, see whether its label is there, make it."""
        row = self.read(item)
        name = f"{PLACE} {row['Name']} (${row['Amount']:,.0f})"
        known = self.gmail.labels()
        if name in known:
            return known[name]
        made: dict[str, Any] = self.gmail.api.labels().create(userId="me", body={"name": name}).execute()
        return str(made["id"])

    def summary(self, item: str) -> str:
        """Ask the item, look for its old summary, throw it away, put the new one."""
        row, messages = self.read(item), self.gmail.api.messages()
        found = messages.list(userId="me", q=f"rfc822msgid:{item}@bench.example").execute()
        for one in found.get("messages", ()):
            messages.trash(userId="me", id=one["id"]).execute()
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.address, self.address, str(row["Name"])
        mail["Message-ID"] = f"<{item}@bench.example>"
        mail.set_content("\n".join(f"{name}: {row[name]}" for name in row if name != "attributes"))
        raw = base64.urlsafe_b64encode(mail.as_bytes()).decode()
        return str(messages.insert(userId="me", body={"raw": raw}).execute()["id"])

    def thread(self, mail: str) -> str:
        """That of a mail."""
        found = self.gmail.api.messages().get(userId="me", id=mail, format="minimal").execute()
        return str(found["threadId"])

    def follow(self, thread: str, done: set[str], crm: NaiveCrm) -> int:
        """Poll the thread and file what is new; how many."""
        messages, labels = self.gmail.api.messages(), self.gmail.labels()
        found = self.gmail.api.threads().get(userId="me", id=thread, format="minimal").execute()
        new = [one["id"] for one in found["messages"] if one["id"] not in done]
        for one in new:
            raw = messages.get(userId="me", id=one, format="raw").execute()["raw"]
            crm.file(parsed(base64.urlsafe_b64decode(raw)))
            messages.modify(userId="me", id=one, body={"addLabelIds": [labels[DONE]]}).execute()
            done.add(one)
        return len(new)

    def read(self, item: str) -> dict[str, Any]:
        """The item."""
        found: dict[str, Any] = self.crm.crm.query(f"SELECT {FIELDS} FROM Opportunity WHERE Id = '{item}'")
        row: dict[str, Any] = found["records"][0]
        return row
