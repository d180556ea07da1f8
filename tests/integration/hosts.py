"""The same tests on several kinds of host: `python tests/integration/hosts.py [KIND] [pytest-argument...]`, as root.

Without KIND on all of them at the same time, each with the tests that are chosen for it; with one, all tests on that.
What each host's pytest has printed is kept in build/hosts.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Protocol

from bare_host import bare_host
from host_disk import prepare_state
from layouts import PUBLISHED_ALPINE
from support import STATE
from systemd_host import systemd_test_host

_TESTS = Path(__file__).parent
_REPOSITORY = _TESTS.parent.parent
_OUTPUTS = _REPOSITORY / "build/hosts"
_PASSED = ("POSTROJ_TEST_KILLS", "POSTROJ_TEST_SEED")
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INSTANCES = 8192


class Host(Protocol):
    """A host that is up."""

    def python(self, *words: str, env: Mapping[str, str]) -> list[str]:
        """The command that runs Python in it, in this repository, with further variables."""


class Kind(NamedTuple):
    """A kind of host."""

    what: str
    host: Callable[[], AbstractContextManager[Host]]
    chosen: str = "not slow and not images"
    """Which marks of tests it runs where all kinds are run."""


KINDS = {
    "bookworm": Kind("Debian 12 with systemd 252 as PID 1, cgroup2", partial(systemd_test_host, "bookworm")),
    "trixie": Kind("Debian 13 with systemd 257 as PID 1, cgroup2", partial(systemd_test_host, "trixie")),
    "hybrid": Kind("no systemd, cgroup v1 with cgroup2 beside it", partial(bare_host, "hybrid"), "not images"),
    "unified": Kind("no systemd, cgroup2", partial(bare_host, "unified")),
    "images": Kind("as trixie, for what is the same on all", partial(systemd_test_host, "trixie"), "images"),
}


def main(words: Sequence[str]) -> int:
    """Run the tests; returns the exit status."""
    signal.signal(signal.SIGTERM, _leave)
    with _many_machines():
        prepare_state()
        if words and words[0] in KINDS:
            return run(words[0], words[1:])
        return run_all(words)


@contextmanager
def _many_machines() -> Iterator[None]:
    """Have inotify instances for all hosts, which share the kernel's limit: what one of them set back, others need."""
    before = _INOTIFY.read_text()
    if int(before) >= _INSTANCES:
        yield
        return
    _INOTIFY.write_text(str(_INSTANCES))
    try:
        yield
    finally:
        _INOTIFY.write_text(before)


def run(kind: str, arguments: Sequence[str]) -> int:
    """Run pytest on a host of this kind, on all integration tests unless the arguments name some."""
    named = any(Path(argument.split("::")[0]).exists() for argument in arguments)
    words = ["-m", "pytest", "-p", "no:cacheprovider", "--durations=8"]
    words += [*arguments, *([] if named else ["tests/integration"])]
    with KINDS[kind].host() as host:
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        own = {"POSTROJ_TEST_HOST": kind, "POSTROJ_TEST_STATE": STATE, "POSTROJ_TEST_ALPINE": str(PUBLISHED_ALPINE)}
        command = host.python(*words, env={**passed, **own})
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


def run_all(arguments: Sequence[str]) -> int:
    """Run it on a host of each kind; what they print is printed in one piece for each, as they end."""
    _OUTPUTS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    failed = []
    with ThreadPoolExecutor(len(KINDS)) as executor:
        futures = {executor.submit(_run_apart, kind, [*arguments, "-m", KINDS[kind].chosen]): kind for kind in KINDS}
        for future in as_completed(futures):
            kind, status = futures[future], future.result()
            verdict = "passed" if status == 0 else f"FAILED with status {status}"
            print(f"\n=== {kind} ({KINDS[kind].what}): {verdict} after {time.monotonic() - started:.0f} s ===")
            print(_output(kind).read_text(errors="replace"), flush=True)
            if status != 0:
                failed.append(kind)
    print(f"=== {len(KINDS) - len(failed)} of {len(KINDS)} kinds of host passed ===")
    return 1 if failed else 0


def _run_apart(kind: str, arguments: Sequence[str]) -> int:
    """Run it in a process of its own, which is told to end when this one dies."""
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, __file__, kind, *arguments]
    with open(_output(kind), "wb") as output:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode


def _output(kind: str) -> Path:
    return _OUTPUTS / f"{kind}.txt"


def _leave(signum: int, frame: FrameType | None) -> None:
    """End in good order."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    os.chdir(_REPOSITORY)
    sys.exit(main(sys.argv[1:]))
