"""A machine's number, and what follows from it: the UIDs, the addresses and the interface that are its alone.

The lock on /run/postroj/.slot-N says whether a living machine owns number N.
"""

import os
from collections.abc import Iterator

from postroj import locks
from postroj.errors import HostError
from postroj.settings import RUNTIME_DIR

SUBNET = "10.213.0.0/16"
PREFIX = "pj-"
"""What the names of all interfaces of ours on the host begin with."""
USERS = 65536
"""How many UIDs, and as many GIDs, a machine has: as systemd-nspawn(1) has it."""

_SLOTS = 4096
# Of those that systemd leaves to containers, 524288 to 1879048191 (https://systemd.io/UIDS-GIDS), the upper end.
# nspawn's own choice (--private-users=pick) may fall anywhere in it; subuid(5) begins at the lower end.
_FIRST_UID = 0x60000000
_DIRECTORY = ".slot-"


class Slot:
    """A number of one's own while its lock is held."""

    def __init__(self, number: int, lock: locks.DirectoryLock) -> None:
        self.number = number
        self.root_uid = _FIRST_UID + number * USERS
        """What the guest's root is outside."""
        self.interface = f"{PREFIX}{number}"
        """The host's end of its link."""
        self.host_address = _address(number, 1)
        self.guest_address = _address(number, 2)
        self._lock = lock

    @property
    def path(self) -> str:
        """Its directory, empty."""
        return self._lock.path

    def release(self) -> None:
        """Let it go."""
        os.rmdir(self.path)
        self._lock.release()


def take() -> Slot:
    """The lowest number that is free. Raises HostError."""
    for number in range(_SLOTS):
        # An interface without an owner is a killed machine's, on its way out: the next number is free sooner.
        if os.path.exists(f"/sys/class/net/{PREFIX}{number}"):
            continue
        lock = locks.lock_directory(os.path.join(RUNTIME_DIR, f"{_DIRECTORY}{number}"), create=True, wait=False)
        if lock:
            return Slot(number, lock)
    raise HostError(f"{_SLOTS} machines are running: there is no number for another")


def deserted() -> Iterator[Slot]:
    """The numbers of killed machines, each ours now."""
    try:
        names = [name for name in os.listdir(RUNTIME_DIR) if name.startswith(_DIRECTORY)]
    except FileNotFoundError:
        return
    for name in names:
        lock = locks.lock_directory(os.path.join(RUNTIME_DIR, name), wait=False)
        if lock:
            yield Slot(int(name.removeprefix(_DIRECTORY)), lock)


def _address(number: int, last: int) -> str:
    offset = number * 4 + last
    return f"10.213.{offset >> 8}.{offset & 255}"
