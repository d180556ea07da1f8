"""Locks that the kernel releases when their owner dies: flock(2) on directories.

A directory that is locked has a living owner; one that is not is debris. Nothing else is ever taken as a proof.
"""

import errno
import fcntl
import os
import time
from typing import Self

from postroj.deadline import Deadline
from postroj.errors import DeadlineError
from postroj.events import Event, emit

_LOOKS = 100
_LOOK_SECONDS = 0.02
_TRIES = 10_000
"""After so many attempts it is not a race with a remover: the directory cannot be created, as in /proc."""


class DirectoryLock:
    """A lock that is held on the directory at `path` until `release`, or until the process ends."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def fileno(self) -> int:
        """Return the descriptor that holds it: a process that inherits that holds the lock as well."""
        return self._fd

    def release(self) -> None:
        """Release the lock. Remove the directory before, while it is still owned."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def lock_directory(path: str, *, create: bool = False, shared: bool = False, wait: bool = True) -> DirectoryLock | None:
    """Lock the directory at `path`; None where it is not there, or (without `wait`) somebody else holds it.

    The lock counts only if the directory is still the one at `path` once it is held: its last owner may have
    removed it, and another may have made it anew, while this one waited.
    """
    operation = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    missing: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    for _ in range(_TRIES):
        try:
            if create:  # it, or its parent, may be removed at this moment, by whoever was the last in it
                os.makedirs(path, mode=0o755, exist_ok=True)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, FileExistsError) as error:  # makedirs: it was there, and is not any more
            if not create:
                return None
            missing = error
            continue
        try:
            fcntl.flock(fd, operation)
            if _same_file(path, fd):
                return DirectoryLock(path, fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise missing


def lock_in_time(path: str, deadline: Deadline, *, shared: bool = False, waiting: Event, undone: str) -> DirectoryLock:
    """Lock the directory at `path`, which is made if it lacks, when whoever else holds it has released it.

    `waiting` is told if that takes a while. Raises DeadlineError, with what is `undone`, if it takes too long; OSError.
    """
    lock = lock_directory(path, create=True, shared=shared, wait=False)
    if lock is None:
        emit(waiting)
    while lock is None:  # flock(2) has no timeout
        if deadline.expired():
            raise DeadlineError(f"{undone} within {deadline.seconds:g} s")
        time.sleep(_LOOK_SECONDS)
        lock = lock_directory(path, create=True, shared=shared, wait=False)
    return lock


def owner(path: str) -> int:
    """Return the PID that has locked the directory at `path`, exclusively; 0 for none. Root is not needed.

    It is 0 as well if that process is in another PID namespace, or has ended and left the lock to one that inherits it
    and this is not the first PID namespace: see `is_held`.

    The kernel lists locks by the page, and a lock that is released between two pages hides another one. So what is not
    listed is tried.
    """
    for _ in range(_LOOKS):
        try:
            status = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        if pid := _held().get(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"):
            return pid
        if lock := lock_directory(path, shared=True, wait=False):
            lock.release()
            return 0
    return 0


def is_held(path: str) -> bool:
    """Return whether a process has locked the directory at `path`, exclusively, be its PID known or not."""
    lock = lock_directory(path, shared=True, wait=False)
    if lock:
        lock.release()
    return lock is None and os.path.isdir(path)


def _held() -> dict[str, int]:
    """Return what is locked by flock(2), as proc_locks(5) writes it, DEVICE:INODE, and by which PID."""
    try:
        with open("/proc/locks") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:  # it is Linux's
        return {}
    return {words[5]: int(words[4]) for words in lines if words[1] == "FLOCK"}


def _same_file(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False
