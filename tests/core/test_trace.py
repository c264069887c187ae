"""A trace explains everything and holds no content."""

from __future__ import annotations

import json

from sync.core.filing import plan
from sync.core.matching import match
from sync.core.trace import VERSION, readable, records, trace
from sync.model import Abilities, Attachment, Item, RecordRef
from sync.policy import Policy
from tests.core.build import ME, directory, found, mail

JANE = "jane@acme.example"
SECRET = ("jane", "acme", "doe", "widgets", "hello", "offer", "sam@", "new.example")


def hashed(text: str) -> str:
    return f"h{len(text)}"


def traced(policy: Policy | None = None, *people, **facts):
    policy = policy or Policy()
    message = mail(
        ("from", JANE, "Jane Doe", "Acme"),
        ("to", ME.address),
        ("cc", "x@new.example", "Xaver"),
        text="Hello",
        attachments=(Attachment("offer.pdf", "application/pdf", b"x" * (2 << 20)),),
    )
    matching = match(message, directory(*people, **facts), policy, ME)
    return trace(matching, plan(message, matching, policy, Abilities(True, True), "005ME", "k"), hashed)


TWO = (found("contact", "0031", JANE), found("contact", "0032", JANE))


def test_a_filed_mail() -> None:
    stored = traced(Policy(attachment_max_mb=1), *TWO)
    assert json.loads(json.dumps(stored)) == stored
    assert stored["version"] == VERSION
    assert stored["verdict"] == "file"
    first, own, new = stored["addresses"]
    assert first == {
        "address": "h17",
        "roles": ["from"],
        "rule": "contact",
        "candidates": ["contact:0031", "contact:0032"],
        "chosen": "contact:0031",
        "why": "2 contacts have this address; the oldest was taken",
    }
    assert own["chosen"] == "user:005ME"
    assert (new["chosen"], new["account"]["chosen"]) == ("contact:@contact1", "account:@account1")
    assert stored["record"]["kind"] == "email"
    assert (stored["record"]["related"], stored["record"]["unrelated"], stored["record"]["attachments"]) == (3, 0, 0)
    assert stored["create"] == [
        {"ref": "@account1", "kind": "account"},
        {"ref": "@contact1", "kind": "contact", "account": "account:@account1"},
    ]
    assert stored["notes"] == ["attachment 1 is not stored: 2.0 MiB, over the limit of 1 MiB"]


def test_no_content_gets_in() -> None:
    facts = {"websites": {"acme.example": ["001A", "001B"]}}
    for policy in (Policy(), Policy(create_missing=False), Policy(create_as_lead=True), Policy(attachment_max_mb=1)):
        text = json.dumps(traced(policy, **facts)).lower()
        assert not [word for word in SECRET if word in text]


def test_a_mail_that_is_not_filed() -> None:
    stored = traced(Policy(create_missing=False))
    assert (stored["verdict"], stored["reason"]) == ("missing", "no_match")
    assert "record" not in stored
    assert any("policy creates none" in line for line in readable(stored, {}))


def test_records_to_look_up() -> None:
    stored = traced(None, *TWO, websites={"new.example": ["001A", "001B"]})
    assert [record.id for record in records(stored)] == ["0031", "0032", "005ME", "001A", "001B"]


def test_people_can_read_it() -> None:
    stored = traced(Policy(attachment_max_mb=1), *TWO)
    names = {
        RecordRef("contact", "0031"): Item(RecordRef("contact", "0031"), "Jane Doe"),
        RecordRef("contact", "003N"): Item(RecordRef("contact", "003N"), "Xaver"),
    }
    lines = readable(stored, names, {"h17": JANE}, {"@contact1": RecordRef("contact", "003N")})
    text = "\n".join(lines)
    assert lines[0] == f"{JANE} [from]"
    assert "rule contact: 2 contacts have this address; the oldest was taken -> contact Jane Doe (0031)" in text
    assert "candidates: contact Jane Doe (0031), contact 0032" in text
    assert "-> new contact Xaver (003N)" in text
    assert "account, rule create: no account found; created by domain -> new account @account1" in text
    assert "record: email, because a contact or lead matched or was created" in text
    assert "note: attachment 1 is not stored" in text


def test_a_trace_of_another_version_says_so() -> None:
    assert "another version" in readable({"version": 99}, {})[0]
