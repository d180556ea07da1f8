"""What of this host is fit for machines, found out by trying, and what mends the rest."""

import enum
import os
import platform
from collections.abc import Iterator
from typing import NamedTuple

from postroj import process
from postroj.container import cgroup
from postroj.errors import PostrojError
from postroj.settings import downloads_dir, state_dir

_KERNEL = (5, 3)  # pidfd_open(2)
_MACHINE_TOOLS = ("systemd-nspawn", "setpriv", "unshare", "nsenter", "mount", "ip", "nft")
_IMAGE_TOOLS = {"bootstrapped images": ("mmdebstrap",), "images from OCI registries": ("skopeo", "umoci")}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SPACE = 2 * 1024**3


class Level(enum.Enum):
    """How good a finding is."""

    OK = "ok"
    NOTE = "note"
    BAD = "bad"


class Check(NamedTuple):
    """One finding, and the command that mends it."""

    level: Level
    what: str
    mend: str = ""


def examine() -> Iterator[Check]:
    """Look at everything; what cannot be tried without root is said."""
    yield _root()
    yield _kernel()
    yield from _tools()
    yield _cgroup()
    yield _overlay()
    if os.geteuid() == 0 and process.find("ip") and process.find("nft"):
        yield from _network()
    yield _init()
    yield from _space()


def _root() -> Check:
    if os.geteuid() == 0:
        return Check(Level.OK, "runs as root")
    return Check(Level.BAD, "does not run as root, which machines need", "sudo postroj doctor")


def _kernel() -> Check:
    release = platform.release()
    version = tuple(int(part) for part in release.split("-")[0].split("+")[0].split(".")[:2])
    if version >= _KERNEL:
        return Check(Level.OK, f"Linux {release}")
    return Check(Level.BAD, f"Linux {release} is older than {'.'.join(map(str, _KERNEL))}", "boot a newer kernel")


def _tools() -> Iterator[Check]:
    missing = [tool for tool in _MACHINE_TOOLS if not process.find(tool)]
    if missing:
        yield Check(Level.BAD, f"missing for machines: {', '.join(missing)}", process.install_hint(missing))
    else:
        yield Check(Level.OK, f"for machines: {', '.join(_MACHINE_TOOLS)}")
    for purpose, tools in _IMAGE_TOOLS.items():
        missing = [tool for tool in tools if not process.find(tool)]
        if missing:
            yield Check(Level.NOTE, f"missing for {purpose}: {', '.join(missing)}", process.install_hint(missing))
        else:
            yield Check(Level.OK, f"for {purpose}: {', '.join(tools)}")
    if process.find("mmdebstrap") and not os.path.exists(_KEYRING):
        yield Check(Level.BAD, f"{_KEYRING} is missing", "apt-get install debian-archive-keyring")


def _cgroup() -> Check:
    try:
        with_controllers = cgroup.is_unified()
        cgroup.deserted()
    except (PostrojError, OSError) as error:
        return Check(Level.BAD, f"cgroup2 cannot be used: {error}", getattr(error, "hint", ""))
    if with_controllers:
        return Check(Level.OK, "cgroup2")
    return Check(
        Level.NOTE,
        "cgroup v1: machines work, but limits on their memory and tasks are not enforced",
        "boot with systemd.unified_cgroup_hierarchy=1 to have them",
    )


def _overlay() -> Check:
    with open("/proc/filesystems") as file:
        if "overlay" not in file.read().split():
            return Check(Level.BAD, "the kernel has no overlay file system", "modprobe overlay")
    kind = _file_system(state_dir())
    if os.geteuid() == 0 and not os.access(_existing(state_dir()), os.W_OK):
        return Check(Level.BAD, f"{state_dir()} cannot be written to", "move it: POSTROJ_STATE_DIR=/path/on/a/disk")
    if kind in ("overlay", "aufs"):
        return Check(
            Level.BAD,
            f"{state_dir()} lies on {kind}, over which no overlay can be mounted",
            "put a volume or another file system there, or move it: POSTROJ_STATE_DIR=/path/on/a/disk",
        )
    return Check(Level.OK, f"{state_dir()} lies on {kind}, over which an overlay can be mounted")


def _network() -> Iterator[Check]:
    """Make what a machine's network is made of, for a moment, in a network namespace of its own."""
    trials = {
        "virtual network links": ["ip", "link", "add", "postroj0", "type", "veth", "peer", "name", "postroj1"],
        "nftables with NAT": ["nft", "-f", "-"],
    }
    rules = "table inet t { chain c { type nat hook postrouting priority 100; ip saddr 192.0.2.0/24 masquerade\n}\n}\n"
    for what, command in trials.items():
        try:
            process.run(["unshare", "--net", "--", *command], stdin=rules)
            yield Check(Level.OK, what)
        except PostrojError as error:
            reason = error.why.strip().splitlines()[0] if error.why.strip() else error.what
            yield Check(
                Level.BAD, f"{what} cannot be made: {reason}", "modprobe -a veth nf_tables nft_masq nft_chain_nat"
            )


def _init() -> Check:
    if os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        return Check(Level.OK, "the host runs systemd; machines are not registered with machined yet")
    return Check(Level.OK, "the host does not run systemd, and need not")


def _space() -> Iterator[Check]:
    for path in dict.fromkeys((state_dir(), downloads_dir())):
        status = os.statvfs(_existing(path))
        free = status.f_bavail * status.f_frsize
        level = Level.OK if free >= _SPACE else Level.BAD
        yield Check(level, f"{free / 1e9:.1f} GB free for {path}", "" if level is Level.OK else "free at least 2 GB")


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _file_system(path: str) -> str:
    """The type of the file system that a path lies on, or will lie on."""
    device = os.stat(_existing(path)).st_dev
    with open("/proc/self/mountinfo") as file:
        for fields in map(str.split, file):
            if fields[2] == f"{os.major(device)}:{os.minor(device)}":
                return fields[fields.index("-") + 1]
    return "an unknown file system"
