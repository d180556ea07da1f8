"""What killed runs leave, made by hand: in each state in which a kill can leave it, the rare ones included."""

import fcntl
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

RUNTIME = Path("/run/postroj")
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
EXPEDITED = Path("/sys/kernel/rcu_expedited")
NAME = "killed"
_HOSTS = "127.0.0.1 localhost\n10.213.0.30 db\n"


@contextmanager
def locked(*directories: Path) -> Iterator[None]:
    """What is in them has a living owner inside the block."""
    with ExitStack() as stack:
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def hierarchies(*controllers: str) -> list[Path]:
    """Where those controllers' cgroup v1 is mounted; without any: where cgroup2 is."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    if controllers:
        return [Path(m[1]) for m in mounts if m[2] == "cgroup" and set(controllers) & set(m[3].split(","))]
    return [Path(m[1]) for m in mounts if m[2] == "cgroup2"][-1:]


def claim(name: str = NAME) -> None:
    """A machine's directory, with all that it has at one time or another."""
    directory = RUNTIME / name
    (directory / "mounts").mkdir(parents=True)
    (directory / "anything").write_text("of a later version")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(directory / "notify"))


def cgroup2(name: str = NAME) -> None:
    """Without processes, which the kernel has killed."""
    for root in hierarchies():
        (root / "postroj" / name / "payload/system.slice").mkdir(parents=True)


def cgroup1(name: str = NAME) -> None:
    """Limits; with the directory that all of them have."""
    (RUNTIME / name).mkdir(parents=True)
    for root in hierarchies("memory", "pids", "cpu"):
        (root / "postroj" / name / "of-a-privileged-guest").mkdir(parents=True)


def slot(number: int) -> None:
    (RUNTIME / f".slot-{number}").mkdir(parents=True)


def member(number: int, text: str = "lab db") -> None:
    slot(number)
    (RUNTIME / f".slot-{number}/member").write_text(text)


def network(hosts: str | None = _HOSTS) -> None:
    (RUNTIME / ".network-lab").mkdir(parents=True)
    if hosts is not None:
        (RUNTIME / ".network-lab/hosts").write_text(hosts)


def link(number: int) -> None:
    """One that the kernel has not removed yet."""
    words = ["ip", "link", "add", f"pj-{number}", "type", "veth", "peer", "name", f"peer-{number}"]
    subprocess.run(words, check=True)


def table() -> None:
    subprocess.run(["nft", "add", "table", "inet", "postroj"], check=True)


def note(setting: Path, before: str | None = None) -> None:
    """What a setting of the kernel's was before; without it: what it is."""
    RUNTIME.mkdir(exist_ok=True)
    (RUNTIME / f".sysctl-{setting.name}").write_text(setting.read_text().strip() if before is None else before)


def all_of_a_machine(name: str = NAME, number: int = 7) -> None:
    """What a run on a shared network has."""
    claim(name)
    cgroup2(name)
    for root in hierarchies("memory", "pids", "cpu"):
        (root / "postroj" / name).mkdir(parents=True)
    member(number, f"lab {name}")
    with suppress(FileExistsError):
        network()
    link(number)


KINDS: dict[str, list[Callable[[], None]]] = {
    "the directory of a machine": [claim],
    "a cgroup": [cgroup2],
    "cgroups of cgroup v1": [cgroup1],
    "a number": [partial(slot, 7)],
    "the lowest number": [partial(slot, 0)],
    "a number with a link": [partial(slot, 7), partial(link, 7)],
    "a member": [partial(member, 7), network],
    "a member with the lowest number": [partial(member, 0), network],
    "a member before its network": [partial(member, 7)],
    "a member whose network was begun": [partial(member, 7), partial(network, None)],
    "a member whose hosts file was begun": [partial(member, 7), partial(network, "")],
    "half a member": [partial(member, 7, "")],
    "half a member with the lowest number": [partial(member, 0, "la")],
    "a network without members": [network],
    "a network that was begun": [partial(network, None)],
    "a table": [partial(note, FORWARD), table],
    "a note of what the forwarding was": [partial(note, FORWARD)],
    "half a note of what the forwarding was": [partial(note, FORWARD, "")],
    "a note of how many inotify instances there could be": [partial(note, INSTANCES)],
    "half a note of how many inotify instances there could be": [partial(note, INSTANCES, "")],
    "a note of whether grace periods were expedited": [partial(note, EXPEDITED)],
    "all of a machine": [all_of_a_machine],
}

MET_BY_A_RUN = (
    "the lowest number",
    "a member with the lowest number",
    "half a member with the lowest number",
    "cgroups of cgroup v1",
    "a table",
    "half a note of what the forwarding was",
    "all of a machine",
)
"""Those whose names and numbers a run that sweeps them up may take itself right after."""
