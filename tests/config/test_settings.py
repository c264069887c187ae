"""Settings: every problem at once, secrets unseen, a key of one's own only where it was asked for."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from sync import settings
from sync.settings import SETTINGS, ConfigError, load, make_key

KEY = base64.urlsafe_b64encode(b"a key for the tests, of 32 bytes").decode()


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"MAILSPAN_DATA_DIR": str(tmp_path), "MAILSPAN_SECRET_KEY": KEY} | more


def test_defaults_need_only_a_key(tmp_path: Path) -> None:
    loaded = load(environment(tmp_path))
    assert loaded.database_url == f"sqlite:///{tmp_path}/mailspan.sqlite3"
    assert loaded.redis_url is None
    assert loaded.secret_keys == (KEY,)
    assert loaded.salesforce_api_version == "67.0"
    assert (loaded.workers, loaded.tick_seconds, loaded.lease_seconds) == (2, 10, 12)


def test_defaults_pass_their_own_checks() -> None:
    for setting in SETTINGS.values():
        if setting.default:
            setting.check(setting.default)


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("MAILSPAN_DATABASE_URL", "postgres://u:p@db/m", "database_url", "postgresql+psycopg://u:p@db/m"),
        ("MAILSPAN_DATABASE_URL", "postgresql://u:p@db/m", "database_url", "postgresql+psycopg://u:p@db/m"),
        ("MAILSPAN_GOOGLE_API_URL", "https://127.0.0.1:8443/", "google_api_url", "https://127.0.0.1:8443"),
        ("MAILSPAN_LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("MAILSPAN_REDIS_URL", "unix:///run/valkey.sock", "redis_url", "unix:///run/valkey.sock"),
        ("MAILSPAN_WORKERS", " 4 ", "workers", 4),
        ("MAILSPAN_WORKERS", "", "workers", 2),
    ],
)
def test_values_are_read_and_brought_into_one_form(
    tmp_path: Path, variable: str, text: str, name: str, value: object
) -> None:
    assert getattr(load(environment(tmp_path, **{variable: text})), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        ("MAILSPAN_DATABASE_URL", "mysql://db/m", "expected sqlite:///PATH or postgresql://"),
        ("MAILSPAN_DATABASE_URL", "sqlite:///", "expected sqlite:///PATH"),
        ("MAILSPAN_REDIS_URL", "localhost:6379", "expected an address such as redis://..."),
        ("MAILSPAN_GOOGLE_API_URL", "http://127.0.0.1", "expected an address such as https://..."),
        ("MAILSPAN_GOOGLE_CA_FILE", "/no/such.pem", "there is no file /no/such.pem"),
        ("MAILSPAN_SALESFORCE_API_VERSION", "67", "expected a version"),
        ("MAILSPAN_SALESFORCE_API_VERSION", "20.0", "expected a version"),
        ("MAILSPAN_LOG_FORMAT", "xml", "expected one of json, console"),
        ("MAILSPAN_WORKERS", "0", "expected a whole number from 1 to 64"),
        ("MAILSPAN_WORKERS", "two", "expected a whole number from 1 to 64"),
        ("MAILSPAN_TICK_SECONDS", "nan", "expected a number from 0.2 to 60"),
        ("MAILSPAN_SECRET_KEY", "hunter2", "key 1 is no Fernet key"),
        ("MAILSPAN_SECRET_KEY", f"{KEY},x", "key 2 is no Fernet key"),
    ],
)
def test_wrong_values_are_named_with_what_was_expected(tmp_path: Path, variable: str, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment(tmp_path, **{variable: text}))
    (line,) = caught.value.problems
    assert line.startswith(f"{variable}: ")
    assert problem in line


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    wrong = {"MAILSPAN_WORKERS": "0", "MAILSPAN_LOG_LEVEL": "loud", "MAILSPAN_SECRET_KEY": ""}
    with pytest.raises(ConfigError) as caught:
        load(environment(tmp_path, **wrong))
    assert sorted(line.split(":")[0] for line in caught.value.problems) == sorted(wrong)


def test_a_wrong_key_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment(tmp_path, MAILSPAN_SECRET_KEY="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_in_the_representation(tmp_path: Path) -> None:
    shown = repr(load(environment(tmp_path, MAILSPAN_DATABASE_URL="postgresql://u:opensesame@db/m")))
    assert KEY not in shown
    assert "opensesame" not in shown


def test_a_key_is_made_once_where_asked_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    bare = {"MAILSPAN_DATA_DIR": str(tmp_path / "new")}
    with pytest.raises(ConfigError, match="MAILSPAN_SECRET_KEY: not set"):
        load(bare)
    path = make_key(bare)
    assert path == settings.key_file(tmp_path / "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = load(bare).secret_keys
    assert make_key(bare) is None
    assert load(bare).secret_keys == keys
    assert len(keys) == 1


def test_no_key_is_made_beside_one_that_is_given(tmp_path: Path) -> None:
    assert make_key(environment(tmp_path)) is None
    assert not settings.key_file(tmp_path).exists()


def test_a_key_file_that_others_read_is_refused(tmp_path: Path) -> None:
    bare = {"MAILSPAN_DATA_DIR": str(tmp_path)}
    make_key(bare)
    settings.key_file(tmp_path).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(bare)


def test_a_wrong_key_variable_does_not_fall_back_to_the_file(tmp_path: Path) -> None:
    make_key({"MAILSPAN_DATA_DIR": str(tmp_path)})
    with pytest.raises(ConfigError, match="MAILSPAN_SECRET_KEY: key 1"):
        load(environment(tmp_path, MAILSPAN_SECRET_KEY="short"))


def test_a_data_directory_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="MAILSPAN_DATA_DIR"):
        make_key({"MAILSPAN_DATA_DIR": str(tmp_path / "file")})
