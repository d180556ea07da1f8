"""A machine's number, and what follows from it: the UIDs, the addresses and the interface that are its alone.

The lock on /run/postroj/.slot-N says whether a living machine owns number N. A postroj with another /run, as in a
second container on the network of the host, does not see that lock. It sees that a port of the address is taken, which
the kernel lets one process of a network namespace bind.
"""

import errno
import os
import socket
from collections.abc import Iterator

from postroj import locks
from postroj.errors import HostError
from postroj.settings import RUNTIME_DIR

SUBNET = "10.213.0.0/20"
PREFIX = "pj-"
"""What the names of all interfaces of ours on the host begin with."""
USERS = 16 * 65536
"""How many UIDs, and as many GIDs, a machine has.

The first 65536 are a system's own, systemd-nspawn(1); those above are what directory services and subuid(5) give.
"""

SLOTS = 1024
"""How many machines there can be at once: each has a /30 of the subnet."""
# Of those that systemd leaves to containers, 524288 to 1879048191 (https://systemd.io/UIDS-GIDS), the upper end.
# nspawn's own choice (--private-users=pick) may fall anywhere in it; subuid(5) begins at the lower end.
_FIRST_UID = 0x30000000
_DIRECTORY = ".slot-"
_IP_FREEBIND = 15  # ip(7); Python has no name for it
_PORT = 4
"""Assigned to nothing (IANA), and root's alone: no other user can take numbers away."""


class Slot:
    """A number of one's own while its lock is held."""

    def __init__(self, number: int, lock: locks.DirectoryLock | None = None, port: socket.socket | None = None) -> None:
        self.number = number
        self.path = _path(number)
        """Its directory: what is noted of its owner."""
        self.root_uid = _FIRST_UID + number * USERS
        """What the guest's root is outside."""
        self.interface = f"{PREFIX}{number}"
        """The host's end of its link."""
        self.host_address = _address(number, 1)
        self.guest_address = _address(number, 2)
        self._lock = lock
        self._port = port

    @property
    def is_everywhere(self) -> bool:
        """Whether no machine of another /run has this number: then its interface is nobody else's."""
        return self._port is not None

    def clear(self) -> None:
        """Remove what is noted of its owner, or of a killed one."""
        for entry in os.scandir(self.path):
            os.unlink(entry.path)

    def release(self) -> None:
        """Let it go."""
        try:
            self.clear()
            os.rmdir(self.path)
        finally:
            if self._port:
                self._port.close()
            if self._lock:
                self._lock.release()


def take() -> Slot:
    """The lowest number that is free. Raises HostError."""
    for number in range(SLOTS):
        # An interface without an owner is a killed machine's, on its way out: the next number is free sooner.
        if os.path.exists(f"/sys/class/net/{PREFIX}{number}"):
            continue
        lock = locks.lock_directory(_path(number), create=True, wait=False)
        if lock:
            slot = Slot(number, lock, _bound(number))
            if slot.is_everywhere:
                slot.clear()
                return slot
            slot.release()
    raise HostError(f"{SLOTS} machines are running, which is the limit")


def slots() -> list["Slot"]:
    """All that are taken, ours or not; for looking at."""
    return [Slot(number) for number in _numbers()]


def lock_orphans() -> Iterator[Slot]:
    """The numbers of killed machines, each ours now."""
    for number in _numbers():
        lock = locks.lock_directory(_path(number), wait=False)
        if lock:
            yield Slot(number, lock, _bound(number))


def _bound(number: int) -> socket.socket | None:
    """Return the socket that a number is held by in this network namespace; None if another process has it."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        made.bind((_address(number, 1), _PORT))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            made.close()
            return None
        # It cannot be bound at all (by SELinux, for example): then a second /run is not told apart.
    return made


def lock_runtime_dir() -> locks.DirectoryLock:
    """The right to change what all machines share, waited for."""
    lock = locks.lock_directory(RUNTIME_DIR, create=True)
    assert lock is not None  # it is only None without `wait` or `create`
    return lock


def _numbers() -> list[int]:
    try:
        names = os.listdir(RUNTIME_DIR)
    except FileNotFoundError:
        return []
    return [int(name.removeprefix(_DIRECTORY)) for name in names if name.startswith(_DIRECTORY)]


def _path(number: int) -> str:
    return os.path.join(RUNTIME_DIR, f"{_DIRECTORY}{number}")


def _address(number: int, last: int) -> str:
    offset = number * 4 + last
    return f"10.213.{offset >> 8}.{offset & 255}"
