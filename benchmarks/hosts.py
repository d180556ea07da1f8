"""The hosts that are measured on. Each is a function that runs timing.py there, and gives the seconds back."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from timing import end

sys.path.append(str(Path(__file__).parent.parent / "tests/integration"))
from support import STATE
from systemd_host import SystemdHost, systemd_host

Time = Callable[..., float]
"""Arguments of timing.py to seconds. Raises Failed where the command fails."""

HERE = Path(__file__).parent
IN_HOST = "/opt/peers"
"""Where the simulated host has the benchmarks, and what is installed for it."""

_TIMING = str(HERE / "timing.py")

# Podman's locks, its runtime's state, its mounts, its bridge and its rules are gone with these namespaces, and so is a
# container that is left.
_PODMAN_NAMESPACES = [
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"),
    *("--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "sh", "-c"),
    "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && mkdir -p /var/lib/cni"
    ' && mount -t tmpfs tmpfs /var/lib/cni && ip link set lo up && "$@"',  # sh stays, to reap what is orphaned
    "sh",
]


class Failed(Exception):
    """A command that was to be timed has failed."""


def bare(*words: str) -> float:
    """On this host as it is."""
    return _seconds(*_captured([sys.executable, _TIMING, *words], end))


@contextmanager
def podman(directory: Path, cgroup: str) -> Iterator[Time]:
    """On this host, in namespaces for what podman leaves behind; `cgroup` is removed with all that is below it."""

    def time(*words: str) -> float:
        return _seconds(*_captured([*_PODMAN_NAMESPACES, sys.executable, _TIMING, *words], _kill))

    directory.mkdir()
    try:
        yield time
    finally:
        mounted = Path("/sys/fs/cgroup")
        for top in (mounted / cgroup, *mounted.glob(f"*/{cgroup}")):
            for path, _, _ in os.walk(top, topdown=False):
                os.rmdir(path)


@contextmanager
def simulated(writable: Mapping[Path, str]) -> Iterator[tuple[SystemdHost, Time]]:
    """On a host that runs systemd with machined: the one of the tests."""

    def time(*words: str) -> float:
        done = host.run("python3", f"{IN_HOST}/benchmarks/timing.py", *words)
        return _seconds(done.returncode, done.stdout, done.stderr)

    os.makedirs(STATE, exist_ok=True)
    with systemd_host(writable=writable, readable={HERE: f"{IN_HOST}/benchmarks"}) as host:
        host.control("mount", "-o", "remount,rw", "/sys/kernel").check_returncode()  # as on a real host
        yield host, time


def _captured(words: list[str], stop: Callable[["subprocess.Popen[str]"], None]) -> tuple[int, str, str]:
    """Run a command that Ctrl-C does not reach: it is stopped from here."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        out, err = process.communicate()
    finally:
        stop(process)
    return process.returncode, out, err


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill PID 1 of the namespace, and with it all in it; the process itself ends once they are gone."""
    if process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in map(int, children or [str(process.pid)]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _seconds(status: int, out: str, err: str) -> float:
    if status:
        raise Failed(err.strip().splitlines()[-1] if err.strip() else f"timing.py ended with status {status}")
    return float(out)
