"""The rules of product.md 8, one table per rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.matching import MAX_ADDRESSES, MAX_CREATED, MailboxIdentity, Matching, match, question
from sync.core.reasons import REASONS
from sync.model import Directory, RecordRef
from sync.policy import BlockRule, Policy
from tests.core.build import ME, directory, found, mail

JANE = "jane@acme.example"
BOB = "bob@beta.example"
COLLEAGUE = "kim@ours.example"
EMPLOYEE = "lee@ours.example"  # of the own company, without a CRM user


def rules(matching: Matching) -> dict[str, str]:
    return {decision.email: decision.rule for decision in matching.decisions}


# --- the truth table of product.md 8.2 ------------------------------------------------------------------------------

INTERNAL = mail(("from", COLLEAGUE), ("to", ME.address))
UNKNOWN = mail(("from", JANE, "Jane Doe"), ("to", ME.address))
KNOWN = mail(("from", JANE, "Jane Doe"), ("to", ME.address), ("cc", BOB))
USERS = (found("user", "005K", COLLEAGUE), found("user", "005ME", ME.address))
CONTACT = found("contact", "003J", JANE)

TRUTH = [
    # must_match, user_exclusivity, create_missing, mail, verdict, reason, records of people, users
    (1, True, True, True, INTERNAL, "missing", "internal_only", [], ["005K", "005ME"]),
    (1, True, True, True, UNKNOWN, "file", None, ["@contact1"], ["005ME"]),
    (1, True, True, True, KNOWN, "file", None, ["003J", "@contact1"], ["005ME"]),
    (2, True, False, True, INTERNAL, "file", None, ["@contact1", "@contact2"], []),
    (2, True, False, True, UNKNOWN, "file", None, ["@contact1", "@contact2"], []),
    (2, True, False, True, KNOWN, "file", None, ["003J", "@contact1", "@contact2"], []),
    (3, True, True, False, INTERNAL, "missing", "internal_only", [], ["005K", "005ME"]),
    (3, True, True, False, UNKNOWN, "missing", "no_match", [], ["005ME"]),
    (3, True, True, False, KNOWN, "file", None, ["003J"], ["005ME"]),
    (4, True, False, False, INTERNAL, "missing", "internal_only", [], ["005K", "005ME"]),
    (4, True, False, False, UNKNOWN, "missing", "no_match", [], ["005ME"]),
    (4, True, False, False, KNOWN, "file", None, ["003J"], ["005ME"]),
    (5, False, True, True, INTERNAL, "file", None, [], ["005K", "005ME"]),
    (5, False, True, True, UNKNOWN, "file", None, ["@contact1"], ["005ME"]),
    (5, False, True, True, KNOWN, "file", None, ["003J", "@contact1"], ["005ME"]),
    (6, False, False, True, INTERNAL, "file", None, ["@contact1", "@contact2"], []),
    (6, False, False, True, UNKNOWN, "file", None, ["@contact1", "@contact2"], []),
    (6, False, False, True, KNOWN, "file", None, ["003J", "@contact1", "@contact2"], []),
    (7, False, True, False, INTERNAL, "file", None, [], ["005K", "005ME"]),
    (7, False, True, False, UNKNOWN, "file", None, [], ["005ME"]),
    (7, False, True, False, KNOWN, "file", None, ["003J"], ["005ME"]),
    (8, False, False, False, INTERNAL, "file", None, [], ["005K", "005ME"]),
    (8, False, False, False, UNKNOWN, "file", None, [], ["005ME"]),
    (8, False, False, False, KNOWN, "file", None, ["003J"], ["005ME"]),
]


@pytest.mark.parametrize("case", TRUTH, ids=lambda case: f"row{case[0]}-{len(case[4].mime.participants)}-{case[5]}")
def test_truth_table(case: tuple) -> None:
    _, must, exclusive, create, message, verdict, reason, people, users = case
    known = directory(*USERS, *([CONTACT] if message is KNOWN else []))
    policy = Policy(must_match=must, user_exclusivity=exclusive, create_missing=create)
    result = match(message, known, policy, ME)
    assert (result.verdict, result.reason) == (verdict, reason)
    assert [record.id for record in result.people] == people
    assert [record.id for record in result.users] == users
    assert all(new.ref in {record.id for record in result.people} for new in result.create if new.kind != "account")
    if verdict == "missing":
        assert result.create == ()


def test_without_exclusivity_a_colleagues_contact_comes_before_the_user() -> None:
    known = directory(*USERS, found("contact", "003K", COLLEAGUE))
    result = match(INTERNAL, known, Policy(user_exclusivity=False, create_missing=False), ME)
    assert [record.id for record in result.people] == ["003K"]
    assert [record.id for record in result.users] == ["005ME"]
    assert match(INTERNAL, known, Policy(), ME).people == ()


# --- one address ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "policy", "rule", "chosen"),
    [
        ([found("user", "005", JANE), found("contact", "003", JANE)], {}, "user", "005"),
        ([found("contact", "003", JANE), found("lead", "00Q", JANE)], {"match_leads": True}, "contact", "003"),
        ([found("lead", "00Q", JANE)], {"match_leads": True}, "lead", "00Q"),
        ([found("lead", "00Q", JANE)], {}, "create_contact", "@contact1"),
        ([], {"create_as_lead": True}, "create_lead", "@lead1"),
        ([], {"create_missing": False}, "creation_off", None),
        ([], {"creation_block_domains": ("acme.example",)}, "creation_blocked", None),
        ([], {"creation_block_domains": ("*.acme.example",)}, "create_contact", "@contact1"),
        ([], {"internal_domains": ("acme.example",)}, "internal", None),
        ([found("contact", "003", JANE)], {"creation_block_domains": ("acme.example",)}, "contact", "003"),
        ([found("contact", "003", JANE)], {"internal_domains": ("acme.example",)}, "contact", "003"),
        ([found("contact", "003", JANE)], {"block_rules": (BlockRule("jane@.*"),)}, "blocked", None),
        ([found("contact", "003", JANE)], {"block_rules": (BlockRule("jane@.*", "cc"),)}, "contact", "003"),
        ([found("contact", "003", JANE)], {"block_rules": (BlockRule("jane@.*", "from"),)}, "blocked", None),
    ],
)
def test_one_address(people: list, policy: dict, rule: str, chosen: str | None) -> None:
    result = match(mail(("from", JANE), ("to", BOB)), directory(*people), Policy(**policy), ME)
    assert result.decisions[0].rule == rule
    assert (result.decisions[0].chosen.id if result.decisions[0].chosen else None) == chosen
    assert result.decisions[0].why


@pytest.mark.parametrize("address", [ME.address, "sam+lists@ours.example"])
def test_the_mailboxes_own_address_is_its_user_whatever_the_directory_says(address: str) -> None:
    decision = match(mail(("to", address)), directory(), Policy(), ME).decisions[0]
    assert (decision.rule, decision.chosen) == ("own_mailbox", RecordRef("user", "005ME"))
    private = MailboxIdentity("sam@gmail.com", (), None)  # no CRM user, and no company's domain either
    assert match(mail(("to", "sam@gmail.com")), directory(), Policy(), private).create == ()


def test_what_could_not_be_read_is_told() -> None:
    message = mail(("from", JANE))
    message = replace(message, mime=replace(message.mime, defects=("broken base64",)))
    for policy in (Policy(), Policy(create_missing=False), Policy(block_rules=(BlockRule(".*", "any", "skip_item"),))):
        assert "while reading the mail: broken base64" in match(message, directory(), policy, ME).notes


def test_an_employee_without_a_crm_user_is_not_created() -> None:
    result = match(mail(("from", EMPLOYEE), ("to", ME.address)), directory(), Policy(), ME)
    assert rules(result) == {EMPLOYEE: "internal", ME.address: "own_mailbox"}
    assert (result.verdict, result.reason) == ("missing", "internal_only")


def test_without_exclusivity_an_employee_is_created_but_without_an_account() -> None:
    result = match(mail(("from", EMPLOYEE, "Lee", "Ours")), directory(), Policy(user_exclusivity=False), ME)
    assert [(new.kind, new.account) for new in result.create] == [("contact", None)]
    assert result.decisions[0].account
    assert result.decisions[0].account.rule == "internal"


@pytest.mark.parametrize(
    ("owners", "chosen", "word"), [(("", ""), "0031", "oldest"), (("005X", "005ME"), "0032", "own")]
)
def test_several_contacts_with_one_address(owners: tuple[str, str], chosen: str, word: str) -> None:
    people = [found("contact", f"003{n}", JANE, owner) for n, owner in enumerate(owners, 1)]
    decision = match(mail(("from", JANE)), directory(*people), Policy(), ME).decisions[0]
    assert decision.chosen == RecordRef("contact", chosen)
    assert [record.id for record in decision.candidates] == ["0031", "0032"]
    assert word in decision.why
    assert "2 contacts" in decision.why


def test_a_contact_found_by_two_of_its_addresses_counts_once() -> None:
    known = directory(found("contact", "003", JANE), found("contact", "003", "jane.d@acme.example"))
    result = match(mail(("from", JANE), ("cc", "jane.d@acme.example")), known, Policy(), ME)
    assert result.people == (RecordRef("contact", "003"),)


def test_a_tagged_address_finds_the_person_but_is_created_as_it_is() -> None:
    tagged = "jane+news@acme.example"
    result = match(mail(("from", tagged)), directory(found("contact", "003", JANE)), Policy(), ME)
    assert result.people == (RecordRef("contact", "003"),)
    assert "+tag" in result.decisions[0].why
    created = match(mail(("from", tagged)), directory(), Policy(), ME).create
    assert created[-1].fields["email"] == tagged


@pytest.mark.parametrize("role", ["from", "reply_to", "to", "cc", "bcc"])
def test_every_place_of_an_address_counts(role: str) -> None:
    result = match(mail((role, JANE)), directory(CONTACT), Policy(), ME)  # type: ignore[arg-type]
    assert result.people == (CONTACT.record,)
    assert result.decisions[0].roles == (role,)


def test_skip_item_excludes_the_whole_mail() -> None:
    policy = Policy(block_rules=(BlockRule(".*@beta\\.example", "any", "skip_item"),))
    result = match(KNOWN, directory(CONTACT), policy, ME)
    assert (result.verdict, result.reason, result.people, result.create) == ("skip", "blocked", (), ())
    assert rules(result) == {JANE: "not_looked_at", ME.address: "not_looked_at", BOB: "blocked"}


@pytest.mark.parametrize(
    ("message", "policy", "reason"),
    [
        (mail(), Policy(), "no_address"),
        (mail(subject="", date=None), Policy(), "not_mail"),
        (mail(("from", JANE)), Policy(create_missing=False), "no_match"),
        (mail(("from", JANE)), Policy(creation_block_domains=("acme.example",)), "creation_blocked"),
        (mail(("from", JANE), ("to", ME.address)), Policy(block_rules=(BlockRule("jane.*"),)), "all_blocked"),
        (mail(("from", "x" * 60 + "@" + "y" * 30 + ".example")), Policy(), "address_unfit"),
        (mail(("from", "mailer-daemon@acme.example"), ("about", JANE), kind="bounce"), Policy(), "report_no_match"),
        (mail(("from", JANE), kind="receipt"), Policy(), "report_no_match"),
    ],
)
def test_every_mail_that_is_not_filed_has_a_reason(message, policy: Policy, reason: str) -> None:
    result = match(message, directory(), policy, ME)
    assert (result.verdict != "file", result.reason) == (True, reason)
    assert reason in REASONS


@pytest.mark.parametrize("kind", ["bounce", "receipt"])
def test_a_report_is_filed_to_whom_it_is_about_and_creates_nobody(kind) -> None:
    message = mail(("from", "mailer-daemon@relay.example"), ("to", ME.address), ("about", JANE), kind=kind)
    result = match(message, directory(CONTACT), Policy(), ME)
    assert (result.verdict, result.people, result.create) == ("file", (CONTACT.record,), ())
    assert rules(result)["mailer-daemon@relay.example"] == "report"


def test_an_invitation_is_a_mail_like_any_other() -> None:
    result = match(mail(("from", JANE), kind="calendar"), directory(), Policy(), ME)
    assert [new.kind for new in result.create] == ["account", "contact"]


def test_creation_is_capped_and_says_so() -> None:
    crowd = [("cc", f"p{n}@acme.example", f"Person {n}") for n in range(60)]
    result = match(mail(("from", JANE), *crowd), directory(CONTACT), Policy(), ME)  # type: ignore[arg-type]
    assert sum(new.kind == "contact" for new in result.create) == MAX_CREATED
    assert sum(decision.rule == "creation_cap" for decision in result.decisions) == 35
    assert any("35 unknown people" in note for note in result.notes)


def test_a_crowd_is_looked_at_up_to_a_limit() -> None:
    crowd = [("to", f"p{n}@acme.example") for n in range(MAX_ADDRESSES + 100)]
    message = mail(*crowd)  # type: ignore[arg-type]
    assert len(question([message], Policy(), ME).addresses) == MAX_ADDRESSES
    result = match(message, directory(), Policy(), ME)
    assert len(result.decisions) == MAX_ADDRESSES
    assert any("100 of 600" in note for note in result.notes)


# --- the question ---------------------------------------------------------------------------------------------------


def test_the_question_holds_what_the_match_needs_and_no_more() -> None:
    message = mail(
        ("from", "jane+x@eu.acme.example", "Jane", "Acme Ltd"),
        ("to", ME.address),
        ("cc", "j@gmail.com"),
        ("cc", "spam@blocked.example"),
        ("cc", "x@never.example"),
    )
    policy = Policy(block_rules=(BlockRule(".*@blocked.example"),), creation_block_domains=("never.example",))
    asked = question([message, mail(("from", JANE), message_id="<2@x>")], policy, ME)
    assert asked.addresses == {
        *("jane+x@eu.acme.example", "jane@eu.acme.example", ME.address, "j@gmail.com", "x@never.example", JANE),
    }
    assert asked.domains == {"eu.acme.example", "acme.example"}
    assert asked.companies == {"acme ltd"}
    assert asked.message_ids == {"<m1@acme.example>", "<2@x>"}


@pytest.mark.parametrize(
    "policy",
    [Policy(create_missing=False), Policy(create_as_lead=True), Policy(assign_to_account="001F")],
    ids=["nothing created", "leads", "fixed account"],
)
def test_no_account_is_asked_for_when_none_is_needed(policy: Policy) -> None:
    asked = question([mail(("from", JANE, "Jane", "Acme"))], policy, ME)
    assert (asked.domains, asked.companies) == (frozenset(), frozenset())


def test_what_is_known_is_not_asked_again() -> None:
    known = Directory({JANE: (CONTACT,), BOB: ()}, {"beta.example": ()}, {"beta": ()})
    asked = question([mail(("from", JANE, "Jane", "Acme"), ("cc", BOB, "Bob", "Beta"))], Policy(), ME, known)
    assert (asked.addresses, asked.domains, asked.companies) == (frozenset(),) * 3
    assert asked.message_ids  # whether a mail is filed may change at any time
    gone = Directory({BOB: ()})  # nobody has the address: an account may be needed
    assert question([mail(("from", BOB))], Policy(), ME, gone).domains == {"beta.example"}


# --- whatever the mail ----------------------------------------------------------------------------------------------

EMAILS = st.sampled_from(
    [JANE, BOB, COLLEAGUE, EMPLOYEE, ME.address, "j@gmail.com", "j+t@acme.example", "k@eu.acme.example", "l@co.uk"]
)
PEOPLE = st.lists(
    st.tuples(
        st.sampled_from(["from", "reply_to", "to", "cc", "bcc", "about"]),
        EMAILS,
        st.text(max_size=20),
        st.sampled_from(["", "Acme Ltd", "Beta"]),
    ),
    max_size=8,
)
KNOWN_PEOPLE = st.lists(
    st.builds(found, st.sampled_from(["user", "contact", "lead"]), st.sampled_from(["1", "2"]), EMAILS), max_size=6
)
POLICIES = st.builds(
    Policy,
    must_match=st.booleans(),
    user_exclusivity=st.booleans(),
    create_missing=st.booleans(),
    match_leads=st.booleans(),
    create_as_lead=st.booleans(),
    freemail_guard=st.booleans(),
    account_name_from=st.sampled_from(["company", "domain"]),
    account_domain_must_be_unique=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(PEOPLE, KNOWN_PEOPLE, POLICIES, st.sampled_from(["mail", "bounce", "calendar", "receipt"]))
def test_invariants(people: list, known: list, policy: Policy, kind) -> None:
    message = mail(*people, kind=kind)
    facts = directory(*known, websites={"acme.example": ["A", "B"]}, companies={"beta": ["C"]})
    result = match(message, facts, policy, ME)
    assert match(message, facts, policy, ME) == result  # the same question, the same answer
    assert (result.reason is None) == (result.verdict == "file")
    assert [decision.email for decision in result.decisions] == list(
        dict.fromkeys(one.email for one in message.mime.participants)
    )
    refs = [new.ref for new in result.create]
    assert len(set(refs)) == len(refs)
    for at, new in enumerate(result.create):
        if new.account and new.account.id.startswith("@"):
            assert new.account.id in refs[:at]  # accounts come first
        if new.kind != "account":
            assert new.fields["last_name"]
            assert new.fields["email"]
    if not policy.create_missing or kind in ("bounce", "receipt"):
        assert not result.create
    if policy.must_match and result.verdict == "file":
        assert result.people
    # everything that the match looked up was asked
    asked = question([message], policy, ME)
    assert {decision.email for decision in result.decisions} <= asked.addresses
