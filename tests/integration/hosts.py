"""Run the integration tests on simulated hosts of several kinds: hosts.py [KIND | LANE] [pytest-argument...]

As root. KIND: all tests on one host of this kind. LANE: the tests of a lane, such as once or network.
Without either, all lanes: what depends on the kind of host runs on each kind, the rest once.
The output of each lane, its results as JUnit XML and pytest's cache are kept in build/hosts.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Protocol

import lanes
from bare_host import bare_host
from host_disk import prepare_state
from support import STATE
from systemd_host import systemd_test_host

_REPOSITORY = Path(__file__).parent.parent.parent
_PASSED = ("POSTROJ_TEST_KILLS", "POSTROJ_TEST_SEED", "POSTROJ_TEST_CELLS", "POSTROJ_TEST_VM")
_KILLS_ON_EACH = "5"
"""POSTROJ_TEST_KILLS if all lanes run: 20 kills of a kind, spread over four hosts."""
_SETTINGS = {Path("/proc/sys/fs/inotify/max_user_instances"): 8192, Path("/sys/kernel/rcu_expedited"): 1}
"""Numbers that the kernel of all hosts is to have at least."""


class Host(Protocol):
    """A host that is up."""

    def python(self, *words: str, env: Mapping[str, str]) -> list[str]:
        """Return the command that runs Python in it, in this repository, with further variables."""


class Kind(NamedTuple):
    """A kind of host."""

    what: str
    host: Callable[[], AbstractContextManager[Host]]


class Lane(NamedTuple):
    """Tests that run one after the other on a host of their own."""

    kind: str
    marks: str
    """Which tests: an expression for `pytest -m`."""
    hosts: int = 1
    """How many hosts share these tests, if all lanes run."""


KINDS = {
    "bookworm": Kind("Debian 12 with systemd 252 as PID 1, cgroup2", partial(systemd_test_host, "bookworm")),
    "trixie": Kind("Debian 13 with systemd 257 as PID 1, cgroup2", partial(systemd_test_host, "trixie")),
    "hybrid": Kind("no systemd, cgroup v1 with cgroup2 beside it", partial(bare_host, "hybrid")),
    "unified": Kind("no systemd, cgroup2", partial(bare_host, "unified")),
}

LANES = {
    "vm": Lane("hybrid", "vm"),  # first, as it is long
    **{kind: Lane(kind, "not once and not network and not vm") for kind in KINDS},
    # On the kind of host that has most to offer: cgroup controllers, and the program's own Python.
    "network": Lane("hybrid", "network and not vm"),
    "once": Lane("hybrid", "once and not network and not vm", hosts=6),
}

_AT_ONCE = 8
"""So many hosts are up at the same time; one of those that share tests begins when another lane has ended."""


def main(words: Sequence[str]) -> int:
    """Run the tests; return the exit status."""
    signal.signal(signal.SIGTERM, _leave)
    lanes.OUTPUTS.mkdir(parents=True, exist_ok=True)
    if words[:1] == ["--lane"]:  # a child of run_all()
        return run_lane(words[1], LANES[_base(words[1])].marks, words[2:])
    if words == ["--prepare"]:
        prepare_state(box=False)
        return 0
    with _shared_kernel():
        prepare_state(box=bool(words))
        if words and words[0] in KINDS:
            return run_lane(words[0], "", words[1:])
        if words and words[0] in LANES:
            return run_lane(words[0], LANES[words[0]].marks, words[1:])
        return run_all(words)


@contextmanager
def _shared_kernel() -> Iterator[None]:
    """Have the settings of the kernel as postroj sets them, which it cannot do on a simulated host; set them back."""
    with ExitStack() as stack:
        for path, wanted in _SETTINGS.items():
            with suppress(OSError):  # a kernel without it, or a host that does not let us
                before = path.read_text()
                if int(before) < wanted:
                    path.write_text(str(wanted))
                    stack.callback(path.write_text, before)
        yield


def _names() -> list[str]:
    """Return the names of all lanes: NAME, or NAME/1, NAME/2 and so on if several hosts share its tests."""
    return [
        name if lane.hosts == 1 else f"{name}/{number}"
        for name, lane in LANES.items()
        for number in range(1, lane.hosts + 1)
    ]


def _base(name: str) -> str:
    """Return the name of a lane without the number of its host."""
    return name.partition("/")[0]


def _record(base: str) -> Path:
    """Return where it is recorded which tests its hosts have taken."""
    return lanes.file_of(base, ".taken")


def run_lane(name: str, marks: str, arguments: Sequence[str]) -> int:
    """Run pytest on a host for a lane, or for a kind of host: on all integration tests that the arguments leave."""
    lane = LANES[_base(name)]
    words = ["-m", "pytest", "-o", "testpaths=tests/integration", "--durations=8"]
    words += ["-o", f"cache_dir={lanes.file_of(name, '.cache')}", f"--junitxml={lanes.file_of(name, '.xml')}"]
    variables = {key: os.environ[key] for key in _PASSED if key in os.environ}
    variables |= {"POSTROJ_TEST_HOST": lane.kind, "POSTROJ_TEST_STATE": STATE}
    if name != _base(name):
        variables["POSTROJ_TEST_TAKEN"] = str(_record(_base(name)))
    with KINDS[lane.kind].host() as host:
        command = host.python(*words, *with_marks(marks, arguments), env=variables)
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


def with_marks(marks: str, arguments: Sequence[str]) -> list[str]:
    """Return pytest's arguments with an -m that asks for `marks`, and for those of an -m among the arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", default="")
    given, others = parser.parse_known_args(arguments)
    both = " and ".join(f"({each})" for each in (marks, given.m) if each)
    return [*others, *(["-m", both] if both else [])]


def run_all(arguments: Sequence[str]) -> int:
    """Run all lanes at the same time, each in a process of its own."""
    os.environ.setdefault("POSTROJ_TEST_KILLS", _KILLS_ON_EACH)
    extra = ["--verbose", *arguments]
    if {"--lf", "--last-failed"} & set(arguments):  # lanes in which no test failed have nothing to do
        extra.append("--last-failed-no-failures=none")
    told = {name: KINDS[LANES[_base(name)].kind].what for name in _names()}
    for base in {_base(name) for name in told if name not in LANES}:
        _record(base).write_text("")

    def command(name: str) -> list[str]:
        return [sys.executable, __file__, "--lane", name, *extra]

    return lanes.run(told, command, at_once=_AT_ONCE, some=bool(arguments))


def _leave(signum: int, frame: FrameType | None) -> None:
    """End in good order."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    os.chdir(_REPOSITORY)
    sys.exit(main(sys.argv[1:]))
