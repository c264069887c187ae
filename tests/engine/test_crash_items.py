"""A worker dies at every remote call and every commit while it creates an item, assigns, follows, redirects, closes or
undoes: before it and after it. Nothing is lost or doubled.

The moments are counted from the running engine, so a new step cannot be forgotten.
"""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync.engine import feed
from sync.model import Message, RecordRef
from sync.policy import parse
from sync.store.store import Store
from tests.contracts.mail_world import mail
from tests.databases import KEY
from tests.engine.office import DONE, Desk, Killed, Office

FOLLOWED = ("Conversation Tracked",)
CREATE = ("Salesforce", "- Create New Opportunity")
PLACE = ("Salesforce", "Opportunities")
ASSIGN = (*PLACE, "Assign To")
POLICY = parse({"modules": ["opportunity"], "assign_to": True, "conversation_follow": True})
SYSTEMS = {"labels": False, "folders": True}


@dataclass
class Scene:
    """Anna, a contact who writes to her, and what happens between them."""

    office: Office
    desk: Desk
    user: RecordRef
    mails: dict[str, str] = field(default_factory=dict)
    items: dict[str, RecordRef] = field(default_factory=dict)
    before: object = None

    def arrive(
        self, name: str, subject: str = "Widgets", *, answers: str = "", sender: str = "rosa@acme.example"
    ) -> str:
        earlier = f"<{answers}@acme.example>" if answers else ""
        key = f"<{name}@acme.example>"
        raw = mail(subject, sender=sender, to=self.desk.address, message_id=key, answers=earlier)
        self.mails[name] = self.desk.box.deliver(raw)
        return self.mails[name]

    def item(self, title: str) -> RecordRef:
        values = {"status": "Prospecting", "due": "2026-12-31"}
        self.items[title] = self.office.crm.item("opportunity", title, owner=self.user, **values)
        return self.items[title]

    def leaf(self, title: str) -> str:
        [found] = self.leaves(title)
        return found

    def leaves(self, title: str) -> list[str]:
        labels = self.desk.box.labels()
        return [key for key, path in labels.items() if path[: len(ASSIGN)] == ASSIGN and title in path[-1]]

    def summaries(self, title: str) -> list[str]:
        place = self.desk.label(*PLACE)
        found = self.desk.box.provider(None).read(list(self.desk.box.inside(place)))
        return [key for key, one in found.items() if isinstance(one, Message) and title in one.mime.subject]

    def put(self, name: str, title: str) -> None:
        self.desk.box.drop(self.mails[name], self.leaf(title))

    def wake(self) -> None:
        self.office.wake(self.desk)

    def calm(self) -> None:
        """Everything that is due or put off comes to its end."""
        for _ in range(2):
            self.office.settle()
            self.office.now += 61
            self.feed()
            self.wake()
        self.office.settle()

    def feed(self) -> None:
        policy_id = self.office.store.policies()[0].id
        wants = {policy_id: {"opportunity": self.office.policy.assign_to_scope}}
        feed.run(self.office.store, self.office.connection, self.office.crm.crm(), wants)  # type: ignore[arg-type]

    def where(self, name: str) -> list[frozenset[RecordRef]]:
        """The items of every record of a mail."""
        key = f"<{name}@acme.example>"
        return [one.items for one in self.office.crm.activities() if one.message_id == key]

    def marks(self, name: str) -> set[tuple[str, ...]]:
        return self.desk.marks(self.mails[name])


# --- what happens ---------------------------------------------------------------------------------------------------


def create(scene: Scene) -> None:
    scene.desk.box.drop(scene.arrive("m1", "A quote"), scene.desk.label(*CREATE))


def created(scene: Scene) -> None:
    [item] = [record for record in scene.office.crm.org.records if record.kind == "opportunity"]
    assert scene.where("m1") == [frozenset({item})]
    assert len(scene.leaves("A quote")) == len(scene.summaries("A quote")) == 1
    assert DONE in scene.marks("m1")


def assign(scene: Scene) -> None:
    scene.item("Pumps")
    scene.calm()
    scene.arrive("m1")
    scene.put("m1", "Pumps")


def assigned(scene: Scene) -> None:
    assert scene.where("m1") == [frozenset({scene.items["Pumps"]})]
    assert len(scene.leaves("Pumps")) == len(scene.summaries("Pumps")) == 1
    assert DONE in scene.marks("m1")


def answer(scene: Scene) -> None:
    assign(scene)
    scene.calm()
    scene.arrive("m2", "Re: Widgets", answers="m1")


def followed(scene: Scene) -> None:
    assigned(scene)
    assert scene.where("m2") == [frozenset({scene.items["Pumps"]})]
    assert FOLLOWED in scene.marks("m2")


def redirect(scene: Scene) -> None:
    scene.item("Valves")
    answer(scene)
    scene.calm()
    scene.put("m2", "Valves")
    scene.arrive("m3", "Re: Widgets", answers="m2")


def redirected(scene: Scene) -> None:
    assert scene.where("m1") == [frozenset({scene.items["Pumps"]})]
    assert scene.where("m2") == [frozenset({scene.items["Valves"]})]
    assert scene.where("m3") in ([frozenset({scene.items["Valves"]})], [frozenset({scene.items["Pumps"]})])
    assert DONE in scene.marks("m2")
    assert FOLLOWED in scene.marks("m3")


