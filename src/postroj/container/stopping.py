"""Ending machines that other processes own."""

import os
import select
import signal
from collections.abc import Callable, Collection, Iterable
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
    """What its owner has locked; empty if it has ended already, and its owner goes on."""


def begin_vm(name: str, directory: str, power_off: Callable[[], None], vms: Collection[str] = ()) -> Ending | None:
    """Have the owner of a VM end, which has locked this directory, and do not wait; None if nobody uses it.

    As `begin`; `power_off` powers the VM off. `vms` are the directories of all VMs. Raises what `power_off` does.
    """
    while opened := _owner(directory):
        owner, pidfd = opened
        # The guard of a VM holds the lock until it is off, and the kernel lists it as that of a process that has ended:
        # its PID can be another's.
        if not _has_open(owner, directory):
            os.close(pidfd)
            if locks.owner(directory) == owner:
                return None
            continue
        try:
            if _ends_alone(owner, vms):
                _signal(pidfd)
                return Ending(name, owner, pidfd, directory)
            power_off()
        except BaseException:
            os.close(pidfd)
            raise
        return Ending(name, owner, pidfd, "")
    return None


def begin(name: str, vms: Collection[str] = ()) -> Ending | None:
    """Have a machine end, and do not wait; None if it is not there.

    Its owner is told by SIGTERM, and tears it down. One that does not handle SIGTERM, or has other machines as well,
    VMs with these directories among them, is a program that uses postroj: of that the guest alone is killed, and it
    learns so.
    """
    directory = record.directory_of(name)
    while opened := _owner(directory):
        owner, pidfd = opened
        if locks.owner(directory) != owner:  # looked at again, now that its PID cannot become another's
            os.close(pidfd)
            continue
        if _ends_alone(owner, vms):
            _signal(pidfd)
        else:
            with suppress(OSError):  # it has ended
                _kill_guest(name)
        return Ending(name, owner, pidfd, directory)
    return None


def _owner(directory: str) -> tuple[int, int] | None:
    """Return the PID of the process that has locked a directory, and a descriptor of it; None if there is none."""
    owner = locks.owner(directory)
    if not owner:
        return None
    try:
        return owner, os.pidfd_open(owner)
    except ProcessLookupError:
        return None


def _has_open(pid: int, directory: str) -> bool:
    """Return whether a process has a directory open, as each has that it has locked."""
    with suppress(OSError):  # it has ended, or the directory is gone
        wanted = os.stat(directory)
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):  # it is closed by now
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), wanted):
                    return True
    return False


def _ends_alone(owner: int, vms: Collection[str]) -> bool:
    """Return whether a process ends cleanly by SIGTERM, and has no other machine that would end with it."""
    try:
        handles = _handles(owner, signal.SIGTERM)
    except (OSError, ValueError):
        return True  # it has ended
    owners = [*record.owners().values(), *map(locks.owner, vms)]
    return handles and owners.count(owner) <= 1


def _signal(pidfd: int) -> None:
    with suppress(OSError):  # it has ended
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)


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
    if not ending.directory:
        return True
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
