"""Ending machines that other processes own."""

import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from postroj import locks
from postroj.container.host import record
from postroj.deadline import Deadline
from postroj.procfs import start_time, status_of

_SECONDS = 60.0
"""How long a machine may take to be taken apart on a busy host."""


class Ending(NamedTuple):
    """A machine that was told to end."""

    name: str
    owner: int
    """The PID of its owner."""
    pidfd: int
    directory: str
    """What its owner has locked."""


def begin_vm(name: str, directory: str) -> Ending | None:
    """Have the owner of a VM end, which has locked this directory, and do not wait; None if nobody uses it."""
    owner = locks.owner(directory)
    if not owner:
        return None
    try:
        pidfd = os.pidfd_open(owner)
    except ProcessLookupError:
        return None
    if locks.owner(directory) == owner:  # now that its PID cannot become another's
        with suppress(OSError):  # it has ended
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    return Ending(name, owner, pidfd, directory)


def begin(name: str) -> Ending | None:
    """Have a machine end, and do not wait; None if it is not there.

    Its owner is told by SIGTERM, and tears it down. One that does not handle SIGTERM, or has other machines as well, is
    a program that uses postroj: of that the guest alone is killed, and it learns so.
    """
    directory = record.directory_of(name)
    owner = locks.owner(directory)
    if not owner:
        return None
    try:
        pidfd = os.pidfd_open(owner)
    except ProcessLookupError:
        return None
    owners = record.owners()
    if owners.get(name) != owner:  # looked at again, now that its PID cannot become another's
        os.close(pidfd)
        return begin(name)
    with suppress(OSError, ValueError):  # it has ended
        if _handles(owner, signal.SIGTERM) and list(owners.values()).count(owner) == 1:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        else:
            _kill_guest(name)
    return Ending(name, owner, pidfd, directory)


def finish(endings: Iterable[Ending]) -> list[str]:
    """Wait until the machines are gone; return the names of those that are not, after a minute."""
    deadline = Deadline(_SECONDS)
    left = []
    for ending in endings:
        if not _has_ended(ending, deadline):
            left.append(ending.name)
        os.close(ending.pidfd)
    return left


def _has_ended(ending: Ending, deadline: Deadline) -> bool:
    """Wait for a machine's end: its owner has ended, or has given up its lock."""
    poller = select.poll()
    poller.register(ending.pidfd, select.POLLIN)
    pause = 0.01
    while not deadline.expired():
        if locks.owner(ending.directory) != ending.owner:
            return True
        # Nothing tells of a lock that is released; of the owner's end its descriptor does.
        poller.poll(pause * 1000)
        pause = min(pause * 1.5, 0.5)
    return False


def _handles(pid: int, signum: int) -> bool:
    return bool(int(status_of(pid).get("SigCgt", "0"), 16) >> (signum - 1) & 1)


def _kill_guest(name: str) -> None:
    found = record.read(name)
    if not found:
        return
    pidfd = os.pidfd_open(found.leader)  # from here on its PID cannot become another's
    try:
        if start_time(found.leader) == found.started:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
