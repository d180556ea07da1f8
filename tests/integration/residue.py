"""What a machine could leave on the host."""

import os
import re
import select
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from support import STATE

_SETTLE_SECONDS = 60.0
# Guests by their cgroup; nspawn, and what makes images, with all that confines them, by what only we tell them.
_CGROUP = re.compile(r":/postroj/|/machine-[^/]+-[0-9a-f]{6}\.scope")
_ENVIRON = re.compile(rf"(^|\0)(NOTIFY_SOCKET=/run/postroj/|TMPDIR={re.escape(STATE)}/[^\0]*\.(trees|boxes)/)")
_SETTINGS = (
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/fs/inotify/max_user_instances",
    "/sys/kernel/rcu_expedited",
)
_PLACES = ("/run/postroj", "/run/netns", "/run/systemd/nspawn", "/var/lib/machines")
# What machined knows, and the units that systemd was asked to make: those of others come and go on a host that lives.
# As files, because `machinectl` and `systemctl` twice for each test would take longer than many tests.
_REGISTERED = {"/run/systemd/machines": ("*",), "/run/systemd/transient": ("*machine-*", "*postroj*")}
# Hosts that hosts.py runs on this one, and what they leave, are not postroj's doing on this one.
_HOSTS = "/test-host-"


class Residue(NamedTuple):
    """All of it, comparable."""

    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    cgroups: tuple[str, ...]
    links: tuple[str, ...]
    registrations: tuple[str, ...]
    tables: tuple[str, ...]
    files: tuple[str, ...]
    settings: str

    @classmethod
    def take(cls) -> "Residue":
        return cls(
            _processes(),
            _mounts(),
            _cgroups(),
            _links(),
            _registrations(),
            _tables(),
            _files(),
            " ".join(_read(path).strip() for path in _SETTINGS if os.path.exists(path)),
        )

    @classmethod
    def left(cls, wanted: "Residue") -> "Residue":
        """Taken at once; where systemd runs, settled: it removes scopes that are empty in its own time."""
        return cls.settled(wanted) if os.path.isdir("/run/systemd/system") else cls.take()

    @classmethod
    def settled(cls, wanted: "Residue") -> "Residue":
        """Taken again until it is as wanted, or for a minute: the kernel ends namespaces in its own time."""
        return _settled(cls.take, wanted)

    @classmethod
    def settled_by_kernel(cls, wanted: "Residue") -> "Residue":
        """The same of that part which is cleaned up without any command when postroj is killed."""
        return _settled(lambda: cls.take().by_kernel(), wanted)

    def by_kernel(self) -> "Residue":
        """Processes, mounts and links, and what the host's systemd knows of; a command sweeps up the rest."""
        return self._replace(cgroups=(), tables=(), files=(), settings="")


_KEPT = (".trees", ".downloads", ".packages", ".boxes")
"""What a directory of images has besides their names; see docs/cache.md of the last one."""


def image_debris(images: Path) -> set[str]:
    """What should be in a directory of images only for the time of a pull; without what the next ones go on with."""
    found = {str(path) for path in images.glob(".*") if path.name not in _KEPT}
    found |= {str(path) for path in images.glob(".boxes/*") if not (path / "record").exists()}
    linked = {path.resolve().parent for path in images.glob("[!.]*")}
    return found | {str(path) for path in images.glob(".trees/*") if path.resolve() not in linked}


def half_downloads(images: Path) -> set[str]:
    """What is kept of downloads that were broken off."""
    return {path.name for path in images.glob(".downloads/*")}


def _settled(take: Callable[[], Residue], wanted: Residue) -> Residue:
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (found := take()) != wanted and time.monotonic() < deadline:
        select.select([], [], [], 0.05)
    return found


def _processes() -> tuple[str, ...]:
    """The living processes that postroj started: a zombie is the host's PID 1's to reap, not a leak of ours."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            command = _read(f"/proc/{pid}/cmdline")
            zombie = "State:\tZ" in _read(f"/proc/{pid}/status")
            cgroup = _read(f"/proc/{pid}/cgroup")
            if zombie or _HOSTS in cgroup:
                continue
            if _CGROUP.search(cgroup) or _ENVIRON.search(_read(f"/proc/{pid}/environ")) or _holds_users(pid, command):
                found.append(command.replace("\0", " "))
    return tuple(sorted(found))


def _holds_users(pid: str, command: str) -> bool:
    """Whether it is there only for a user namespace to live, and is not a guest's."""
    if command != "cat\0":
        return command.endswith("unshare\0--user\0--\0cat\0")
    own, its = (Path(f"/proc/{who}/ns/user").readlink() for who in ("self", pid))
    return own != its and Path(f"/proc/{pid}/ns/pid").readlink() == Path("/proc/self/ns/pid").readlink()


def _mounts() -> tuple[str, ...]:
    return tuple(sorted(line.split()[1] for line in _read("/proc/self/mounts").splitlines()))


def _cgroups() -> tuple[str, ...]:
    """Of cgroup2, and of each hierarchy of cgroup v1."""
    mounts = [line.split() for line in _read("/proc/self/mounts").splitlines()]
    roots = {mount[1] for mount in mounts if mount[2] in ("cgroup", "cgroup2")}
    paths = {path for root in roots for path, _, _ in os.walk(root) if _HOSTS not in path}
    return tuple(sorted(path for path in paths if "/postroj" in path or _CGROUP.search(path)))


def _links() -> tuple[str, ...]:
    return tuple(sorted(name for name in os.listdir("/sys/class/net") if name.startswith("pj-")))


def _registrations() -> tuple[str, ...]:
    """Machines as machined knows them, and their units, if the host runs systemd."""
    found = (Path(place).glob(pattern) for place, patterns in _REGISTERED.items() for pattern in patterns)
    return tuple(sorted({str(path) for paths in found for path in paths}))


def _tables() -> tuple[str, ...]:
    return tuple(sorted(line for line in _lines("nft", "list", "tables") if "postroj" in line))


def _files() -> tuple[str, ...]:
    """Machines' files, hidden ones as well, and of the images what should be there only for the time of a pull."""
    found = {str(path) for place in map(Path, _PLACES) for path in place.glob("**/*")}
    return tuple(sorted(found | image_debris(Path(os.environ["POSTROJ_STATE_DIR"], "images"))))


def _lines(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()


def _read(path: str) -> str:
    return Path(path).read_text(errors="replace")
