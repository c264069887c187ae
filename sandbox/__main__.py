"""``python -m sandbox``: serve the simulators until SIGTERM."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from sandbox.frame.frame import VENDORS, Frame
from sandbox.frame.organisation import read_organisation

DEFAULT_SEED = Path(__file__).parent / "seed" / "organisation.yaml"
RECORD_FOLDER = "SANDBOX_RECORD_DIR"
PARENT_CHECK_SECONDS = 0.5


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser("python -m sandbox", description="Local Google, Microsoft and Salesforce.")
    parser.add_argument("--json", action="store_true", help="print one JSON line when ready, nothing else")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append every exchange as JSON Lines")
    parser.add_argument("--seed", type=Path, metavar="FILE", help="organisation (YAML); default: the one supplied")
    parser.add_argument("--mail", type=Path, metavar="DIR", help="its mails; default: mail/ beside the organisation")
    parser.add_argument("--no-seed", action="store_true", help="start empty")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="keep CA and key files here, not in a new folder")
    parser.add_argument("--parent-pid", type=int, metavar="N", help="end when this process has ended")
    parser.add_argument("--only", action="append", choices=VENDORS, help="serve this vendor only (repeatable)")
    for name in (*VENDORS, "control"):
        parser.add_argument(f"--port-{name}", type=int, default=0, metavar="N")
    return parser


def main() -> int:
    """Serve; 0 after SIGTERM or SIGINT, 2 for wrong arguments or an unreadable organisation."""
    options = arguments().parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # A pipe, not an Event: a handler that takes a lock which the interrupted thread holds would wait for ever.
    stop, stopper = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(stopper, b"."))
    folder = options.state_dir or Path(tempfile.mkdtemp(prefix="sandbox-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        frame = Frame(folder.resolve(), options.record or default_record())
        ports = {name: getattr(options, f"port_{name}") for name in (*VENDORS, "control")}
        frame.open(ports, options.only or VENDORS)
        path = options.seed or (DEFAULT_SEED if DEFAULT_SEED.exists() else None)
        if path is not None and not options.no_seed:
            frame.seed(read_organisation(path), options.mail or path.parent / "mail")
        frame.start()
        announce(frame, options.json)
        wait(stop, options.parent_pid)
        frame.recorder.close()
    except (OSError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    finally:
        if options.state_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def default_record() -> Path | None:
    """A file of our own in the folder that a test run names, so that no process of it goes unrecorded."""
    folder = os.environ.get(RECORD_FOLDER)
    return Path(folder) / f"traffic-{os.getpid()}.jsonl" if folder else None


def announce(frame: Frame, as_json: bool) -> None:
    """Print the ready line, or the same for people."""
    ready = frame.ready()
    if as_json:
        print(json.dumps(ready), flush=True)
        return
    for name in (n for n in VENDORS if n in ready):
        print(f"{name:<11} {ready[name]['url']}  ({len(ready[name]['tokens'])} users)")
    print(f"{'control':<11} {ready['control']}\n{'CA file':<11} {ready['ca']}", flush=True)


def wait(stop: int, parent: int | None) -> None:
    """Until something comes from the pipe `stop`, or until the parent process is gone."""
    own = parent == os.getppid()
    while not select.select([stop], [], [], PARENT_CHECK_SECONDS if parent else None)[0]:
        if parent and (os.getppid() != parent if own else not exists(parent)):
            return


def exists(pid: int) -> bool:
    """Whether there is such a process; one that ended and that nobody has asked about counts as well."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def run() -> None:
    """`main`, then end at once: nobody waits for threads that still sit in a slow answer."""
    code = 1
    try:
        code = main()
    except SystemExit as leaving:  # argparse
        code = leaving.code if isinstance(leaving.code, int) else 1
    except Exception:
        logging.exception("sandbox: failed")
    finally:
        with contextlib.suppress(OSError):  # nobody reads any more
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    run()
