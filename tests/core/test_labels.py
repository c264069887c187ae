"""The label tree: names that survive every mail system, renames that leave users' own alone."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.labels import COLORS, LONGEST_PATH, Remembered, clean, fit, tree
from sync.core.reasons import REASONS, reason
from sync.model import LabelTree, Target
from sync.policy import Policy


def digest(text: str) -> str:
    return f"<{text}>"


def names(found: LabelTree) -> dict[str, tuple[str, str | None, str]]:
    return {node.key: (node.name, node.parent, node.role) for node in found.nodes}


def test_the_tree_of_a_default_policy() -> None:
    found = tree(Policy(), "Salesforce", {}, digest)
    assert names(found) == {
        "master": ("Salesforce", None, "container"),
        "drop.archive": ("- Create New Email", "master", "drop"),
        "trigger.archive": ("Track in CRM", None, "trigger"),
        "marker.done": ("Processing Complete!", None, "marker"),
        "marker.missing": ("Missing Required Matches", None, "marker"),
        "marker.error": ("Tracking Failed", None, "marker"),
    }
    assert found.nodes[1].target == Target("archive")
    assert {node.color for node in found.nodes} <= set(COLORS)
    assert all(node.remote_id is None and not node.rename for node in found.nodes)


def test_reasons_stand_below_their_marker() -> None:
    remembered = {
        "reason.rejected": Remembered("L9", digest("Refused by the CRM")),
        "reason.forgotten": Remembered("L8", "x"),
    }
    found = names(tree(Policy(), "CRM", remembered, digest, ["no_match"]))
    assert found["reason.no_match"] == ("Nobody known", "marker.missing", "marker")
    assert found["reason.rejected"] == ("Refused by the CRM", "marker.error", "marker")
    assert "reason.forgotten" not in found
    assert sum(key.startswith("reason.") for key in found) == 2


@pytest.mark.parametrize(("wanted", "rename"), [("Salesforce", False), ("Sales", True)])
def test_only_a_changed_wish_renames(wanted: str, rename: bool) -> None:
    master = tree(
        Policy(master_label=wanted), "Salesforce", {"master": Remembered("L1", digest("Salesforce"))}, digest
    ).nodes[0]
    assert (master.remote_id, master.rename) == ("L1", rename)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("A/B\\C", "A\u2215B\u29f5C"),
        ("  two   words ", "two words"),
        ("tab\there\nthere", "tab here there"),
        ("e\u0301", "é"),
        ("", ""),
    ],
)
def test_clean(name: str, cleaned: str) -> None:
    assert clean(name) == cleaned


def test_names_that_mail_systems_keep_are_told_apart() -> None:
    assert tree(Policy(master_label="Inbox"), "CRM", {}, digest).nodes[0].name == "Inbox (CRM)"
    assert tree(Policy(), " / ", {}, digest).nodes[0].name == "\u2215"
    assert tree(Policy(), "", {}, digest).nodes[0].name == "CRM"


def test_equal_names_of_siblings_are_told_apart() -> None:
    policy = Policy(done_marker="crm", missing_marker="CRM", error_marker="Crm")
    found = tree(policy, "Crm", {}, digest)
    top = [node.name.casefold() for node in found.nodes if node.parent is None]
    assert len(set(top)) == len(top)


def test_a_marker_without_a_name_takes_the_products_own() -> None:
    found = names(tree(replace(Policy(), done_marker=" "), "CRM", {}, digest))
    assert found["marker.done"][0] == "Processing Complete!"


@given(st.text(max_size=400), st.integers(min_value=20, max_value=200))
def test_names_fit_and_stay_apart(name: str, room: int) -> None:
    wanted = clean(name)
    short = fit(wanted, room)
    assert len(short) <= room
    if len(wanted) <= room:
        assert short == wanted
    else:
        assert "…~" in short
        assert fit(wanted + "x", room) != short


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_name_gives_a_sound_tree(crm: str, marker: str) -> None:
    policy = replace(Policy(), master_label=crm, done_marker=marker)
    found = tree(policy, crm, {}, digest, REASONS)
    paths: dict[str, str] = {}
    for node in found.nodes:
        assert node.name == " ".join(node.name.split())
        assert not set("/\\") & set(node.name)
        assert unicodedata.normalize("NFC", node.name) == node.name
        paths[node.key] = f"{paths[node.parent]}/{node.name}" if node.parent else node.name  # parents come first
    assert max(map(len, paths.values())) <= LONGEST_PATH
    assert len({path.casefold() for path in paths.values()}) == len(paths)
    assert tree(policy, crm, {}, digest, REASONS) == found


@pytest.mark.parametrize("code", REASONS)
def test_every_reason_is_fit_for_a_label(code: str) -> None:
    found = reason(code)
    assert 0 < len(found.label) <= 40
    assert clean(found.label) == found.label
    assert found.text.endswith(".")
    assert found.advice.endswith(".")


def test_labels_of_reasons_are_unique_and_unknown_codes_readable() -> None:
    assert len({one.label for one in REASONS.values()}) == len(REASONS)
    assert reason("of another version").code == "rejected"


def test_a_long_name_at_the_top_leaves_room_below() -> None:
    found = tree(replace(Policy(), done_marker="m" * 250, error_marker="e" * 250), "c" * 250, {}, digest, REASONS)
    tops = {node.key: node.name for node in found.nodes if node.parent is None}
    for node in found.nodes:
        if node.parent:
            assert len(f"{tops[node.parent]}/{node.name}") <= LONGEST_PATH
            assert len(node.name) >= 8
