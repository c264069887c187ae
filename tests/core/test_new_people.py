"""New contacts, leads and accounts (product.md 8.1 steps 5 and 6), as tables."""

from __future__ import annotations

import pytest

from sync.core.matching import match
from sync.policy import Policy
from tests.core.build import ME, directory, mail

JANE, BOB = "jane@acme.example", "bob@beta.example"


def test_two_new_people_at_one_new_domain_share_one_new_account() -> None:
    message = mail(("from", JANE, "Jane Doe", "Acme Ltd"), ("cc", "joe@mail.acme.example", "Joe Roe"), ("cc", BOB))
    created = match(message, directory(), Policy(), ME).create
    assert [(new.kind, new.fields.get("name"), new.account and new.account.id) for new in created] == [
        ("account", "Acme Ltd", None),
        ("account", "beta.example", None),
        ("contact", None, "@account1"),
        ("contact", None, "@account1"),
        ("contact", None, "@account2"),
    ]
    assert created[0].fields == {"name": "Acme Ltd", "website": "acme.example"}
    assert created[2].fields == {"first_name": "Jane", "last_name": "Doe", "email": JANE}
    assert {new.owner for new in created} == {"005ME"}


@pytest.mark.parametrize(
    ("email", "company", "policy", "known", "rule", "chosen"),
    [
        (JANE, "Acme Ltd", {}, {"companies": {"acme ltd": ["A"]}}, "company", "A"),
        (
            JANE,
            "ACME  ltd",
            {},
            {"companies": {"acme ltd": ["A"]}, "websites": {"acme.example": ["B"]}},
            "company",
            "A",
        ),
        (JANE, "Acme Ltd", {}, {"companies": {"acme ltd": ["A", "B"]}}, "ambiguous", None),
        (
            JANE,
            "Acme Ltd",
            {},
            {"companies": {"acme ltd": ["A", "B"]}, "websites": {"acme.example": ["B", "C"]}},
            "company",
            "B",
        ),
        (JANE, "", {}, {"websites": {"acme.example": ["A"]}}, "website", "A"),
        (JANE, "", {}, {"emails": {"acme.example": ["A"]}}, "email", "A"),
        (JANE, "", {}, {"websites": {"acme.example": ["A"]}, "emails": {"acme.example": ["B", "C"]}}, "website", "A"),
        (JANE, "", {}, {"websites": {"acme.example": ["A", "B"]}}, "ambiguous", None),
        (JANE, "", {}, {"emails": {"acme.example": ["A", "B"]}}, "ambiguous", None),
        (
            JANE,
            "",
            {"account_domain_must_be_unique": False},
            {"websites": {"acme.example": ["A", "B"]}},
            "website",
            "A",
        ),
        (JANE, "Acme Ltd", {"assign_to_account": "001F"}, {"companies": {"acme ltd": ["A"]}}, "fixed", "001F"),
        ("j@eu.acme.example", "", {}, {"websites": {"acme.example": ["A"]}}, "website", "A"),
        (
            "j@eu.acme.example",
            "",
            {},
            {"websites": {"acme.example": ["A"], "eu.acme.example": ["B"]}},
            "website",
            "B",
        ),
        ("j@gmail.com", "", {}, {"websites": {"gmail.com": ["G"]}}, "none", None),
        ("j@gmail.com", "", {"freemail_guard": False}, {"websites": {"gmail.com": ["G"]}}, "website", "G"),
        ("j@gmail.com", "", {"freemail_guard": False}, {}, "create", "@account1"),
        ("j@gmail.com", "Acme Ltd", {}, {"companies": {"acme ltd": ["A"]}}, "company", "A"),
        ("j@gmail.com", "Acme Ltd", {}, {}, "create", "@account1"),
        ("j@free.example", "", {"freemail_domains": ("free.example",)}, {}, "none", None),
        ("j@co.uk", "", {}, {"websites": {"co.uk": ["A"]}}, "none", None),
        (JANE, "", {}, {}, "create", "@account1"),
    ],
)
def test_the_account_of_a_new_contact(
    email: str, company: str, policy: dict, known: dict, rule: str, chosen: str | None
) -> None:
    result = match(mail(("from", email, "Jane Doe", company)), directory(**known), Policy(**policy), ME)
    account = result.decisions[0].account
    assert account is not None
    assert (account.rule, account.chosen and account.chosen.id) == (rule, chosen)
    contact = result.create[-1]
    assert (contact.account and contact.account.id) == chosen
    assert [new.kind for new in result.create] == (["account", "contact"] if rule == "create" else ["contact"])
    assert (rule == "ambiguous") == any("left blank" in note for note in result.notes)


@pytest.mark.parametrize(
    ("email", "company", "source", "name", "website"),
    [
        (JANE, "Acme Ltd", "company", "Acme Ltd", "acme.example"),
        (JANE, "", "company", "acme.example", "acme.example"),
        (JANE, "Acme Ltd", "domain", "acme.example", "acme.example"),
        ("j@gmail.com", "Acme Ltd", "domain", "Acme Ltd", None),
        ("j@gmail.com", "Acme Ltd", "company", "Acme Ltd", None),
        ("j@xn--mller-kva.example", "", "company", "müller.example", "xn--mller-kva.example"),
    ],
)
def test_names_of_new_accounts(email: str, company: str, source: str, name: str, website: str | None) -> None:
    policy = Policy(account_name_from=source)
    account = match(mail(("from", email, "", company)), directory(), policy, ME).create[0]
    assert (account.kind, account.fields["name"], account.fields.get("website")) == ("account", name, website)


@pytest.mark.parametrize(
    ("email", "name", "company", "expected"),
    [
        (JANE, "Jane Doe", "Acme Ltd", "Acme Ltd"),
        (JANE, "Jane Doe", "", "acme.example"),
        ("jd@gmail.com", "Jane Doe", "", "Jane Doe"),
        ("jd@gmail.com", "", "", "jd@gmail.com"),
    ],
)
def test_a_new_lead_has_a_company_and_no_account(email: str, name: str, company: str, expected: str) -> None:
    result = match(mail(("from", email, name, company)), directory(), Policy(create_as_lead=True), ME)
    (lead,) = result.create
    assert (lead.kind, lead.account, lead.fields["company"]) == ("lead", None, expected)
