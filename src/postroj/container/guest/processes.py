"""The processes of a unit of the guest, as the host's /proc shows them. The guest is not asked."""

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from postroj.container.host import cgroup
from postroj.machine import Process

_MOST = 1000
"""How many processes are looked at, and how many descriptors of each."""
_SOCKET = re.compile(r"socket:\[(\d{1,10})\]")


def parent_of(leader: int) -> str:
    """Return the cgroup of a guest, by its first process, which systemd has put into init.scope."""
    return cgroup.of(leader).removesuffix("/init.scope")


def of_unit(path: str, main: int, peers: Mapping[int, int]) -> list[Process]:
    """Return the processes in the cgroup of a unit, whose main process has the PID `main` in the guest.

    `peers` are the inodes of UNIX sockets, each with that of its peer: a pair of sockets is a pipe in each direction.
    """
    found = [one for pid in islice(cgroup.pids(path), _MOST) if (one := _read(pid, peers))]
    by_host = {one.host_pid: one for one in found}
    return [
        Process(
            one.pid,
            one.name,
            by_host[one.host_parent].pid if one.host_parent in by_host else 0,
            not _descends(one, by_host, main),
            frozenset(pipe for pipe, mode in one.pipes if mode & 0o400),
            frozenset(pipe for pipe, mode in one.pipes if mode & 0o200),
        )
        for one in found
    ]


class _Seen(NamedTuple):
    host_pid: int
    host_parent: int
    pid: int
    name: str
    pipes: list[tuple[str, int]]


def _read(pid: int, peers: Mapping[int, int]) -> _Seen | None:
    """Return what there is to know of a process; None if it has ended."""
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        if status["State"].startswith(("Z", "X")):
            return None
        pipes = list(islice(_pipes(pid, peers), _MOST))
        return _Seen(pid, int(status["PPid"]), int(status["NSpid"].split()[-1]), status["Name"], pipes)
    except (OSError, KeyError, ValueError):
        return None


def _pipes(pid: int, peers: Mapping[int, int]) -> Iterator[tuple[str, int]]:
    """Yield each pipe that a process has open, and the mode of the link, which tells reading from writing.

    A connected socket is two of them: one that has its own name is read, one that has its peer's is written.
    """
    directory = f"/proc/{pid}/fd"
    for fd in islice(os.scandir(directory), _MOST):
        try:
            target = os.readlink(fd.path)
            if target.startswith("pipe:"):
                yield target, fd.stat(follow_symlinks=False).st_mode
            elif (found := _SOCKET.fullmatch(target)) and (peer := peers.get(int(found[1]))):
                yield target, 0o400
                yield f"socket:[{peer}]", 0o200
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
