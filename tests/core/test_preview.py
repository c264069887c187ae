"""What another policy would do to a tree, told from what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sync.core.labels import Enabled, Remembered
from sync.core.preview import Side, Step, steps, words
from sync.modules import FieldSpec, Module
from sync.options import ModuleRule, TriggerCategory
from sync.policy import Policy

FIELDS = {"Name": FieldSpec("Name", "Name", "text")}
CASE = Enabled(ModuleRule("case"), Module("case", "Case", "Case", "Cases", FIELDS, "Name"))
PLAIN = Policy(modules=(CASE.rule,))


def digest(text: str) -> str:
    return f"<{text}>"


def made(side: Side) -> dict[str, Remembered]:
    """As the workers remember it."""
    return {node.key: Remembered(f"L-{node.key}", digest(node.name)) for node in side.tree({}, digest).nodes}


def told(
    new: Policy, old: Policy, *, modules: bool = True, categories: bool = False, whole: bool = True
) -> dict[tuple[str, str], Step]:
    was = Side(old, "Salesforce", (CASE,) if old.modules else ())
    wanted = Side(new, "Salesforce", (CASE,) if modules and new.modules else ())
    remembered = made(was)
    found = steps(wanted.tree(remembered, digest), remembered, was, digest, categories=categories, whole=whole)
    return {(step.what, step.key): step for step in found}


def test_nothing_is_told_of_the_same_policy() -> None:
    assert told(PLAIN, PLAIN) == {}


def test_a_new_mailbox_gets_everything() -> None:
    found = steps(Side(PLAIN, "Salesforce", (CASE,)).tree({}, digest), {}, None, digest, categories=False, whole=True)
    assert {step.what for step in found} == {"create"}
    assert {"Salesforce", "Salesforce/- Create New Case", "Salesforce/Cases", "Track in CRM"} <= {s.name for s in found}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"master_label": "Acme"}, {("rename", "master"): ("Acme", "Salesforce")}),
        ({"assign_to": True}, {("create", "assign.case"): ("Salesforce/Cases/Assign To", "")}),
        ({"modules": ()}, {("remove", "drop.create.case"): ("Salesforce/- Create New Case", ""),
                           ("remove", "module.case"): ("Salesforce/Cases", "")}),
        ({"done_marker": "Filed"}, {("rename", "marker.done"): ("Filed", "Processing Complete!")}),
        ({"trigger_category": ""}, {("remove", "trigger.archive"): ("Track in CRM", "")}),
        ({"trigger_categories": (TriggerCategory("New", "case"),)}, {("create", "trigger.new"): ("New", "")}),
    ],
)  # fmt: skip
def test_each_change_is_told_by_name(
    new: Mapping[str, object], expected: Mapping[tuple[str, str], tuple[str, str]]
) -> None:
    found = told(replace(PLAIN, **new), PLAIN)  # type: ignore[arg-type]
    assert {key: (step.name, step.before) for key, step in found.items()} == expected


def test_a_category_cannot_be_renamed_and_takes_those_below_it_along() -> None:
    was = Side(PLAIN, "Salesforce", (CASE,))
    remembered = {**made(was), "reason.rejected": Remembered("c", digest("Refused by the CRM"))}
    wanted = replace(PLAIN, error_marker="Not filed", master_label="Acme")
    tree = Side(wanted, "Salesforce", (CASE,)).tree(remembered, digest)
    found = [(s.what, s.name) for s in steps(tree, remembered, was, digest, categories=True, whole=True)]
    assert found == [
        ("rename", "Acme"),
        ("create", "Not filed"),
        ("stay", "Tracking Failed"),
        ("create", "Not filed: Refused by the CRM"),
        ("stay", "Tracking Failed: Refused by the CRM"),
    ]


def test_nothing_goes_while_the_crm_does_not_say_what_the_modules_are() -> None:
    assert told(PLAIN, PLAIN, modules=False, whole=False) == {}


def test_a_marker_that_is_given_up_stays_on_its_mails() -> None:
    follow = replace(PLAIN, conversation_follow=True)
    found = told(PLAIN, follow)
    assert {key: step.name for key, step in found.items()} == {
        ("remove", "trigger.stop"): "Stop Following",
        ("stay", "marker.followed"): "Conversation Tracked",
    }


def test_a_label_whose_name_nobody_knows_is_told_by_what_it_is_for() -> None:
    remembered = {"drop.create.case": Remembered("L1", "?"), "module.case": Remembered("L2", "?")}
    tree = Side(Policy(), "Salesforce").tree(remembered, digest)
    found = steps(tree, remembered, None, digest, categories=False, whole=True)
    gone = {step.name for step in found if step.what == "remove"}
    assert gone == {"the label of case", "the drop label that creates case"}
    assert words("master") == "the master label"
    assert words("assign.case") == "Assign To of case"
    assert words("of another version") == "of another version"
