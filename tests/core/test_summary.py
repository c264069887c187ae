"""Summary e-mails: what they say, and that CRM data cannot do anything in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from lxml import html as lxml_html

from sync.core.labels import Enabled
from sync.core.summary import compose
from sync.model import RecordRef
from sync.modules import Activity, FieldSpec, Module, ModuleItem
from sync.options import ModuleRule
from sync.policy import Policy

MODULE = Module(
    "opportunity",
    "Opportunity",
    "Opportunity",
    "Opportunities",
    {"StageName": FieldSpec("StageName", "Stage", "choice"), "CloseDate": FieldSpec("CloseDate", "Close Date", "date")},
    "Name",
    status="StageName",
    due="CloseDate",
)
ENABLED = Enabled(ModuleRule("opportunity"), MODULE)
WHEN = datetime(2026, 11, 20, 9, tzinfo=UTC)
ITEM = ModuleItem(
    RecordRef("opportunity", "006A"),
    "3000 Widgets for Acme Corp",
    "005A",
    False,
    "1",
    WHEN,
    amount=Decimal(120000),
    status="Negotiation",
    due=date(2026, 12, 1),
    owner_name="Anna Berg",
    account="Acme Corp",
    fields=(("Next Step", "Call Rosa"),),
    activities=(Activity(WHEN, "email", "Re: Widgets", "Rosa Diaz"),),
    view="https://crm.example/006A/view",
    edit="https://crm.example/006A/edit",
)


def test_what_it_says() -> None:
    found = compose(ITEM, ENABLED, Policy(), "Salesforce")
    assert found.subject == "3000 Widgets for Acme Corp ($120,000)"
    for line in (
        "Stage: Negotiation",
        "Account: Acme Corp",
        "Close Date: 1 Dec 2026",
        "Owner: Anna Berg",
        "Next Step: Call Rosa",
    ):
        assert line in found.text.splitlines()
    assert "Open in Salesforce: https://crm.example/006A/view" in found.text
    assert "- 20 Nov 2026  E-mail: Re: Widgets (Rosa Diaz)" in found.text
    page = lxml_html.fromstring(found.html)
    assert page.xpath("//a/@href") == ["https://crm.example/006A/view"]
    assert page.xpath("//h1/text()") == [found.subject]
    assert not page.xpath("//img | //script | //link | //form | //iframe")


def test_edit_link_and_no_link() -> None:
    assert (
        "Edit in Salesforce: https://crm.example/006A/edit"
        in compose(ITEM, ENABLED, Policy(summary_link="edit"), "Salesforce").text
    )
    for link in ("javascript:alert(1)", "http://crm.example/x", 'https://x.example/"onclick=', "https://"):
        assert "<a " not in compose(replace(ITEM, view=link), ENABLED, Policy(), "Salesforce").html


def test_the_same_item_gives_the_same_summary() -> None:
    assert compose(ITEM, ENABLED, Policy(), "Salesforce") == compose(ITEM, ENABLED, Policy(), "Salesforce")


EVIL = st.text(alphabet=st.characters(), max_size=60) | st.sampled_from(
    ['<img src=x onerror="x">', "</h1><script>x</script>", "a\r\nBcc: x@x.example", "\u202eevil", "]]>", "&lt;b&gt;"]
)


@given(EVIL, EVIL, EVIL, EVIL)
def test_crm_data_injects_nothing(title: str, status: str, label: str, subject: str) -> None:
    item = replace(
        ITEM,
        title=title,
        status=status,
        fields=((label, status),),
        activities=(Activity(WHEN, "email", subject, title),),
    )
    found = compose(item, ENABLED, Policy(), "Salesforce")
    page = lxml_html.fromstring(found.html)
    names = {node.tag for node in page.iter() if isinstance(node.tag, str)}
    assert names <= {
        *("html", "head", "meta", "title", "style", "body", "div", "p", "h1", "h2", "table", "tbody", "tr", "th", "td"),
        *("a", "ul", "li", "span", "br"),
    }
    assert page.xpath("//a/@href") == ["https://crm.example/006A/view"]
    assert all(char.isprintable() for char in found.subject)
    assert "\u202e" not in found.text + found.html
