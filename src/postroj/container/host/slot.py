"""A machine's number, and what follows from it: the UIDs, the addresses and the interface that are its alone.

The lock on /run/postroj/.slot-N says whether a living machine owns number N.
"""

import os
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


class Slot:
    """A number of one's own while its lock is held."""

    def __init__(self, number: int, lock: locks.DirectoryLock | None = None) -> None:
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
            slot = Slot(number, lock)
            slot.clear()
            return slot
    raise HostError(f"{SLOTS} machines are running, which is the limit")


def slots() -> list["Slot"]:
    """All that are taken, ours or not; for looking at."""
    return [Slot(number) for number in _numbers()]


def lock_orphans() -> Iterator[Slot]:
    """The numbers of killed machines, each ours now."""
    for number in _numbers():
        lock = locks.lock_directory(_path(number), wait=False)
        if lock:
            yield Slot(number, lock)


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
