"""The processes of a unit of the guest, as the host's /proc shows them. The guest is not asked."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from postroj import processtree
from postroj.container.host import cgroup
from postroj.contract import Process, Running
from postroj.processtree import SOCKET, Seen, ends
from postroj.procfs import status_of

_MOST = 1000
"""How many processes are looked at, and how many descriptors of each."""
_MOST_OF_GUEST = 10_000
_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")


def parent_of(leader: int) -> str:
    """Return the cgroup of a guest, by its first process, which systemd has put into init.scope."""
    return cgroup.of(leader).removesuffix("/init.scope")


def of_unit(path: str, main: int, peers: Mapping[int, int], listening: Mapping[int, str]) -> list[Process]:
    """Return the processes in the cgroup of a unit, whose main process has the PID `main` in the guest.

    `peers` are the inodes of UNIX sockets, each with that of its peer, 0 if that is closed: a pair of sockets is a pipe
    in each direction.
    `listening` are those of sockets that listen, each with its address.
    """
    seen = [one for pid in islice(cgroup.pids(path), _MOST) if (one := _read(pid, peers))]
    return processtree.of_unit(seen, main, listening)


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
        sockets = frozenset(int(found[1]) for target, _ in _open_files(pid) if (found := SOCKET.fullmatch(target)))
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


def _read(pid: int, peers: Mapping[int, int]) -> Seen | None:
    """Return what there is to know of a process; None if it has ended."""
    try:
        status = status_of(pid)
        files = [each for target, mode in _open_files(pid) for each in ends(target, mode, peers)]
        inner = int(status["NSpid"].split()[-1])
        return Seen(pid, int(status["PPid"]), inner, status["Name"], status["State"][0], files)
    except (OSError, KeyError, IndexError, ValueError):
        return None


def _open_files(pid: int) -> Iterator[tuple[str, int]]:
    """Yield what a process has open, and the mode of the link, which tells reading from writing."""
    for fd in islice(os.scandir(f"/proc/{pid}/fd"), _MOST):
        try:
            yield os.readlink(fd.path), fd.stat(follow_symlinks=False).st_mode
        except OSError:  # closed in the meantime
            continue
