"""E-mails as graphs, and every refusal's reaction."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.errors import Busy, Conflict, Rejected
from sync.model import Attachment, Entry, Filed, NewRecord, Outcome, RecordRef, Relation
from sync.providers.salesforce import graph as graphs
from sync.providers.salesforce.auth import Login
from sync.providers.salesforce.crm import Salesforce
from sync.providers.salesforce.graph import Fixes, Graph, packs
from sync.providers.salesforce.record import build
from sync.providers.salesforce.values import cut, identifier, message_id_line, message_id_of, one_line, size, subject
from tests.contracts.crm_world import CountingMeter
from tests.providers.salesforce.scripted import Grant, Known, Said, Say, Script, description, mail, session

ANNA = RecordRef("user", "005000000000001AAA")
LAURA = RecordRef("contact", "003000000000001AAA")
DANIEL = RecordRef("lead", "00Q000000000001AAA")
DEAL = RecordRef("opportunity", "006000000000001AAA")
CASE = RecordRef("case", "500000000000001AAA")


def related(*people: RecordRef) -> tuple[Relation, ...]:
    return tuple(Relation("to", f"p{at}@x.example", "", person) for at, person in enumerate(people))


def bodies(entry: Entry, **org: bool) -> dict[str, Any]:
    return {node.id: dict(node.body) for node in build(entry, description(**org), Fixes()).nodes}


# --- values


@given(st.text(), st.integers(1, 20))
def test_a_cut_text_fits_and_is_a_beginning(text: str, length: int) -> None:
    short = cut(text, length)
    assert size(short) <= length
    assert text.startswith(short)
    assert size(text) > length or short == text


@given(st.text(max_size=400))
def test_a_subject_reads_the_same_when_it_is_read_back(text: str) -> None:
    once = subject(text)
    assert subject(once) == once
    assert 0 < size(once) <= 255
    assert once == once.strip()


@given(st.text(min_size=1, max_size=2000).filter(lambda text: one_line(text) != ""))
def test_a_message_id_is_found_in_the_text_of_its_task(message_id: str) -> None:
    text = f"{message_id_line(message_id)}\nDate: x\nMessage-ID: <another@acme.example>"
    assert message_id_of(text) == identifier(message_id)
    assert size(identifier(message_id)) <= 765


def test_long_message_ids_stay_apart() -> None:
    assert identifier("<" + "x" * 2000 + "1>") != identifier("<" + "x" * 2000 + "2>")


# --- graphs


@pytest.mark.parametrize("target", [CASE, DEAL])
def test_a_target_is_related_and_never_a_parent_so_that_the_mail_can_be_moved(target: RecordRef) -> None:
    body = bodies(mail(targets=(target, DEAL)))["activity"]
    assert (body["RelatedToId"], body["Status"]) == (target.id, "3")
    assert "ParentId" not in body


def test_without_a_target_nothing_is_guessed() -> None:
    body = bodies(mail(relations=(Relation("from", "laura@acme.example", "", LAURA),)))["activity"]
    assert "RelatedToId" not in body


def test_a_target_that_is_a_person_is_related_as_one() -> None:
    nodes = bodies(mail(targets=(LAURA,)))
    assert [body["RelationType"] for body in nodes.values() if "RelationId" in body] == ["OtherAddress"]
    assert bodies(mail(record="task", targets=(LAURA,)))["activity"]["TaskWhoIds"] == [LAURA.id]


def test_a_lead_has_a_task_of_its_own_beside_the_targets() -> None:
    entry = mail(record="task", relations=related(DANIEL), targets=(DEAL,))
    made = build(entry, description(), Fixes())
    about, lead = (node.body for node in made.nodes)
    assert (about["WhatId"], about.get("TaskWhoIds")) == (DEAL.id, None)
    assert "WhatId" not in lead
    assert lead["TaskWhoIds"] == [DANIEL.id]
    assert made.notes


def test_more_than_fifty_contacts_have_several_tasks() -> None:
    people = [RecordRef("contact", f"003{number:012}AAA") for number in range(120)]
    nodes = bodies(mail(record="task", relations=related(*people)))
    assert [len(body["TaskWhoIds"]) for body in nodes.values()] == [50, 50, 20]


def test_contacts_of_a_full_task_get_another() -> None:
    people = [RecordRef("contact", f"003{number:012}AAA") for number in range(60)]
    there = Filed(RecordRef("task", "00T000000000001AAA"), frozenset(people[:45]))
    nodes = bodies(mail(record="task", relations=related(*people), existing=there))
    assert len(nodes["join"]["TaskWhoIds"]) == 50
    assert set(nodes["join"]["TaskWhoIds"]) >= {person.id for person in people[:45]}
    assert len(nodes["activity_2"]["TaskWhoIds"]) == 10


def test_fields_that_may_not_be_written_are_left_out() -> None:
    known = description()
    fields = dict(known.objects["EmailMessage"].fields)
    del fields["FromName"]
    email = replace(known.objects["EmailMessage"], fields=fields)
    limited = replace(known, objects={**known.objects, "EmailMessage": email})
    made = build(mail(), limited, Fixes())
    assert "FromName" not in made.nodes[0].body
    assert made.notes == ("EmailMessage.FromName left out: the user may not write it",)


def test_html_that_is_too_long_is_left_out_whole() -> None:
    made = build(mail(html="<p>" + "x" * 131072), description(), Fixes())
    assert "HtmlBody" not in made.nodes[0].body
    assert made.nodes[0].body["TextBody"] == "text"
    assert made.notes


def test_a_date_out_of_range_is_left_out() -> None:
    made = build(mail(date=datetime(9999, 1, 1, tzinfo=UTC)), description(), Fixes())
    assert "MessageDate" not in made.nodes[0].body
    assert made.notes


def test_many_addresses_are_named_as_far_as_they_fit() -> None:
    crowd = tuple(Relation("to", f"person-{n}@crowd.example", "", None) for n in range(500))
    made = build(mail(relations=crowd), description(), Fixes())
    text = made.nodes[0].body["ToAddress"]
    assert size(text) <= 4000
    assert all(part.endswith("@crowd.example") for part in text.split("; "))
    assert made.notes


def test_an_account_that_nobody_needs_any_more_is_not_made() -> None:
    account, contact = RecordRef("account", "@a"), RecordRef("contact", "@c")
    create = (
        NewRecord("@a", "account", {"name": "Acme"}, ANNA.id),
        NewRecord("@c", "contact", {"last_name": "Keller"}, ANNA.id, account),
    )
    entry = mail(create=create, relations=(Relation("from", "laura@acme.example", "", contact),))
    assert [node.sobject for node in build(entry, description(), Fixes()).nodes][:2] == ["Account", "Contact"]
    found = build(entry, description(), Fixes(adopted={"@c": LAURA}))
    assert {node.sobject for node in found.nodes} == {"EmailMessage", "EmailMessageRelation"}
    assert found.records == {"@c": LAURA}


def test_a_contact_that_turns_out_to_be_a_lead_has_a_task_of_its_own() -> None:
    create = (NewRecord("@c", "contact", {"last_name": "Osei"}, ANNA.id),)
    entry = mail(record="task", create=create, relations=related(LAURA, RecordRef("contact", "@c")))
    found = build(entry, description(), Fixes(adopted={"@c": DANIEL}))
    assert [node.body["TaskWhoIds"] for node in found.nodes] == [[LAURA.id], [DANIEL.id]]


def test_large_files_go_in_calls_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "GRAPH_FILE_BYTES", 100)
    monkeypatch.setattr(graphs, "FILE_BYTES", 90)
    files = tuple(Attachment(f"{n}.bin", "x/y", b"x" * length) for n, length in enumerate((60, 60, 95, 30, 0)))
    made = build(mail(attachments=files), description(), Fixes())
    assert [node.body["PathOnClient"] for node in made.nodes if node.sobject == "ContentVersion"] == ["0.bin", "3.bin"]
    assert [item.name for item in made.late] == ["1.bin"]
    assert len(made.notes) == 3


@given(st.lists(st.integers(1, 30), max_size=120))
def test_calls_stay_within_the_limits(sizes: list[int]) -> None:
    node = build(mail(), description(), Fixes()).nodes[0]
    made = [Graph(mail(key=str(n)), (node,) * size, {}, ()) for n, size in enumerate(sizes)]
    calls = packs(made, graphs_max=75, bytes_max=20_000)
    assert [graph for call in calls for graph in call] == made
    for call in calls:
        assert len(call) <= 75
        assert sum(len(graph.nodes) for graph in call) <= 500
        assert sum(graph.weight for graph in call) <= 20_000 or len(call) == 1


# --- refusals


def salesforce(*answers: Say) -> tuple[Salesforce, Script]:
    http, script = session(*answers)
    return Salesforce(Login(Grant(), http), http, CountingMeter(), descriptions=Known()), script


Judge = Callable[[dict[str, Any]], list[dict[str, Any]] | None]


def answered(judge: Judge = lambda part: None) -> Say:
    """Answers every graph; `judge` tells the errors of a node."""

    def say(request: Any) -> Said:
        out = []
        for graph in json.loads(request.body)["graphs"]:
            parts, bad = [], False
            for number, part in enumerate(graph["compositeRequest"]):
                errors = judge(part)
                bad |= errors is not None
                made = {"id": f"{part['url'].rsplit('/', 1)[1][:3]}{number:012}AAA", "success": True}
                status = 400 if errors else 201
                parts.append({"referenceId": part["referenceId"], "httpStatusCode": status, "body": errors or made})
            if bad:
                halted = [{"errorCode": "PROCESSING_HALTED", "message": "rolled back"}]
                parts = [
                    p if p["httpStatusCode"] == 400 else {**p, "httpStatusCode": 400, "body": halted} for p in parts
                ]
            response = {"compositeResponse": parts}
            out.append({"graphId": graph["graphId"], "graphResponse": response, "isSuccessful": not bad})
        return Said(body={"graphs": out})

    return say


def on(sobject: str, code: str, message: str = "", **more: Any) -> Judge:
    """The error of every node of an object."""
    error = {"errorCode": code, "message": message, **more}
    return lambda part: [error] if part["url"].endswith(f"/sobjects/{sobject}") else None


def only(outcomes: Any) -> Outcome:
    (outcome,) = outcomes
    assert isinstance(outcome, Outcome)
    return outcome


@pytest.mark.parametrize(
    ("code", "message", "fields"),
    [
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: FromName.", ["FromName"]),
        ("INVALID_FIELD", "No such column 'FromName' on sobject of type EmailMessage", []),
    ],
)
def test_a_field_that_is_refused_is_left_out(code: str, message: str, fields: list[str]) -> None:
    entry = mail(relations=(Relation("from", "laura@acme.example", "Laura", None),))
    crm, script = salesforce(answered(on("EmailMessage", code, message, fields=fields)), answered())
    outcome = only(crm.file([entry]))
    assert outcome.ok
    assert any("FromName" in note for note in outcome.notes)
    first, second = (body["graphs"][0]["compositeRequest"][0]["body"] for body in script.bodies())
    assert first.keys() - second.keys() == {"FromName"}


def test_a_refused_field_is_learnt_once_for_all() -> None:
    judge = on("EmailMessage", "INVALID_FIELD_FOR_INSERT_UPDATE", fields=["FromName"])
    crm, script = salesforce(answered(judge), answered(), answered())
    outcomes = crm.file([mail(key=str(n)) for n in range(5)])
    assert all(outcome.ok and outcome.notes for outcome in outcomes)
    assert only(crm.file([mail()])).ok
    assert len(script.asked) == 3


def test_a_sender_that_is_no_address_is_left_out_of_that_mail_only() -> None:
    judge = on("EmailMessage", "INVALID_EMAIL_ADDRESS", "FromAddress: invalid email address", fields=["FromAddress"])
    crm, script = salesforce(answered(judge), answered(), answered())
    assert only(crm.file([mail()])).ok
    assert only(crm.file([mail()])).ok
    sent = [body["graphs"][0]["compositeRequest"][0]["body"] for body in script.bodies()]
    assert ["FromAddress" in one for one in sent] == [True, False, True]


def test_a_call_that_is_refused_as_such_is_the_fault_of_one() -> None:
    def say(request: Any) -> Said:
        if '"bad"' in request.body.decode():
            return Said(400, [{"errorCode": "JSON_PARSER_ERROR", "message": "at line 1"}])
        answer = answered()
        assert callable(answer)
        return answer(request)

    crm, script = salesforce(*[say] * 9)
    outcomes = crm.file([mail(key=str(n), subject="bad" if n == 5 else "good") for n in range(8)])
    assert [outcome.ok for outcome in outcomes] == [n != 5 for n in range(8)]
    assert len(script.asked) == 7


def test_a_mail_to_a_crowd_has_not_more_tasks_than_a_call_takes() -> None:
    crowd = [RecordRef("lead", f"00Q{number:012}AAA") for number in range(400)]
    made = build(mail(record="task", relations=related(*crowd)), description(), Fixes())
    assert len(made.nodes) == 100
    assert made.notes


def test_an_account_is_never_replaced_by_a_person() -> None:
    create = (NewRecord("@a", "account", {"name": "Acme"}, ANNA.id),)
    matches = [{"record": {"Id": DANIEL.id}}, {"record": {"Id": "001000000000001AAA"}}]
    result = {"matchResults": [{"matchRecords": matches}]}
    crm, _ = salesforce(answered(on("Account", "DUPLICATES_DETECTED", duplicateResult=result)), answered())
    assert only(crm.file([mail(create=create)])).records["@a"] == RecordRef("account", "001000000000001AAA")


def test_a_field_without_which_a_mail_is_filed_twice_is_never_left_out() -> None:
    code = "INVALID_FIELD_FOR_INSERT_UPDATE"
    crm, script = salesforce(answered(on("EmailMessage", code, fields=["MessageIdentifier"])))
    assert isinstance(only(crm.file([mail()])).error, Rejected)
    assert len(script.asked) == 1


def test_a_value_that_is_too_long_is_cut() -> None:
    message = "Subject: data value too large: Offer (max length=3)"
    crm, script = salesforce(answered(on("EmailMessage", "STRING_TOO_LONG", message, fields=["Subject"])), answered())
    outcome = only(crm.file([mail()]))
    assert outcome.ok
    assert script.bodies()[1]["graphs"][0]["compositeRequest"][0]["body"]["Subject"] == "Off"
    assert not any("Offer" in note for note in outcome.notes)


def test_a_refusal_that_never_ends_is_the_outcome() -> None:
    message = "Subject: data value too large (max length=3)"
    judge = on("EmailMessage", "STRING_TOO_LONG", message, fields=["Subject"])
    crm, script = salesforce(*[answered(judge)] * 5)
    assert isinstance(only(crm.file([mail()])).error, Rejected)
    assert len(script.asked) == 2


def test_a_locked_row_waits_alone() -> None:
    def judge(part: dict[str, Any]) -> list[dict[str, Any]] | None:
        return [{"errorCode": "UNABLE_TO_LOCK_ROW"}] if part["body"].get("Subject") == "locked" else None

    crm, _ = salesforce(answered(judge))
    locked, fine = crm.file([mail(key="a", subject="locked"), mail(key="b")])
    assert isinstance(locked.error, Busy)
    assert not locked.error.unknown
    assert fine.ok


def test_halted_graphs_are_sent_again_and_only_those() -> None:
    def service() -> Say:
        """As the real one: the fourteenth failure halts whatever follows."""

        def say(request: Any) -> Said:
            failures = 0

            def judge(part: dict[str, Any]) -> list[dict[str, Any]] | None:
                nonlocal failures
                if failures >= 14:
                    return [{"errorCode": "PROCESSING_HALTED"}]
                if part["body"].get("Subject") == "bad":
                    failures += 1
                    return [{"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no"}]
                return None

            inner = answered(judge)
            assert callable(inner)
            return inner(request)

        return say

    entries = [mail(key=str(n), subject="bad" if n < 30 else "good", relations=()) for n in range(40)]
    crm, script = salesforce(*[service()] * 3)
    outcomes = crm.file(entries)
    assert [outcome.ok for outcome in outcomes] == [False] * 30 + [True] * 10
    assert [len(body["graphs"]) for body in script.bodies()] == [40, 26, 12]


def test_a_call_where_everything_is_halted_is_busy() -> None:
    crm, _ = salesforce(answered(lambda part: [{"errorCode": "PROCESSING_HALTED"}]))
    with pytest.raises(Busy):
        crm.file([mail()])


def test_what_is_known_survives_a_later_failure() -> None:
    def judge(part: dict[str, Any]) -> list[dict[str, Any]] | None:
        bad = part["body"].get("Subject") == "bad"
        return [{"errorCode": "INVALID_FIELD", "message": "No such column 'FromName' on"}] if bad else None

    crm, _ = salesforce(answered(judge), ConnectionResetError("cut"))
    with pytest.raises(ConnectionResetError):
        crm.file([mail(key="a"), mail(key="b", subject="bad")])
    crm, _ = salesforce(answered(judge), Said(200, "{"))
    fine, lost = crm.file([mail(key="a"), mail(key="b", subject="bad")])
    assert fine.ok
    assert isinstance(lost.error, Busy)
    assert lost.error.unknown


def test_a_mail_that_may_not_be_changed_is_filed_all_the_same() -> None:
    there = Filed(RecordRef("email", "02s000000000001AAA"), frozenset({ANNA}))
    judge = on("EmailMessageRelation", "INSUFFICIENT_ACCESS_OR_READONLY")
    crm, script = salesforce(answered(judge))
    outcome = only(crm.file([mail(relations=related(ANNA, LAURA), existing=there)]))
    assert outcome.ok
    assert outcome.records == {"activity": there.record}
    assert outcome.notes
    assert len(script.asked) == 1, "nothing is left to write"


def test_a_deleted_record_asks_for_another_plan() -> None:
    crm, _ = salesforce(answered(on("EmailMessage", "ENTITY_IS_DELETED")))
    assert isinstance(only(crm.file([mail()])).error, Conflict)


def test_a_duplicate_without_a_match_is_rejected() -> None:
    create = (NewRecord("@c", "contact", {"last_name": "Keller"}, ANNA.id),)
    crm, _ = salesforce(answered(on("Contact", "DUPLICATES_DETECTED", duplicateResult={"matchResults": []})))
    error = only(crm.file([mail(create=create)])).error
    assert isinstance(error, Rejected)
    assert error.reason == "duplicate"


def test_duplicate_rules_are_never_passed_over_and_nobody_is_assigned() -> None:
    crm, script = salesforce(answered())
    crm.file([mail()])
    assert "allowSave=false" in str(script.asked[0].headers["Sforce-Duplicate-Rule-Header"])
    assert script.asked[0].headers["Sforce-Auto-Assign"] == "FALSE"


def test_a_late_file_that_fails_does_not_lose_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "GRAPH_FILE_BYTES", 5)
    files = (Attachment("a.bin", "x/y", b"12345"), Attachment("b.bin", "x/y", b"12345"))
    crm, script = salesforce(answered(), Said(503, "down"))
    outcome = only(crm.file([mail(attachments=files)]))
    assert outcome.ok
    assert len(outcome.notes) == 2
    assert script.bodies()[1]["FirstPublishLocationId"] == outcome.records["activity"].id
