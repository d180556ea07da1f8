"""The processes of a guest, as commands in it print what its /proc has. What they print is not trusted."""

import re
from collections.abc import Iterator

from postroj import processtree, sockets
from postroj.contract import Process, Running
from postroj.processtree import SOCKET, Seen, ends

# Constant texts; the unit is an argument.
OF_GUEST = r"""
for directory in /proc/[0-9]*; do
    grep -q . "$directory/cmdline" || continue
    echo "PID ${directory#/proc/}"
    grep -E '^(Name|Uid):' "$directory/status"
    grep '^0::' "$directory/cgroup"
    find "$directory/fd" -lname 'socket:*' -printf '%l\n'
done 2>/dev/null
"""
OF_UNIT = r"""
cat /proc/net/unix
for protocol in tcp tcp6; do cat "/proc/net/$protocol"; done
find "/sys/fs/cgroup/system.slice/$1" -name cgroup.procs -exec cat {} + | head -n 1000 | while read -r pid; do
    echo "PID $pid"
    grep -E '^(Name|State|PPid):' "/proc/$pid/status"
    find "/proc/$pid/fd" -type l -printf '%m %l\n' | head -n 1000
done 2>/dev/null
"""
_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")
_FILE = re.compile(r"([0-7]+) (\S.*)")


def of_guest(told: str) -> list[Running]:
    """Return all processes, from what OF_GUEST prints."""
    return [_running(text) for text in told.split("PID ")[1:]]


def of_unit(told: str, main: int) -> list[Process]:
    """Return the processes of a unit, from what OF_UNIT prints of it; `main` is the PID of its main process.

    Which UNIX sockets are pairs is not known: each is taken for a connection to another process.
    """
    tables, *texts = told.split("\nPID ")
    seen = [one for text in texts if (one := _seen(text))]
    return processtree.of_unit(seen, main, dict(_listening(tables)))


def _listening(tables: str) -> Iterator[tuple[int, str]]:
    unix, _, rest = tables.partition("\n  sl ")
    yield from sockets.unix_listeners(unix.splitlines())
    for table in f"  sl {rest}".split("\n  sl "):
        for one in sockets.listeners("tcp", table.splitlines()):
            yield one.inode, sockets.shown(one)


def _seen(text: str) -> Seen | None:
    """Return a process; None for one that has ended."""
    pid, *lines = text.splitlines()
    told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    if not pid.isdecimal() or told.get("State", "Z")[:1] in "ZX" or not told.get("PPid", "").isdecimal():
        return None
    found = (match for line in lines if (match := _FILE.fullmatch(line)))
    files = [each for match in found for each in ends(match[2], int(match[1], 8), {})]
    return Seen(int(pid), int(told["PPid"]), int(pid), told.get("Name", "")[:15], told["State"][0], files)


def _running(text: str) -> Running:
    pid, *lines = text.splitlines()
    told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    return Running(
        int(pid),
        told.get("Name", "")[:15],
        int(told.get("Uid", "0\t0").split()[1]),
        next((part for part in group.split("/") if part.endswith(_UNITS)), ""),
        frozenset(int(found[1]) for line in lines if (found := SOCKET.fullmatch(line))),
    )