def close(scene: Scene) -> None:
    """A mail lies in the leaf when its item is closed."""
    assign(scene)
    scene.office.crm.edit(scene.items["Pumps"], status="Closed Won")
    scene.feed()


def closed(scene: Scene) -> None:
    assert scene.where("m1") == [frozenset({scene.items["Pumps"]})]
    assert scene.leaves("Pumps") == scene.summaries("Pumps") == []
    assert DONE in scene.marks("m1")


def undo(scene: Scene) -> None:
    scene.arrive("m1", "A quote", sender="new@fresh.example")
    scene.before = scene.office.crm.snapshot()
    scene.desk.box.drop(scene.mails["m1"], scene.desk.label(*CREATE))
    scene.calm()
    assert scene.office.store.undo(scene.office.store.hash("<m1@acme.example>")).filings == 1


def undone(scene: Scene) -> None:
    assert scene.office.crm.snapshot() == scene.before
    assert not scene.marks("m1") & {DONE, FOLLOWED}
    assert scene.leaves("A quote") == scene.summaries("A quote") == []


FLOWS: dict[str, tuple[Callable[[Scene], None], Callable[[Scene], None]]] = {
    "create": (create, created),
    "assign": (assign, assigned),
    "follow": (answer, followed),
    "redirect": (redirect, redirected),
    "close": (close, closed),
    "undo": (undo, undone),
}


@pytest.fixture
def new_scene(tmp_path: Path) -> Iterator[Callable[[bool], Scene]]:
    opened: list[Scene] = []

    def make(folders: bool) -> Scene:
        store = Store.open(f"sqlite:///{tmp_path / 'staged.sqlite3'}", [KEY])
        office = Office(store, POLICY)
        office.open()
        office.store.put_policy("sales", {"modules": ["opportunity"]}, "crm", "mail")
        people = office.crm.org.records.items()
        user = next(record for record, one in people if one.get("email") == "anna@northpeak.example")
        office.crm.contact("Diaz", "rosa@acme.example")
        opened.append(Scene(office, office.desk("anna", folders=folders), user))
        return opened[-1]

    yield make
    for one in opened:
        one.office.store.close()


def moments_of(scene: Scene, check: Callable[[Scene], None]) -> list[str]:
    """The undisturbed course: what there is to be killed at."""
    with scene.office.killing(0) as moments:
        scene.wake()
    scene.calm()
    check(scene)
    return moments


def killed(scene: Scene, check: Callable[[Scene], None], point: int) -> None:
    with scene.office.killing(point), pytest.raises(Killed):
        scene.wake()
    scene.calm()
    check(scene)


def apart(scene: Scene, folder: Path, deed: Callable[[Scene], object]) -> object:
    """Play on in a process of its own, with a copy of the database: the staged scene stays as it is."""
    scene.office.store.close()
    place = folder / "copy"
    place.mkdir()
    path = place / "mailspan.sqlite3"
    shutil.copy(folder / "staged.sqlite3", path)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        told: object
        try:
            scene.office.store = Store.open(f"sqlite:///{path}", [KEY])
            told = deed(scene)
        except BaseException:  # noqa: BLE001 - whatever it was, the parent says so
            told = traceback.format_exc()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(told).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = json.loads(pipe.read() or b'"the process ended without a word"')
    os.waitpid(child, 0)
    shutil.rmtree(place)
    return told


_met: set[tuple[str, ...]] = set()


def chosen(system: str, moments: Sequence[str]) -> list[int]:
    """Points, counted from 1: each moment with its two predecessors once in all flows. CRASH_POINTS=moments: all."""
    if os.environ.get("CRASH_POINTS", "new") != "new":
        return list(range(1, len(moments) + 1))
    out = []
    for at in range(len(moments)):
        met = system, *moments[max(at - 2, 0) : at + 1]
        if met not in _met:
            _met.add(met)
            out.append(at + 1)
    return out


@pytest.mark.timeout(600)
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("flow", FLOWS)
def test_killed_anywhere_ends_well(new_scene: Callable[[bool], Scene], tmp_path: Path, flow: str, system: str) -> None:
    stage, check = FLOWS[flow]
    scene = new_scene(SYSTEMS[system])
    stage(scene)
    moments = apart(scene, tmp_path, lambda copy: moments_of(copy, check))
    assert isinstance(moments, list), moments
    assert {"before commit", "after commit"} < set(moments)
    for point in chosen(system, moments):
        found = apart(scene, tmp_path, lambda copy, point=point: killed(copy, check, point))
        assert found is None, f"{flow}, killed at point {point}: {moments[point - 1]}\n{found}"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("back", [0, 1, 2])
def test_a_worker_that_stood_still_leaves_one_summary(
    new_scene: Callable[[bool], Scene], system: str, back: int
) -> None:
    """It stands still right before it puts a summary, or a moment earlier, and goes on when another has put it."""
    scene = new_scene(SYSTEMS[system])
    scene.item("Pumps")
    scene.feed()
    with scene.office.killing(0) as moments:
        scene.wake()
    point = moments.index("before put") + 1 - back
    scene.item("Valves")
    scene.feed()

    def meanwhile() -> None:
        scene.office.now += 30  # past lease and guard
        scene.office.wake(scene.desk, "another")

    with scene.office.at(point, meanwhile):
        scene.wake()
    scene.calm()
    assert len(scene.summaries("Valves")) == len(scene.leaves("Valves")) == 1
