"""What the contract suite cannot see of the tree: races, colours, costs, long names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from googleapiclient import discovery_cache

from sync.core import labels as core_labels
from sync.errors import Busy, Conflict, Rejected
from sync.model import LabelTree, Node
from sync.providers.google import tree
from sync.providers.google.http import Api, service
from tests.contracts.mail_world import CountingMeter
from tests.providers.google.fake_http import Answer, FakeHttp, refusal

NODES = LabelTree((Node("master", "CRM"), Node("drop", "- New", "master", "drop"), Node("done", "Done", color="green")))


class Server:
    """Gmail's labels. `race` are names that somebody else creates after the first list; `stubborn`: and hides."""

    def __init__(self, *names: str, race: tuple[str, ...] = (), stubborn: bool = False) -> None:
        self.labels: dict[str, dict[str, Any]] = {}
        for name in names:
            self.add({"name": name})
        self.race, self.stubborn = race, stubborn
        self.meter = CountingMeter()
        self.http = FakeHttp(self.answer)
        self.api = Api(service(), lambda: self.http, self.meter)

    def add(self, body: dict[str, Any]) -> dict[str, Any]:
        label = {"id": f"Label_{len(self.labels) + 1}", "type": "user", **body}
        self.labels[label["id"]] = label
        return label

    def answer(self, verb: str, path: str, body: Any) -> Answer:
        own = path.split("?")[0].rpartition("/")[2]
        names = {label["name"].casefold() for key, label in self.labels.items() if key != own}
        if verb == "GET":
            shown = [{"id": "INBOX", "name": "INBOX", "type": "system"}, *self.labels.values()]
            for name in self.race:
                self.add({"name": name})
            self.race = ()
            return 200, {"labels": [label for label in shown if not self.stubborn or label["id"] == "INBOX"]}
        if body["name"].casefold() in names:
            return refusal(409, "aborted", "Label name exists or conflicts")
        if verb == "POST":
            return 200, self.add(body)
        self.labels[own].update(body)
        return 200, self.labels[own]

    @property
    def names(self) -> list[str]:
        return [label["name"] for label in self.labels.values()]


def test_the_price_of_a_tree() -> None:
    server = Server()
    made = tree.ensure(server.api, NODES)
    assert len(server.http.requests) == 3  # the list, and one for each level
    assert server.meter.units == 1 + 3 * 5
    server.meter.spent.clear()
    known = LabelTree(tuple(replace(node, remote_id=made.ids[node.key]) for node in NODES.nodes))
    tree.ensure(server.api, known)
    assert server.meter.spent == [("labels.list", 1, 1)]


def test_a_label_that_somebody_else_made_meanwhile_is_adopted() -> None:
    server = Server(race=("crm", "Done"))
    made = tree.ensure(server.api, NODES)
    assert made.created == ("drop",)
    assert server.names == ["crm", "Done", "crm/- New"]


def test_a_name_that_is_taken_but_not_to_be_found_is_a_conflict() -> None:
    with pytest.raises(Conflict):
        tree.ensure(Server("Done", stubborn=True).api, NODES)


def test_two_nodes_of_one_name_get_two_labels() -> None:
    server = Server()
    made = tree.ensure(server.api, LabelTree((Node("a", "Same"), Node("b", "SAME"))))
    assert len(set(made.ids.values())) == 2
    assert server.names == ["Same", "SAME 2"]


def test_a_label_that_is_another_nodes_is_not_adopted() -> None:
    """The user gave one of our labels the name that another node wants."""
    server = Server("Done")
    nodes = (Node("error", "Failed", remote_id="Label_1"), Node("done", "Done"))
    made = tree.ensure(server.api, LabelTree(nodes))
    assert made.ids == {"error": "Label_1", "done": "Label_2"}
    assert server.names == ["Done", "Done 2"]


def test_a_rename_to_a_taken_name_gets_a_number() -> None:
    server = Server("Old", "New")
    made = tree.ensure(server.api, LabelTree((Node("a", "New", remote_id="Label_1", rename=True),)))
    assert made.renamed == ("a",)
    assert server.names == ["New 2", "New"]


def test_a_rename_of_case_only() -> None:
    server = Server("done")
    tree.ensure(server.api, LabelTree((Node("a", "DONE", remote_id="Label_1", rename=True),)))
    assert server.names == ["DONE"]


def test_a_system_label_is_never_adopted() -> None:
    server = Server()
    made = tree.ensure(server.api, LabelTree((Node("a", "Inbox"),)))
    assert made.ids["a"] == "Label_1"
    assert server.names == ["Inbox 2"]


