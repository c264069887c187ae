"""Opening, migrating, keys, forks."""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sync.store import database as databases
from sync.store.database import Database, StoreError
from sync.store.store import Store
from sync.store.tables import REVISION, metadata
from sync.store.vault import SecretKeyError
from tests.databases import KEY, assert_no_content, dump
from tests.store.conftest import NOW, Site

OTHER_KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")


def test_migrations_make_the_tables_that_the_code_describes(store: Store, database: str) -> None:
    with Database(database).reading() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, metadata) == []


def test_the_revision_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(databases.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_migrating_again_changes_nothing(store: Store, database: str) -> None:
    before = dump(database)
    digest = store.hash("x")
    assert store.ready()
    store.migrate()
    assert dump(database) == before
    assert Store.open(database, [KEY]).hash("x") == digest


def test_an_empty_database_is_not_ready(database: str) -> None:
    opened = Store.open(database, [KEY])
    assert not opened.ready()
    with pytest.raises(StoreError, match="never migrated"):
        opened.hash("x")
    opened.migrate()
    assert opened.ready()
    opened.close()


def _migrate(url: str) -> str:
    opened = Store.open(url, [KEY])
    opened.migrate()
    return opened.hash("x")


def test_several_processes_migrate_at_once(database: str) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sync.store.store", "alembic.command"])
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        assert len(set(pool.map(_migrate, [database] * 4))) == 1


def test_several_threads_migrate_at_once(database: str) -> None:
    opened = Store.open(database, [KEY])
    threads = [threading.Thread(target=opened.migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.ready()
    opened.close()


def test_tables_of_a_newer_version_are_refused(store: Store, database: str) -> None:
    with Database(database).writing() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert not store.ready()
    with pytest.raises(StoreError, match="another version"):
        store.migrate()


@pytest.mark.parametrize("url", ["mysql://a/b", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(StoreError):
        Store.open(url, [KEY])


def test_a_sqlite_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "var" / "store.sqlite3"
    opened = Store.open(f"sqlite:///{path}", [KEY])
    opened.migrate()
    assert path.stat().st_mode & 0o077 == 0
    opened.close()


def test_a_failed_transaction_leaves_nothing(site: Site) -> None:
    def broken() -> None:
        with site.store.writing() as tx:
            tx.put_mailbox("eve@acme.example", "sales")
            tx.put_mailbox("dan@acme.example", "no such policy")

    with pytest.raises(StoreError, match="no such policy"):
        broken()
    assert site.store.mailbox_by_address("eve@acme.example") is None


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_told_at_the_start(store: Store, database: str) -> None:
    with pytest.raises(SecretKeyError, match="another secret key"):
        Store.open(database, [OTHER_KEY]).migrate()


@pytest.mark.parametrize("keys", [[], ["short"], ["*" * 43], [KEY, ""]])
def test_malformed_keys_are_refused(keys: list[str], tmp_path: Path) -> None:
    with pytest.raises(SecretKeyError):
        Store.open(f"sqlite:///{tmp_path / 'x'}", keys)


def test_rotation_lets_the_old_key_go(site: Site, database: str) -> None:
    site.store.put_mailbox("ann@acme.example", "sales", "ann@crm.example", token="t0ken")
    digest = site.store.hash("x")
    both = Store.open(database, [OTHER_KEY, KEY])
    assert both.rotate() == 7  # hash key, two connections, two addresses, one CRM user, one token
    new = Store.open(database, [OTHER_KEY])
    new.migrate()
    assert new.hash("x") == digest
    mailbox = new.mailbox(site.ann)
    assert (mailbox.address, mailbox.crm_user, mailbox.token) == ("ann@acme.example", "ann@crm.example", "t0ken")
    assert new.connection("crm").secrets == {"key": "s3cret"}
    with pytest.raises(SecretKeyError):
        Store.open(database, [KEY]).mailbox(site.ann)


def test_the_hash_is_keyed_by_installation(store: Store, tmp_path: Path) -> None:
    other = Store.open(f"sqlite:///{tmp_path / 'other.sqlite3'}", [KEY])
    other.migrate()
    assert store.hash("ann@acme.example") == store.hash("ann@acme.example")
    assert store.hash("ann@acme.example") != other.hash("ann@acme.example")
    assert store.hash("\udcff broken")  # what headers of awkward mails decode to
    assert store.decrypt(store.encrypt("ü")) == "ü"
    other.close()


# --- no content -----------------------------------------------------------------------------------------------------


def test_nothing_of_a_mail_can_be_read_from_the_tables(site: Site, database: str) -> None:
    site.store.put_mailbox("ann@acme.example", "sales", "ann@crm.example", token="t0ken-t0ken")
    lease = site.lease()
    key = site.store.hash("<abc@mail.example>")
    filing = site.filing(lease, key=key)
    with site.store.under(lease, NOW, 60) as tx:
        tx.claim_creation(site.crm, "contact", "carol@customer.example", filing, NOW, NOW + 60)
        tx.created(site.crm, "account", "customer.example", filing, "001x", NOW + 60)
    secrets = ["ann@acme.example", "ann@crm.example", "t0ken-t0ken", "s3cret", "<abc@mail.example>"]
    assert_no_content(database, [*secrets, "carol@customer.example", "customer.example"])


@pytest.mark.parametrize(
    "leak",
    [
        "Dear Ann, the offer",
        base64.b64encode(b"xy: Dear Ann, the offer.").decode(),
        b"Dear Ann, the offer".hex(),
        hashlib.sha256(b"dear ann, the offer").hexdigest(),
    ],
)
def test_the_search_for_content_finds_it(site: Site, database: str, leak: str) -> None:
    lease = site.lease()
    with site.store.under(lease, NOW, 60) as tx:
        tx.set_cursor("mail", leak)
    with pytest.raises(AssertionError, match="content was stored"):
        assert_no_content(database, ["Dear Ann, the offer"])


# --- fork -----------------------------------------------------------------------------------------------------------


def test_the_store_works_in_parent_and_child_after_a_fork(site: Site) -> None:
    site.store.wake(site.ann)  # connections are open now
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for _ in range(20):
                site.store.wake(site.ann)
            code = 0 if site.store.mailbox(site.ann).address == "ann@acme.example" else 1
        finally:
            os._exit(code)
    for _ in range(20):
        site.store.wake(site.ann)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert site.store.mailbox(site.ann).dirty == 41
    assert site.store.connection("crm").secrets == {"key": "s3cret"}
