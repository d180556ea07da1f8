"""The processes of a unit of the guest, as the host's /proc shows them. The guest is not asked."""

import os
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from postroj.container.host import cgroup
from postroj.contract import Process

_MOST = 1000
"""How many processes are looked at, and how many descriptors of each."""


def parent_of(leader: int) -> str:
    """Return the cgroup of a guest, by its first process, which systemd has put into init.scope."""
    return cgroup.of(leader).removesuffix("/init.scope")


def of_unit(path: str, main: int) -> list[Process]:
    """Return the processes in the cgroup of a unit, whose main process has the PID `main` in the guest."""
    found = [one for pid in islice(cgroup.pids(path), _MOST) if (one := _read(pid))]
    by_host = {one.host_pid: one for one in found}
    return [
        Process(
            one.pid,
            one.name,
            by_host[one.host_parent].pid if one.host_parent in by_host else 0,
            not _descends(one, by_host, main),
            frozenset(file for file, mode in one.files if mode & 0o400 and file.startswith("pipe:")),
            frozenset(file for file, mode in one.files if mode & 0o200 and file.startswith("pipe:")),
            one.state == "S",
            any(file.startswith("socket:") for file, _ in one.files),
        )
        for one in found
    ]


class _Seen(NamedTuple):
    host_pid: int
    host_parent: int
    pid: int
    name: str
    state: str
    files: list[tuple[str, int]]


def _read(pid: int) -> _Seen | None:
    """Return what there is to know of a process; None if it has ended."""
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        state = status["State"][0]
        if state in "ZX":
            return None
        inner = int(status["NSpid"].split()[-1])
        return _Seen(pid, int(status["PPid"]), inner, status["Name"], state, list(_files(pid)))
    except (OSError, KeyError, IndexError, ValueError):
        return None


def _files(pid: int) -> Iterator[tuple[str, int]]:
    """Yield each pipe and socket that a process has open, and its link's mode, which tells reading from writing."""
    directory = f"/proc/{pid}/fd"
    for fd in islice(os.scandir(directory), _MOST):
        try:
            target = os.readlink(fd.path)
            if target.startswith(("pipe:", "socket:")):
                yield target, fd.stat(follow_symlinks=False).st_mode
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
