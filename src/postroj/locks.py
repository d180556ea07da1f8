"""Locks that the kernel releases when their owner dies: flock(2) on directories.

A directory that is locked has a living owner; one that is not is debris. Nothing else is ever taken as a proof.
"""

import errno
import fcntl
import os
from collections.abc import Mapping
from typing import Self

_TRIES = 10_000
"""After so many attempts it is not a race with a remover: the directory cannot be created, as in /proc."""


class DirectoryLock:
    """A lock that is held on the directory at `path` until `release`, or until the process ends."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

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


def held() -> dict[str, int]:
    """Return what is locked by flock(2), as proc_locks(5) writes it, DEVICE:INODE, and by which PID.

    No lock is taken.
    """
    with open("/proc/locks") as file:
        lines = [line.split() for line in file]
    return {words[5]: int(words[4]) for words in lines if words[1] == "FLOCK"}


def owner(path: str, among: Mapping[str, int]) -> int:
    """Return the PID that has locked the directory at `path`, of what `held` returned; 0 for none."""
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return among.get(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}", 0)


def _same_file(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except FileNotFoundError:
        return False
