"""The processes of a guest, as commands in it print what its /proc has. What they print is not trusted."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from postroj import processtree, sockets
from postroj.contract import Process, Running
from postroj.processtree import SOCKET, Seen, ends

# Constant texts; the unit is an argument. A program for all processes, and not some for each: an emulated guest needs a
# tenth of a second for one.
OF_GUEST = r"""
grep -EHs '^(Name|State|PPid|Uid):' /proc/[0-9]*/status
grep -Hs '^0::' /proc/[0-9]*/cgroup
find /proc/[0-9]*/fd -lname 'socket:*' -printf '%h %m %l\n' 2>/dev/null
"""
OF_UNIT = r"""
cat /proc/net/unix /proc/net/tcp /proc/net/tcp6
pids=$(find "/sys/fs/cgroup/system.slice/$1" -name cgroup.procs -exec cat {} + | head -n 1000)
set --
for pid in $pids; do set -- "$@" "/proc/$pid"; done
[ $# -gt 0 ] || exit 0
grep -EHs '^(Name|State|PPid|Uid):' $(printf '%s/status\n' "$@")
find $(printf '%s/fd\n' "$@") -type l -printf '%h %m %l\n' 2>/dev/null
"""
_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")
_LINE = re.compile(r"/proc/([0-9]{1,9})/(?:status:(\w+):\t(.*)|cgroup:0::(.*)|fd ([0-7]+) (\S.*))")
_KERNEL_THREADS = 2
"""The PID of their parent."""
_MOST_FILES = 1000
"""Of each process, how many of those that it has open are looked at."""


class _Process(NamedTuple):
    status: dict[str, str]
    group: list[str]
    """The parts of its cgroup."""
    files: list[tuple[str, int]]
    """What it has open, each with the mode of its link."""

    @property
    def parent(self) -> int:
        """The PID of its parent; -1 for what has ended, or was not told of as a whole."""
        told = self.status.get("PPid", "")
        is_over = self.status.get("State", "Z")[:1] in "ZX"
        return int(told) if told.isdecimal() and not is_over else -1


def of_guest(told: str) -> list[Running]:
    """Return all processes but those of the kernel, from what OF_GUEST prints."""
    found = _read(told.splitlines())
    return [
        _running(pid, one)
        for pid, one in found.items()
        if one.parent not in (-1, _KERNEL_THREADS) and pid != _KERNEL_THREADS
    ]


def of_unit(told: str, main: int) -> list[Process]:
    """Return the processes of a unit, from what OF_UNIT prints of it; `main` is the PID of its main process.

    Which UNIX sockets are pairs is not known: each is taken for a connection to another process.
    """
    lines = told.splitlines()
    seen = [
        Seen(
            pid,
            one.parent,
            pid,
            _name(one),
            one.status["State"][0],
            [each for file in one.files for each in ends(*file, {})],
        )
        for pid, one in _read(lines).items()
        if one.parent != -1
    ]
    return processtree.of_unit(seen, main, dict(_listening(lines)))


def _listening(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the sockets that listen, of tables one after the other: each has lines of its own form."""
    yield from sockets.unix_listeners(lines)
    yield from ((one.inode, sockets.shown(one)) for one in sockets.listeners("tcp", lines))


def _read(lines: Sequence[str]) -> Mapping[int, _Process]:
    found: dict[int, _Process] = {}
    for line in lines:
        if not (match := _LINE.fullmatch(line)):
            continue
        pid, key, value, group, mode, target = match.groups()
        one = found.setdefault(int(pid), _Process({}, [], []))
        if key:
            one.status[key] = value
        elif mode and len(one.files) < _MOST_FILES:
            one.files.append((target, int(mode, 8)))
        elif group:
            one.group[:] = group.split("/")
    return found


def _name(one: _Process) -> str:
    return one.status.get("Name", "")[:15]


def _running(pid: int, one: _Process) -> Running:
    uids = one.status.get("Uid", "").split()
    return Running(
        pid,
        _name(one),
        int(uids[1]) if len(uids) > 1 and uids[1].isdecimal() else 0,
        next((part for part in one.group if part.endswith(_UNITS)), ""),
        frozenset(int(found[1]) for target, _ in one.files if (found := SOCKET.fullmatch(target))),
    )
