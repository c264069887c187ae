"""What deploy/ says exists: commands with their options, variables, files. Neither Docker nor systemd is needed."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from server.cli import main
from sync.engine import wake
from sync.settings import SETTINGS
from tests.docs.pages import anchors, links, read

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
README = DEPLOY / "README.md"
UNITS = sorted([*DEPLOY.glob("systemd/*.service"), *DEPLOY.glob("systemd/*.target")])
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.parent.name != "config")
CHECKOUT = "/opt/mailspan"  # where the units expect it


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(read(DEPLOY / "compose.yaml"))
    return found


def ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose()["services"].items() if service["image"] == "mailspan"}


def assert_command(words: list[str]) -> None:
    """The words after `mailspan` are a command that takes these arguments."""
    assert words, "a command is missing"
    command = main.commands.get(words[0])
    assert command, f"there is no mailspan {words[0]}"
    arguments = words[1:] if len(words) > 1 or words[0] not in ("apply", "explain") else ["named-in-the-text"]
    try:
        with command.make_context(words[0], list(arguments)):
            assert command.name == words[0]
    except click.UsageError as error:
        pytest.fail(f"mailspan {shlex.join(words)}: {error.format_message()}")


def unit(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True, comment_prefixes=("#",), delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(read(path))
    return parser


# --- compose --------------------------------------------------------------------------------------------------------


def test_compose_names_services_that_exist_and_can_be_waited_for() -> None:
    file = compose()
    services = file["services"]
    assert set(services) == {"postgres", "valkey", "apply", "ticker", "worker"}
    for name, service in services.items():
        assert ("healthcheck" in service) == (name != "apply"), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] in ("service_healthy", "service_completed_successfully")
            assert (how["condition"] == "service_healthy") == ("healthcheck" in services[other]), f"{name}: {other}"
    assert services["apply"].get("restart", "no") == "no", "it runs once"
    assert all(services[name]["restart"] == "unless-stopped" for name in set(services) - {"apply"})
    named = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in named if not name.startswith(".")} == set(file["volumes"])
    assert set(file) <= {"name", "services", "volumes"} | {key for key in file if key.startswith("x-")}


def test_images_are_named_without_a_host() -> None:
    images = [service["image"] for service in compose()["services"].values()]
    images += re.findall(r"^FROM (\S+)", read(DEPLOY / "Dockerfile"), re.MULTILINE)
    assert len(images) >= 7
    assert [image for image in images if not re.fullmatch(r"([a-z0-9]+/)?[a-z0-9]+(:[\w.-]+)?", image)] == []


def test_every_service_of_ours_runs_a_command_that_exists() -> None:
    assert set(ours()) == {"apply", "ticker", "worker"}
    for service in ours().values():
        assert_command(service["command"])
        if "healthcheck" in service:
            kind, program, *words = service["healthcheck"]["test"]
            assert (kind, program) == ("CMD", "mailspan")
            assert_command(words)


def test_containers_have_no_rights_that_they_do_not_need() -> None:
    for name, service in ours().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    assert all(volume.endswith(":ro") for service in ours().values() for volume in service.get("volumes", []))


def test_what_compose_takes_from_the_environment_stands_in_the_example() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", read(DEPLOY / "compose.yaml")))
    given = set(re.findall(r"^(\w+)=", read(DEPLOY / "env.example"), re.MULTILINE))
    assert wanted == given
    secret = re.findall(r"\$\{(?:MAILSPAN_SECRET_KEY|POSTGRES_PASSWORD)(:\?)?", read(DEPLOY / "compose.yaml"))
    assert set(secret) == {":?"}, "without them nothing starts"


@pytest.mark.parametrize("seconds", ["worker", "mailspan-worker@.service"])
def test_a_worker_may_finish_the_mailbox_in_hand(seconds: str) -> None:
    if seconds == "worker":
        grace = compose()["services"]["worker"]["stop_grace_period"].removesuffix("s")
    else:
        grace = unit(DEPLOY / "systemd" / seconds)["Service"]["TimeoutStopSec"]
    assert float(grace) > wake.TURN_SECONDS


# --- image ----------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", read(DEPLOY / "Dockerfile"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_is_made_of_locked_packages_and_runs_without_root() -> None:
    found = instructions()
    assert {name for name, _ in found} <= {"FROM", "ENV", "RUN", "COPY", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert [name for name, _ in found].count("FROM") == 2
    runs = [words for name, words in found if name == "RUN"]
    assert any("--require-hashes -r /src/requirements.lock" in words for words in runs)
    assert all("--no-deps" in words or "--require-hashes" in words for words in runs if "pip install" in words)
    users = [words for name, words in found if name == "USER"]
    assert users == ["10001"]
    assert found[-2] == ("ENTRYPOINT", '["mailspan"]')
    assert not re.search(r"https?://|index-url|trusted-host", read(DEPLOY / "Dockerfile"))


def test_what_the_image_copies_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in read(DEPLOY / "Dockerfile.dockerignore").splitlines() if line.startswith("!")}
    copied = [
        part
        for name, words in instructions()
        if name == "COPY" and "--from" not in words
        for part in words.split()[:-1]
    ]
    assert set(copied) == allowed
    assert [part for part in copied if not (ROOT / part).exists()] == []
    build = compose()["services"]["apply"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    packages = re.search(r"^include = \[(.*)\]$", read(ROOT / "pyproject.toml"), re.MULTILINE)
    assert packages
    assert set(re.findall(r'"(\w+)"', packages[1])) <= allowed


# --- systemd --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_belong_to_the_target(path: Path) -> None:
    found = unit(path)
    assert set(found.sections()) <= {"Unit", "Service", "Install"}
    if path.suffix == ".target":
        assert found["Install"]["WantedBy"] == "multi-user.target"
        return
    assert found["Unit"]["PartOf"] == found["Install"]["WantedBy"] == "mailspan.target"
    service = found["Service"]
    assert (service["Restart"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("always", "true", "strict")
    program, *words = shlex.split(service["ExecStart"])
    assert program == f"{CHECKOUT}/.venv/bin/mailspan"
    assert_command(words)


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    names = []
    for path in UNITS:
        name = path.name.replace("@.", "@1.")
        (tmp_path / name).write_text(read(path).replace(f"{CHECKOUT}/.venv/bin/mailspan", "/bin/true"))
        names.append(name)
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    command = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "mailspan" in line]
    assert (done.returncode, said) == (0, [])


# --- the page and all files -----------------------------------------------------------------------------------------


def test_every_command_of_the_page_exists() -> None:
    text = read(README)
    called = re.findall(r"(?:`|bin/)mailspan ([a-z][^`'\n]*)", text)
    called += re.findall(r"docker compose run --rm apply ([a-z][^`\n]*)", text)
    assert len(called) >= 8
    for words in called:
        assert_command(shlex.split(words, comments=True))


def test_the_page_names_services_units_and_targets_that_exist() -> None:
    text = read(README)
    services = set(compose()["services"])
    used = re.findall(r"docker compose (?:run --rm|logs -f|stop|exec -T) ((?:[a-z]+ ?)+)", text)
    assert {words.split()[0] for words in used} <= services
    units = {re.sub(r"@\d", "@", name) for name in re.findall(r"mailspan[\w@-]*\.(?:service|target)", text)}
    assert units == {path.name for path in UNITS}
    made = re.findall(r"make -C \S+ (\w+)", text)
    targets = re.findall(r"^([a-z]+):.*## ", read(ROOT / "Makefile"), re.MULTILINE)
    assert made
    assert set(made) <= set(targets)
    copied = re.findall(rf"{CHECKOUT}/(deploy/\S+)", text)
    assert copied
    assert [path for path in copied if not list(ROOT.glob(path))] == []


def test_links_of_the_page_lead_somewhere() -> None:
    broken = []
    for link in links(README):
        path, _, anchor = link.partition("#")
        target = (DEPLOY / path).resolve() if path else README
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_no_variable_is_made_up(path: Path) -> None:
    known = {item.variable for item in SETTINGS.values()}
    assert set(re.findall(r"\bMAILSPAN_[A-Z_]+", read(path))) <= known


def test_log_events_of_the_page_exist() -> None:
    source = "".join(read(path) for path in (ROOT / "sync").rglob("*.py"))
    named = set(re.findall(r"`((?:wake|worker|tick|budget)\.[a-z_]+)`", read(README)))
    assert len(named) == 4
    assert [event for event in sorted(named) if f'"{event}"' not in source] == []
