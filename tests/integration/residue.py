"""What a machine could leave on the host."""

import os
import select
import time
from pathlib import Path
from typing import NamedTuple

_SETTLE_SECONDS = 10.0
_OURS = ("systemd-nspawn", "launch.sh", "unshare", "setpriv", "mmdebstrap", "skopeo", "umoci")


class Residue(NamedTuple):
    """All of it, comparable."""

    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    cgroups: tuple[str, ...]
    links: tuple[str, ...]
    files: tuple[str, ...]
    forwarding: str

    @classmethod
    def take(cls) -> "Residue":
        return cls(_processes(), _mounts(), _cgroups(), _links(), _files(), _read("/proc/sys/net/ipv4/ip_forward"))

    @classmethod
    def settled(cls, wanted: "Residue") -> "Residue":
        """Taken again until it is as wanted, or for ten seconds: the kernel ends namespaces in its own time."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while (found := cls.take()) != wanted and time.monotonic() < deadline:
            select.select([], [], [], 0.05)
        return found


def _processes() -> tuple[str, ...]:
    """The living processes that belong to machines: a zombie is the host's PID 1's to reap, not a leak of ours."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            status = Path(f"/proc/{pid}/status").read_text()
            namespaced = os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        ours = any(word.endswith(_OURS) for word in command[:4])
        if "State:\tZ" not in status and (namespaced or ours):
            found.append(" ".join(command))
    return tuple(sorted(found))


def _mounts() -> tuple[str, ...]:
    return tuple(sorted(line.split()[1] for line in _read("/proc/self/mounts").splitlines()))


def _cgroups() -> tuple[str, ...]:
    roots = [line.split()[1] for line in _read("/proc/self/mounts").splitlines() if line.split()[2] == "cgroup2"]
    return tuple(sorted(path for root in roots for path, _, _ in os.walk(root) if "/postroj" in path))


def _links() -> tuple[str, ...]:
    return tuple(sorted(name for name in os.listdir("/sys/class/net") if name.startswith("pj-")))


def _files() -> tuple[str, ...]:
    """Machines' files, and of the images what should be there only for the time of a pull."""
    images = Path(os.environ["POSTROJ_STATE_DIR"], "images")
    places = [Path("/run/postroj"), Path("/run/netns"), Path("/run/systemd/nspawn"), Path("/var/lib/machines")]
    found = {str(path) for place in places for path in place.glob("**/*")}
    found |= {str(path) for path in images.glob(".*") if path.name != ".trees"}
    linked = {path.resolve().parent for path in images.glob("*")}
    found |= {str(path) for path in images.glob(".trees/*") if path not in linked}
    return tuple(sorted(found))


def _read(path: str) -> str:
    return Path(path).read_text()
