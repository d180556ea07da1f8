"""Files taken from what a container has written: nothing but regular files, no link followed, and all bounded."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj.container.guest.guestfs import open_beneath

_MOST = 20_000


class TooMuch(OSError):
    """There is more than the cache may take."""


@contextmanager
def listing(upper: int, directory: str) -> Iterator[tuple[int, list[str]]]:
    """A directory of an overlay's upper one, with the names in it; without any if it is not there, or no directory."""
    fd = -1
    with suppress(OSError), open_beneath(upper, directory) as found:
        fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_DIRECTORY)
    if fd < 0:
        yield -1, []
        return
    try:
        yield fd, _names(fd)
    finally:
        os.close(fd)


def _names(directory: int) -> list[str]:
    names: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if len(names) == _MOST:
                raise TooMuch(f"more than {_MOST} files")
            names.append(entry.name)
    return names


def copy(directory: int, name: str, path: str, limit: int) -> int:
    """Copy a regular file of at most `limit` bytes, with its time; return its size, or -1 if it is none.

    Raises OSError.
    """
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return -1
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # to open anything else may be to act
            return -1
        source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.close(fd)
    with open(source, "rb") as file, open(path, "xb") as copied:
        status = os.fstat(source)
        if status.st_size > limit:
            raise TooMuch(f"{name} is too large")
        shutil.copyfileobj(file, copied)
        os.fchmod(copied.fileno(), 0o644)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    return status.st_size
