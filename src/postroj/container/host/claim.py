"""A machine's name and its directory below /run/postroj: ours while its lock is held, debris when nobody holds it."""

import itertools
import os
from contextlib import suppress

from postroj import locks
from postroj.container.host import cgroup, limits, machined, names
from postroj.errors import HostError, UsageError
from postroj.events import Warn, emit
from postroj.settings import RUNTIME_DIR


class Claim:
    """A name that nobody else can have until `release`."""

    def __init__(self, name: str, lock: locks.DirectoryLock) -> None:
        self.name = name
        self.path = lock.path
        self.cgroup = ""
        """The path of its cgroup below the cgroup2 root; empty where the host's systemd gives it one."""
        self._lock = lock
        self._cgroup_lock: locks.DirectoryLock | None = None

    def create_cgroup(self) -> None:
        """Make its cgroup, again if it has been removed. Raises FileExistsError."""
        if self._cgroup_lock:
            self._cgroup_lock.release()
            self._cgroup_lock = None
        self.cgroup, self._cgroup_lock = cgroup.create(self.name)

    def vacate(self) -> None:
        """Have its cgroup empty, for another boot of the same machine."""
        if self.cgroup:
            cgroup.clear(self.cgroup)

    def clean(self) -> None:
        """Remove all that is left of a machine of this name, from its name alone.

        A cgroup that another process owns is that of a postroj with a /run of its own.
        """
        if self._cgroup_lock:
            self._clean_cgroups()
        else:
            with cgroup.debris(self.name) as is_debris:
                if is_debris:
                    self._clean_cgroups()
        for entry in os.scandir(self.path):
            if entry.is_dir(follow_symlinks=False):
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)

    def _clean_cgroups(self) -> None:
        """Remove its cgroups; what is in them is killed if there is something in its directory."""
        if os.listdir(self.path):
            cgroup.remove(self.name)
            limits.remove(self.name)
        else:
            cgroup.remove_empty(self.name)
            with suppress(OSError):  # somebody is in it
                limits.remove(self.name)

    def release(self) -> None:
        """Clean, and let the name go."""
        try:
            self.clean()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let the name go."""
        with suppress(OSError):  # what is left in it is for the next sweep
            os.rmdir(self.path)
        if self._cgroup_lock:
            self._cgroup_lock.release()
        self._lock.release()
        with suppress(OSError):  # the last one out; not empty otherwise
            os.rmdir(RUNTIME_DIR)


def _take(claimed: Claim, with_cgroup: bool) -> bool:
    """Give a claim its cgroup; False, with the claim undone, where a postroj with a /run of its own has it."""
    try:
        if os.listdir(claimed.path) or claimed.name in cgroup.deserted():  # a killed run's
            claimed.clean()
        if with_cgroup:
            claimed.create_cgroup()
    except FileExistsError:
        claimed.abandon()
        return False
    except BaseException:
        claimed.abandon()
        raise
    return True


def claim(wanted: str, *, exact: bool = False, with_cgroup: bool = True) -> Claim:
    """Claim the name, or with a suffix, -2 and up, where it is taken; with `exact` raise UsageError instead.

    A cgroup comes with it, unless the host's systemd is to give one.
    """
    names.check(wanted)
    for number in itertools.count(1):
        claimed = _try(wanted if number == 1 else f"{wanted}-{number}")
        if claimed and _take(claimed, with_cgroup):
            return claimed
        if exact:
            raise UsageError(f"a machine named {wanted} is running already", hint="choose another --name")
    raise AssertionError


def sweep() -> list[str]:
    """Remove what killed runs left; the names of their machines. What a living run owns is locked, and left alone."""
    removed = []
    left = [name for name in _entries() if not name.startswith(".")]
    # A cgroup without a directory here, but with processes, is that of a postroj with a /run of its own.
    for name in dict.fromkeys(left + cgroup.deserted()):
        try:
            debris = _try(name)
            if debris:
                debris.release()
                removed.append(name)
        except (HostError, OSError) as error:  # not this run's business
            emit(Warn(f"cannot clean up after the killed machine {name}: {error}"), machine=name)
    for name, unit in machined.deserted() if machined.is_there() else []:
        debris = _try(name)
        if debris:
            machined.stop(unit)
            debris.abandon()
    return removed


def _entries() -> list[str]:
    try:
        return os.listdir(RUNTIME_DIR)
    except FileNotFoundError:
        return []


def _try(name: str) -> Claim | None:
    lock = locks.lock_directory(os.path.join(RUNTIME_DIR, name), create=True, wait=False)
    return Claim(name, lock) if lock else None
