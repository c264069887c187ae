"""The crash matrix: a flow runs once unharmed, which counts its points and shows how the world looks afterwards; then
once for every point, where its worker is killed. Afterwards the world must look the same, within 30 s."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.e2e.dying import Host, Life, moments
from tests.e2e.flows import Flow, Mail
from tests.e2e.inprocess import wake
from tests.e2e.installation import DROP, OPTIONS, Desk, Installation, query, quoted, records
from tests.sandboxed import Sandbox

RECOVERY = 30.0
LOT = 30  # stories whose mails arrive together, to age together
SEED = int(os.environ.get("CRASH_SEED", "1"))  # of the ticker's phase
POINTS = os.environ.get("CRASH_POINTS", "new")  # new: each moment of a mail system once; moments: in every flow; all
EVERY = POINTS == "all"  # also the points that make no moment of their own
_met: set[tuple[str, str]] = set()  # moments at which a worker was killed already: (system, what happened, what comes)
BIN = ("Deleted Items", "TRASH")


def survey(flow: Flow, sandbox: Sandbox, host: Host, folder: Path) -> list[str]:
    """What is wrong with a flow, by the points at which its worker was killed."""
    matrix = Matrix(flow, sandbox, host, folder, SEED)
    try:
        points, expected = matrix.unharmed()
        wrong = [f"{flow} has no point of the kind {kind!r}" for kind in flow.kinds if not _has(points, kind)]
        for number in moments(points, every=EVERY):
            moment = flow.name.split()[0], f"{points[number - 2] if number > 1 else ''} | {points[number - 1]}"
            if POINTS == "new" and moment in _met:
                continue
            _met.add(moment)
            found = matrix.killed(number, points[number - 1], expected)
            wrong += [f"{flow}, killed at point {number}, {points[number - 1]}: {what}" for what in found]
        return wrong
    finally:
        matrix.close()


def _has(points: Sequence[str], kind: str) -> bool:
    """Whether one is of the kind: a part of a name, or a commit to at least these tables."""
    word, _, tables = kind.partition(" ")
    if word != "commit":
        return any(kind in point for point in points)
    written = [set(point.rpartition(" ")[2].split("+")) for point in points if " commit " in point]
    return any(set(tables.split("+")) <= found for found in written)


@dataclass(frozen=True)
class World:
    """What a flow changes: how many records of each kind the CRM gained, what the mailbox has, how the mails ended."""

    gained: Mapping[str, int]
    tree: Counter[str]
    messages: int
    ends: tuple[frozenset[str], ...]
    filed: tuple[int, ...]  # records of each mail


@dataclass
class Matrix:
    """One flow. Its stories follow one another in one mailbox; each has mails and a database of its own, a copy of one
    that is up to date with the mailbox."""

    flow: Flow
    sandbox: Sandbox
    host: Host
    folder: Path
    seed: int
    office: Installation = field(init=False)
    _told: int = 0
    _waiting: list[tuple[str, list[Mail]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.office = self._installation("office")
        self.office.apply()

    def close(self) -> None:
        self.office.close()

    @cached_property
    def desk(self) -> Desk:
        return self.office.desk(self.flow.user)

    def unharmed(self) -> tuple[tuple[str, ...], World]:
        """The flow's points, in order, and the world after it."""
        environ, mails, before = self._stage()
        life = self.host.wake(environ)
        assert life.words == {"ended": "done"}, life.words
        world = self._world(mails, before)
        assert all(self.flow.ends <= marks and DROP not in marks for marks in world.ends), world.ends
        assert set(world.filed) <= {1 if self.flow.record else 0}, world.filed
        return life.points, world

    def killed(self, number: int, point: str, expected: World) -> list[str]:
        """What is wrong after a worker was killed at this point (1, 2, ...) and another has recovered."""
        environ, mails, before = self._stage()
        life = self.host.wake(environ, die_at=number)
        if not life.killed or life.points[-1] != point:
            return [f"it was not killed there: {life.points[-1:]}, {life.words}"]
        phase = random.Random(f"{self.seed} {self.flow} {number}").uniform(0, 10)
        recovery = self.host.recover(environ, life.last, phase)
        return [*_late(recovery), *_different(expected, self._world(mails, before))]

    # --- stories ------------------------------------------------------------------------------

    def _stage(self) -> tuple[Mapping[str, str], list[Mail], Mapping[str, int]]:
        """A new story: the environment of its workers, its mails, and what the CRM holds before it."""
        name, mails = self._arrived()
        if not self.flow.new:
            wake(self.office, self.flow.user)
        self.flow.tidy(self.desk)
        environ, before = self._copy(name), self._counts()
        for mail in mails:
            self.flow.put(self.desk, mail)
        return environ, mails, before

    def _arrived(self) -> tuple[str, list[Mail]]:
        """The next story's name and mails."""
        if not self._waiting:
            for _ in range(LOT if self.flow.aged else 1):
                self._told += 1
                name = f"{self.flow.name.replace(' ', '-')}-{self._told}"
                self._waiting.append((name, self.flow.arrive(self.desk, name)))
            if self.flow.aged:
                self.sandbox.advance(10)
        return self._waiting.pop(0)

    def _installation(self, name: str) -> Installation:
        path = self.folder / f"{name}.sqlite3"
        environ = {"MAILSPAN_REDIS_URL": f"unix://{self.folder}/nobody.sock"}
        options = {**OPTIONS, **self.flow.options}
        return Installation(self.sandbox, self.folder, f"sqlite:///{path}", (self.flow.user,), environ, options)

    def _copy(self, name: str) -> Mapping[str, str]:
        with (
            closing(sqlite3.connect(self.folder / "office.sqlite3")) as source,
            closing(sqlite3.connect(self.folder / f"{name}.sqlite3")) as target,
        ):
            source.backup(target)
        return self._installation(name).environ

    # --- the world ----------------------------------------------------------------------------

    def _world(self, mails: Sequence[Mail], before: Mapping[str, int]) -> World:
        after, box = self._counts(), self.desk.box()
        marks = {mail["id"]: frozenset(mail["labels"]) for mail in self.desk.mails()}
        return World(
            gained={kind: gain for kind in after if (gain := after[kind] - before.get(kind, 0))},
            tree=Counter([*(box.get("labels") or box["folders"]).values(), *box.get("categories", ())]),
            messages=sum(not found & set(BIN) for found in marks.values()) - self._others(mails),
            ends=tuple(marks.get(mail.id, frozenset({"gone"})) for mail in mails),
            filed=tuple(self._filed(mail) for mail in mails),
        )

    def _others(self, mails: Sequence[Mail]) -> int:
        """Mails of earlier stories."""
        keys = {mail.key for mail in mails}
        return sum(mail["messageId"] not in keys and not set(mail["labels"]) & set(BIN) for mail in self.desk.mails())

    def _filed(self, mail: Mail) -> int:
        soql = f"SELECT Id FROM Task WHERE Subject = {quoted(mail.title)}"
        if self.flow.record == "task":
            return len(query(self.sandbox, self.office.crm_user, soql))
        return len(records(self.sandbox, self.office.crm_user, mail.key))

    def _counts(self) -> Mapping[str, int]:
        """How many records of each kind the CRM has."""
        return self.sandbox.state("salesforce")


def _late(recovery: Life) -> list[str]:
    if "took" not in recovery.words:
        return [f"it did not recover: {recovery.words}"]
    took = float(recovery.words["took"])
    return [f"it took {took:.1f} s"] if took > RECOVERY else []


def _different(expected: World, found: World) -> list[str]:
    names = ("gained", "tree", "messages", "ends", "filed")
    pairs = ((name, getattr(expected, name), getattr(found, name)) for name in names)
    return [f"{name}: {there} in place of {wanted}" for name, wanted, there in pairs if wanted != there]
