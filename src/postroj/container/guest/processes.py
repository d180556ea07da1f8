"""The processes of a unit of the guest, as the host's /proc shows them. The guest is not asked."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from postroj.container.host import cgroup
from postroj.contract import Process, Running
from postroj.procfs import status_of

_MOST = 1000
"""How many processes are looked at, and how many descriptors of each."""
_MOST_OF_GUEST = 10_000
_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")
_SOCKET = re.compile(r"socket:\[([0-9]+)\]")


def parent_of(leader: int) -> str:
    """Return the cgroup of a guest, by its first process, which systemd has put into init.scope."""
    return cgroup.of(leader).removesuffix("/init.scope")


def of_unit(path: str, main: int, peers: Mapping[int, int], listening: Mapping[int, str]) -> list[Process]:
    """Return the processes in the cgroup of a unit, whose main process has the PID `main` in the guest.

    `peers` are the inodes of UNIX sockets, each with that of its peer, 0 if that is closed: a pair of sockets is a pipe
    in each direction.
    `listening` are those of sockets that listen, each with its address.
    """
    found = [one for pid in islice(cgroup.pids(path), _MOST) if (one := _read(pid, peers))]
    by_host = {one.host_pid: one for one in found}
    read = {file for one in found for file, mode in one.files if mode & 0o400}
    return [
        Process(
            one.pid,
            one.name,
            by_host[one.host_parent].pid if one.host_parent in by_host else 0,
            not _descends(one, by_host, main),
            frozenset(file for file, mode in one.files if mode & 0o400),
            frozenset(file for file, mode in one.files if mode & 0o200),
            one.state == "S",
            _has_socket(one, read, listening),
            _addresses(one, listening),
        )
        for one in found
    ]


def of_guest(leader: int) -> list[Running]:
    """Return the processes of a guest, by its first one. Raises OSError if it is gone."""
    group = parent_of(leader)
    with open(f"/proc/{leader}/uid_map") as file:
        maps = [tuple(map(int, line.split())) for line in file]
    found = (_running(pid, group, maps) for pid in islice(cgroup.pids(group), _MOST_OF_GUEST))
    return [one for one in found if one]


def _running(pid: int, group: str, maps: Sequence[tuple[int, ...]]) -> Running | None:
    try:
        status = status_of(pid)
        uid = int(status["Uid"].split()[1])
        sockets = frozenset(int(found[1]) for target, _ in _open_files(pid) if (found := _SOCKET.fullmatch(target)))
        return Running(
            int(status["NSpid"].split()[-1]),
            status["Name"],
            _in_guest(uid, maps),
            _unit(cgroup.of(pid), group),
            sockets,
        )
    except (OSError, KeyError, ValueError, StopIteration):  # it has ended
        return None


def _in_guest(uid: int, maps: Sequence[tuple[int, ...]]) -> int:
    """Return a UID as the guest counts: user_namespaces(7)."""
    return next((inside + uid - outside for inside, outside, count in maps if 0 <= uid - outside < count), uid)


def _unit(path: str, group: str) -> str:
    """Return the unit of a cgroup: the first one on the way down, as a service may have cgroups of its own below."""
    parts = path.removeprefix(f"{group}/").split("/")
    return next((part for part in parts if part.endswith(_UNITS)), "")


class _Seen(NamedTuple):
    host_pid: int
    host_parent: int
    pid: int
    name: str
    state: str
    files: list[tuple[str, int]]


def _read(pid: int, peers: Mapping[int, int]) -> _Seen | None:
    """Return what there is to know of a process; None if it has ended."""
    try:
        status = status_of(pid)
        files = [each for target, mode in _open_files(pid) for each in _ends(target, mode, peers)]
        inner = int(status["NSpid"].split()[-1])
        return _Seen(pid, int(status["PPid"]), inner, status["Name"], status["State"][0], files)
    except (OSError, KeyError, IndexError, ValueError):
        return None


def _ends(target: str, mode: int, peers: Mapping[int, int]) -> Iterator[tuple[str, int]]:
    """Yield a pipe, and whether it is read or written; a socket, and for one of a pair the other end, which is written.

    A pair of sockets is a pipe in each direction: an end is read by its own name, and written by that of the other.
    By one whose other end is closed, as pacman does before it runs a script, nothing comes.
    """
    if target.startswith("pipe:"):
        yield target, mode
    elif found := _SOCKET.fullmatch(target):
        peer = peers.get(int(found[1]))
        if peer != 0:
            yield target, 0o400
        if peer:
            yield f"socket:[{peer}]", 0o200


def _has_socket(one: _Seen, read: Collection[str], listening: Mapping[int, str]) -> bool:
    """Return whether a process has a socket that is connected to another than the processes of this unit, or may be."""
    sockets = {file for file in _sockets(one) if _inode(file) not in listening}
    ends = {file for file, mode in one.files if mode & 0o200 and file.startswith("socket:")}
    return len(sockets) > len(ends) or not ends.issubset(read)


def _addresses(one: _Seen, listening: Mapping[int, str]) -> tuple[str, ...]:
    """Return what a process listens on."""
    return tuple(sorted(listening[inode] for file in _sockets(one) if (inode := _inode(file)) in listening))


def _sockets(one: _Seen) -> set[str]:
    return {file for file, mode in one.files if mode & 0o400 and file.startswith("socket:")}


def _inode(file: str) -> int:
    found = _SOCKET.fullmatch(file)
    return int(found[1]) if found else 0


def _open_files(pid: int) -> Iterator[tuple[str, int]]:
    """Yield what a process has open, and the mode of the link, which tells reading from writing."""
    for fd in islice(os.scandir(f"/proc/{pid}/fd"), _MOST):
        try:
            yield os.readlink(fd.path), fd.stat(follow_symlinks=False).st_mode
        except OSError:  # closed in the meantime
            continue


def _descends(one: _Seen, by_host: dict[int, _Seen], main: int) -> bool:
    seen = set[int]()
    while one.pid != main:
        if one.host_parent not in by_host or one.host_pid in seen:
            return False
        seen.add(one.host_pid)
        one = by_host[one.host_parent]
    return True
