"""Whoever is killed, wherever: one CRM record, a settled mail, within 30 s, with the default lease and tick.

Two installations share a sandbox, and all of them are killed at once: on SQLite one mailbox's worker before the effect
of its filing and another's after it, on PostgreSQL an Outlook mailbox's, and the ticker; then a worker of each mail
system while it settles; later the Valkey, and a ticker alone.
"""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from sync import embedded
from tests.e2e.installation import DONE, DROP, GRAPH, Installation, letter, records, until
from tests.sandboxed import Sandbox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RECOVERY = 30.0
LONG = 25.0  # longer than the recovery takes: the mail is home before the call of the dead goes on
SLOW = 4.0  # seconds for which a call is held under way: long enough to kill its caller in the middle
ANNA, BEN, ERIK, PRIYA = (f"{name}@northpeak.example" for name in ("anna", "ben", "erik", "priya"))
WRITER = "laura.keller@example.com"


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def small(world: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """`mailspan up` on SQLite."""
    folder = tmp_path_factory.mktemp("small")
    installation = Installation(world, folder, f"sqlite:///{folder / 'mailspan.sqlite3'}", (ANNA, BEN, ERIK))
    installation.apply()
    installation.start("up", "up", "-n", "2")
    yield installation
    installation.close()


@pytest.fixture(scope="module")
def large(world: Sandbox, tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[Installation]:
    """Workers and a ticker, each by itself, on PostgreSQL and a Redis of their own."""
    folder = tmp_path_factory.mktemp("large")
    schema = f"e2e_{uuid.uuid4().hex[:12]}"
    url = sa.make_url(postgres).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, poolclass=sa.NullPool)
    with admin.begin() as conn:
        conn.execute(sa.text(f"CREATE SCHEMA {schema}"))
    where = url.set(drivername="postgresql").update_query_dict({"options": f"-csearch_path={schema}"})
    with embedded.serve(folder) as redis_url:
        environ = {"MAILSPAN_REDIS_URL": redis_url}
        installation = Installation(world, folder, where.render_as_string(False), (PRIYA,), environ)
        installation.apply()
        for name in ("worker-a", "worker-b"):
            installation.start(name, "worker", "-n", "1")
        installation.start("ticker", "ticker")
        yield installation
        installation.close()
    with admin.begin() as conn:
        conn.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


class Story:
    """One dropped mail whose worker dies."""

    def __init__(self, installation: Installation, address: str, title: str) -> None:
        self.installation, self.title = installation, title
        self.sandbox = installation.sandbox
        self.desk = installation.desk(address)
        self.message_id = f"<{uuid.uuid4().hex}@partner.example>"
        self.mail = ""
        self.killed_at = 0.0

    def hold(self, path: str) -> None:
        """The next call to this path that is about the mail stays under way for a while before its effect."""
        about = "" if "batchModify" in path else self.title
        self.sandbox.fault("slow", path=path, body_matches=about or None, seconds=SLOW)

    def drop(self) -> None:
        self.mail = self.desk.deliver(letter(WRITER, self.desk.address, self.title, self.message_id))
        self.desk.drop(self.mail)
        self.installation.knock(self.desk.address)

    def worker(self) -> psutil.Process:
        """Who files it, caught in the act."""
        until(self._under_way, 40, f"a filing of {self.title} under way")
        return psutil.Process(self.installation.leases()[self.desk.address])

    def _under_way(self) -> bool:
        return any(fault["hits"] and fault["body_matches"] == self.title for fault in self.sandbox.faults())

    def kill(self, worker: psutil.Process) -> None:
        worker.send_signal(signal.SIGKILL)
        self.killed_at = time.time()

    def filed(self) -> list[str]:
        return records(self.sandbox, self.installation.crm_user, self.message_id)

    def recovered(self) -> float:
        """Seconds from the kill until the mail was settled."""
        limit = self.killed_at + RECOVERY + 10 - time.time()
        until(lambda: self.desk.ended(self.mail), limit, f"{self.title} settled")
        return time.time() - self.killed_at


@pytest.fixture(scope="module")
def ready(small: Installation, large: Installation) -> None:
    """Every mailbox has its labels: the processes are up and idle."""
    for installation in (small, large):
        for address in installation.mailboxes:
            until(installation.desk(address).has_tree, 60, f"a drop label for {address}")
            until(lambda a=address, i=installation: a not in i.leases(), 20, f"{address} at rest")  # type: ignore[misc]


def _before(story: Story) -> None:
    """Kill the worker while the call waits for its effect."""
    worker = story.worker()
    assert not story.filed(), "the call had its effect already"
    story.kill(worker)


def _after(story: Story) -> None:
    """Kill the worker between the effect and the answer."""
    worker = story.worker()
    worker.suspend()  # its call goes on without it; the answer finds nobody
    assert len(until(story.filed, 2 * SLOW, "the effect of the call")) == 1
    assert not story.desk.ended(story.mail)
    story.kill(worker)


@pytest.mark.usefixtures("ready")
def test_a_killed_worker_leaves_one_record_and_a_settled_mail(small: Installation, large: Installation) -> None:
    before, after = Story(small, ANNA, "Killed before"), Story(small, BEN, "Killed after")
    elsewhere = Story(large, PRIYA, "Killed elsewhere")
    stories = (before, after, elsewhere)
    for story in stories:
        story.hold(GRAPH)
        story.drop()
    with ThreadPoolExecutor() as pool:
        deaths = [pool.submit(how, story) for how, story in zip((_before, _after, _before), stories, strict=True)]
        for death in deaths:
            death.result()
    for name in ("up", "ticker"):
        installation = small if name == "up" else large
        installation.family(name, "ticker")[-1].kill()
    large.start("ticker", "ticker")  # as a service manager would; `up` does it by itself

    with ThreadPoolExecutor() as pool:
        took = list(pool.map(Story.recovered, stories))
    assert max(took) < RECOVERY, took
    for story in stories:
        assert len(story.filed()) == 1, story.title
        (marks,) = story.desk.marks(story.mail)
        assert DONE in marks, story.title
        assert story.desk.at_home(marks), story.title
    assert len(small.family("up", "worker")) == 2, "a killed worker is started again"


@pytest.mark.usefixtures("ready")
def test_a_worker_killed_while_it_settles_files_nothing_again(small: Installation) -> None:
    """Before the labels are written in Gmail; in Outlook between the categories and the way home."""
    gmail, outlook = Story(small, ANNA, "Killed settling"), Story(small, ERIK, "Killed going home")
    small.sandbox.fault("slow", path="/messages/|batch", user=ANNA, body_matches="removeLabelIds|INBOX", seconds=SLOW)
    small.sandbox.fault("slow", path=r"/messages/[^/]+/move$", user=ERIK, seconds=LONG)
    gmail_fault, outlook_fault = (fault["id"] for fault in small.sandbox.faults()[-2:])

    def caught(fault: int) -> bool:
        return any(one["id"] == fault and one["hits"] for one in small.sandbox.faults())

    for story in (gmail, outlook):
        story.drop()
    for story, fault in ((gmail, gmail_fault), (outlook, outlook_fault)):
        until(lambda f=fault: caught(f), 40, f"{story.title} under way")  # type: ignore[misc]
        assert len(story.filed()) == 1
        story.kill(psutil.Process(small.leases()[story.desk.address]))
    (marks,) = outlook.desk.marks(outlook.mail)
    assert {DROP, DONE} <= marks, "it has its marker, and is not home yet"
    with ThreadPoolExecutor() as pool:
        took = list(pool.map(Story.recovered, (gmail, outlook)))
    assert max(took) < RECOVERY, took
    for story in (gmail, outlook):
        (marks,) = story.desk.marks(story.mail)
        assert story.desk.at_home(marks), story.title
        assert len(story.filed()) == 1, story.title


@pytest.mark.usefixtures("ready")
def test_a_valkey_that_comes_back_empty_loses_nothing(small: Installation) -> None:
    story = Story(small, BEN, "Valkey killed")
    (valkey,) = small.family("up", "valkey-server")
    story.kill(valkey)
    story.drop()
    assert story.recovered() < RECOVERY
    assert len(story.filed()) == 1


@pytest.mark.usefixtures("ready")
def test_a_second_up_is_refused_and_the_first_ends_without_a_trace(small: Installation) -> None:
    refused = small.command("up")
    assert refused.returncode == 2
    assert "Mailspan runs already with this data directory" in refused.stderr
    assert Path(small.folder, "up.log").read_text().count("starts again") >= 3
    status, took, left = small.end("up", signal.SIGTERM)
    assert (status, left) == (0, [])
    assert took < 5
