"""The embedded Valkey answers, is private, is alone on its directory and never outlives its owner."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from sync import embedded
from sync.leash import leashed
from sync.settings import ConfigError


def gone(pid: int, seconds: float = 5.0) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_it_serves_while_the_block_runs(tmp_path: Path) -> None:
    home = tmp_path / "with space"
    assert embedded.find(home) is None
    with embedded.serve(home) as url:
        assert embedded.find(home) == url
        with redis.Redis.from_url(url) as client:
            client.set("hint", "1")
            assert client.get("hint") == b"1"
        assert stat.S_IMODE(embedded.socket_path(home).stat().st_mode) == 0o700
        with pytest.raises(ConfigError, match="runs already"), embedded.serve(home):
            pytest.fail("two servers on one directory")
        assert embedded.find(home) == url
    assert embedded.find(home) is None


def test_a_socket_left_behind_does_not_hinder_the_next_start(tmp_path: Path) -> None:
    path = embedded.socket_path(tmp_path)
    path.parent.mkdir()
    path.touch()
    with embedded.serve(tmp_path) as url:
        assert embedded.find(tmp_path) == url


def test_a_path_too_long_for_a_socket_is_no_hindrance(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 100)
    path = embedded.socket_path(home)
    assert len(str(path)) < 100
    with embedded.serve(home) as url:
        assert embedded.find(home) == url
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert embedded.find(home) is None
    assert not path.exists()


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    path = embedded.socket_path(tmp_path)
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write"), embedded.serve(tmp_path):
        pytest.fail("served")
    assert embedded.find(tmp_path) is None


def test_it_ends_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time, redis\nfrom sync import embedded\n"
        "with embedded.serve(pathlib.Path(sys.argv[1])) as url:\n"
        "    print(redis.Redis.from_url(url).info()['process_id'], flush=True)\n    time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    server = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert gone(server)


def test_a_leash_whose_holder_is_gone_already_does_not_start_the_program(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", ""])
    other.wait()
    command = leashed([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"])
    command[command.index(str(os.getpid()))] = str(other.pid)
    assert subprocess.run(command, check=False).returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_the_leash_that_stays_ends_the_program_too(tmp_path: Path, sign: signal.Signals) -> None:
    """The way of systems without PR_SET_PDEATHSIG: the wrapper watches its parent and passes signals on."""
    steady = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    wrapper = (
        "import sys\nfrom sync import leash\nleash._LINUX = False\n"
        f"sys.exit(leash.main([sys.argv[1], sys.executable, '-c', {steady!r}]))"
    )
    holder = (
        "import os, subprocess, sys\n"
        f"process = subprocess.Popen([sys.executable, '-c', {wrapper!r}, str(os.getpid())])\n"
        "print(process.pid, flush=True)\nsys.exit(process.wait())"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout:
        wrapped, program = (int(process.stdout.readline()) for _ in range(2))
        if sign == signal.SIGKILL:
            process.kill()
            process.wait()
        else:
            os.kill(wrapped, sign)
            assert process.wait(10) == 128 + signal.SIGTERM
    assert gone(program)
    assert gone(wrapped)
