"""How the processes of a unit hang together, by parents, pipes and sockets, whatever machine they are of."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from postroj.contract import Process

SOCKET = re.compile(r"socket:\[([0-9]+)\]")
"""What the link of a descriptor leads to, if it is a socket: its inode."""


class Seen(NamedTuple):
    """A process that was looked at."""

    number: int
    """By which it is known where it was looked at; its parent likewise."""
    parent: int
    pid: int
    """As the guest counts."""
    name: str
    state: str
    """The letter of proc_pid_status(5), State."""
    files: list[tuple[str, int]]
    """What it has open, as `ends` tells, each with the mode of its link: 0o400 if it is read, 0o200 if written."""


def of_unit(seen: Sequence[Seen], main: int, listening: Mapping[int, str]) -> list[Process]:
    """Return the processes of a unit, whose main process has the PID `main` in the guest.

    `listening` are the inodes of sockets that listen, each with its address.
    """
    by_number = {one.number: one for one in seen}
    read = {file for one in seen for file, mode in one.files if mode & 0o400}
    return [
        Process(
            one.pid,
            one.name,
            by_number[one.parent].pid if one.parent in by_number else 0,
            not _descends(one, by_number, main),
            frozenset(file for file, mode in one.files if mode & 0o400),
            frozenset(file for file, mode in one.files if mode & 0o200),
            one.state == "S",
            _has_socket(one, read, listening),
            _addresses(one, listening),
        )
        for one in seen
    ]


def ends(target: str, mode: int, peers: Mapping[int, int]) -> Iterator[tuple[str, int]]:
    """Yield a pipe, and whether it is read or written; a socket, and for one of a pair the other end, which is written.

    A pair of sockets is a pipe in each direction: an end is read by its own name, and written by that of the other.
    By one whose other end is closed, as pacman does before it runs a script, nothing comes.
    `peers` are the inodes of UNIX sockets, each with that of its peer, 0 if that is closed.
    """
    if target.startswith("pipe:"):
        yield target, mode
    elif found := SOCKET.fullmatch(target):
        peer = peers.get(int(found[1]))
        if peer != 0:
            yield target, 0o400
        if peer:
            yield f"socket:[{peer}]", 0o200


def _has_socket(one: Seen, read: Collection[str], listening: Mapping[int, str]) -> bool:
    """Return whether a process has a socket that is connected to another than the processes of this unit, or may be."""
    sockets = {file for file in _sockets(one) if _inode(file) not in listening}
    ends = {file for file, mode in one.files if mode & 0o200 and file.startswith("socket:")}
    return len(sockets) > len(ends) or not ends.issubset(read)


def _addresses(one: Seen, listening: Mapping[int, str]) -> tuple[str, ...]:
    """Return what a process listens on."""
    return tuple(sorted(listening[inode] for file in _sockets(one) if (inode := _inode(file)) in listening))


def _sockets(one: Seen) -> set[str]:
    return {file for file, mode in one.files if mode & 0o400 and file.startswith("socket:")}


def _inode(file: str) -> int:
    found = SOCKET.fullmatch(file)
    return int(found[1]) if found else 0


def _descends(one: Seen, by_number: dict[int, Seen], main: int) -> bool:
    seen = set[int]()
    while one.pid != main:
        if one.parent not in by_number or one.number in seen:
            return False
        seen.add(one.number)
        one = by_number[one.parent]
    return True