def test_colours_are_set_at_creation_only_and_from_the_palette() -> None:
    assert set(core_labels.COLORS) <= set(tree.COLORS)
    path = discovery_cache.DISCOVERY_DOC_DIR
    with open(f"{path}/gmail.v1.json", encoding="utf-8") as file:
        schema = json.load(file)["schemas"]["LabelColor"]["properties"]
    for background, text in tree.COLORS.values():
        assert background in schema["backgroundColor"]["description"]
        assert text in schema["textColor"]["description"]
    server = Server("Done")
    tree.ensure(server.api, NODES)
    assert "color" not in server.labels["Label_1"]
    assert server.labels["Label_2"]["color"] == dict(
        zip(("backgroundColor", "textColor"), tree.COLORS["grey"], strict=True)
    )


def test_a_long_path_is_cut_and_found_again() -> None:
    server = Server()
    nodes = (Node("master", "M" * 120), Node("leaf", "Überlange Möglichkeit " * 10, "master"))
    made = tree.ensure(server.api, LabelTree(nodes))
    assert max(map(len, server.names)) <= core_labels.LONGEST_PATH
    assert tree.ensure(server.api, LabelTree(nodes)).ids == made.ids
    assert len(server.labels) == 2


def test_trouble_on_the_way_is_raised_and_the_next_run_goes_on() -> None:
    server = Server()
    refused: list[Answer] = [refusal(503, "backendError")]
    server.http.whole = lambda path: refused.pop() if path == "/batch" and refused else None
    with pytest.raises(Busy):
        tree.ensure(server.api, NODES)
    made = tree.ensure(server.api, NODES)
    assert len(server.labels) == len(made.ids) == 3


def test_a_name_that_gmail_refuses_is_rejected() -> None:
    server = Server()
    answer = server.answer
    server.http.handler = lambda v, p, b: refusal(400, "invalidArgument") if v == "POST" else answer(v, p, b)
    with pytest.raises(Rejected):
        tree.ensure(server.api, NODES)


# --- leaves ---------------------------------------------------------------------------------------------------------

ASSIGN = (Node("master", "CRM", remote_id="Label_1"), Node("assign", "Assign To", "master", remote_id="Label_2"))


def leaves(count: int) -> tuple[Node, ...]:
    return tuple(Node(f"leaf.{number}", f"[{number}] Widgets", "assign", "drop") for number in range(count))


def test_the_price_of_20_leaves() -> None:
    server = Server("CRM", "CRM/Assign To")
    tree.ensure(server.api, LabelTree((*ASSIGN, *leaves(20))))
    assert server.http.requests == ["GET /gmail/v1/users/me/labels?alt=json", "POST /batch"]
    assert server.meter.units == 1 + 20 * 5


def test_the_price_of_20_renames() -> None:
    server = Server("CRM", "CRM/Assign To")
    made = tree.ensure(server.api, LabelTree((*ASSIGN, *leaves(20))))
    server.http.requests.clear()
    server.meter.spent.clear()
    renamed = [replace(one, name=f"{one.name} (€ 1)", remote_id=made.ids[one.key], rename=True) for one in leaves(20)]
    again = tree.ensure(server.api, LabelTree((*ASSIGN, *renamed)))
    assert len(again.renamed) == 20
    assert len(server.http.requests) == 2
    assert server.meter.units == 1 + 20 * 5
    assert server.names[2:] == [f"CRM/Assign To/[{number}] Widgets (€ 1)" for number in range(20)]


@pytest.mark.parametrize("passing", range(0, 9, 2))
def test_a_rename_that_broke_off_anywhere_is_carried_on(passing: int) -> None:
    """The labels below go first: the parent's old name says that there is more to do."""
    names = [f"CRM/Assign To/[{number}] Widgets" for number in range(6)]
    server = Server("CRM", "CRM/Assign To", *names)
    whole, left = server.answer, [passing]

    def breaking(verb: str, path: str, body: Any) -> Answer:
        if verb == "PATCH":
            left[0] -= 1
            if left[0] < 0:
                return refusal(503, "backendError")
        return whole(verb, path, body)

    server.http.handler = breaking
    wanted = LabelTree((replace(ASSIGN[0], name="Salesforce", rename=True), ASSIGN[1]))
    try:
        tree.ensure(server.api, wanted)
    except Busy:
        left[0] = 99
        tree.ensure(server.api, wanted)
    assert server.names == ["Salesforce", *(name.replace("CRM", "Salesforce") for name in ["CRM/Assign To", *names])]


def test_a_label_below_whose_new_name_is_taken_gets_a_number() -> None:
    server = Server("CRM", "CRM/Assign To", "Salesforce/Assign To")
    tree.ensure(server.api, LabelTree((replace(ASSIGN[0], name="Salesforce", rename=True),)))
    assert server.names == ["Salesforce", "Salesforce/Assign To 2", "Salesforce/Assign To"]
