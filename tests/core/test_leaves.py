"""Names of Assign To leaves, letter by letter (product.md 7)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core import labels
from sync.core.labels import Enabled, Leaf
from sync.core.leaves import amount, leaf_name
from sync.model import RecordRef
from sync.modules import Module, ModuleItem
from sync.options import ModuleRule
from sync.policy import Policy

OPPORTUNITY = Module("opportunity", "Opportunity", "Opportunity", "Opportunities", {}, "Name")


def item(kind: str = "opportunity", title: str = "3000 Widgets for Acme Corp", **more: object) -> ModuleItem:
    fixed = {"owner": "005", "closed": False, "version": "1", "changed": datetime(2026, 1, 1, tzinfo=UTC)}
    return ModuleItem(RecordRef(kind, "006A"), title, **{**fixed, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "rule", "name"),
    [
        (item(amount=Decimal(120000)), "", "[1] 3000 Widgets for Acme Corp ($120,000)"),
        (item(), "", "[1] 3000 Widgets for Acme Corp"),
        (
            item("case", "Widget control not activating automatically on restart", number="12934"),
            "",
            "[1] [12934] Widget control not activating automatically on restart",
        ),
        (item("project__c", "Move"), "", "[1] Move"),
        (item("project__c", "Move", status="Open", number="P-1"), "{number} {title} ({status})", "[1] P-1 Move (Open)"),
        (item(title="a/b\\c"), "", "[1] a\u2215b\u29f5c"),
        (item(title="  "), "", "[1] (no title)"),
        (item(title="pay\u202egpj.exe"), "", "[1] paygpj.exe"),
    ],
)
def test_names(found: ModuleItem, rule: str, name: str) -> None:
    assert leaf_name(found, 1, ModuleRule(found.record.kind, leaf=rule), "USD") == name


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (None, "USD", ""),
        (Decimal(120000), "USD", "$120,000"),
        (Decimal("120000.00"), "EUR", "€120,000"),
        (Decimal("1250.5"), "GBP", "£1,250.50"),
        (Decimal(300), "CHF", "CHF 300"),
        (Decimal(-5), "USD", "-$5"),
        (Decimal("NaN"), "USD", ""),
    ],
)
def test_amounts(value: Decimal | None, currency: str, text: str) -> None:
    assert amount(value, currency) == text


@given(st.text(max_size=600), st.integers(1, 5000))
def test_any_title_fits_its_path(title: str, number: int) -> None:
    policy = Policy(assign_to=True, modules=(ModuleRule("opportunity"),))
    enabled = Enabled(policy.modules[0], OPPORTUNITY)
    tree = labels.tree(policy, "Salesforce", {}, str, modules=[enabled])
    name = leaf_name(item(title=title), number, enabled.rule, "USD")
    found = labels.with_leaves(tree, [Leaf("opportunity", "006A", name)], str)
    above = sum(len(node.name) + 1 for node in found.nodes[:-1])
    leaf = found.nodes[-1]
    assert [node.key for node in found.nodes] == [
        "master",
        "module.opportunity",
        "assign.opportunity",
        "leaf.opportunity.006A",
    ]
    assert above + len(leaf.name) <= labels.LONGEST_PATH
    assert leaf.name.startswith(f"[{number}]")
    assert "/" not in leaf.name
    assert "\\" not in leaf.name


def test_the_tree_of_a_policy_with_modules() -> None:
    policy = Policy(assign_to=True, modules=(ModuleRule("opportunity"), ModuleRule("case", assign_to=False)))
    case = Module("case", "Case", "Case", "Cases", {}, "Subject")
    modules = [Enabled(policy.modules[0], OPPORTUNITY), Enabled(policy.modules[1], case)]
    tree = labels.tree(policy, "Salesforce", {}, str, modules=modules)
    paths = {node.key: node.name for node in tree.nodes if node.role in ("container", "drop")}
    assert paths == {
        "master": "Salesforce",
        "drop.archive": "- Create New Email",
        "drop.create.opportunity": "- Create New Opportunity",
        "drop.create.case": "- Create New Case",
        "module.opportunity": "Opportunities",
        "assign.opportunity": "Assign To",
        "module.case": "Cases",
    }
