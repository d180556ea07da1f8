"""A file that is written whole, or not at all: readers see the old one until the new one is complete."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj.errors import HostError, UsageError
from postroj.interrupts import uninterrupted

_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""What open(2) says where a file system has no O_TMPFILE."""


def check_place(path: str) -> None:
    """Raise UsageError if a file cannot be written there, as far as can be told before; `path` is absolute."""
    directory, name = os.path.split(path)
    if os.path.isdir(path):
        raise UsageError(f"{path} is a directory", hint="name a file in it")
    if not os.path.isdir(directory):
        raise UsageError(f"there is no directory {directory} to write {name} to", hint=f"mkdir --parents {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"the directory {directory} cannot be written to")


@contextmanager
def replacing(path: str) -> Iterator[int]:
    """A file to write to, which gets its name at the end of the block, if that has succeeded.

    Until then it has none, so that nothing is left of it whatever happens. Where the file system needs a name it is
    PATH.part; one that a killed run has left is written over by the next.
    """
    part = ""
    unnamed = getattr(os, "O_TMPFILE", 0)  # Linux has it alone; without it a directory is not to be written to: EISDIR
    try:
        fd = os.open(os.path.dirname(path), unnamed | os.O_RDWR, 0o666)
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
        part = f"{path}.part"
        fd = _open_part(part)
    try:
        yield fd
        with uninterrupted():
            part = part or _named(fd, path)
            if part != path:
                os.replace(part, path)
    except BaseException:
        if part:
            with suppress(FileNotFoundError):
                os.unlink(part)
        raise
    finally:
        os.close(fd)


def _named(fd: int, path: str) -> str:
    """Give an unnamed file its name, or another one if there is a file of that name; returns it."""
    for wanted in (path, f"{path}.{os.urandom(4).hex()}"):
        with suppress(FileExistsError):
            os.link(f"/proc/self/fd/{fd}", wanted, src_dir_fd=fd)  # with it Python calls linkat(2), which follows links
            return wanted
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), wanted)


def _open_part(part: str) -> int:
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise HostError(f"another postroj writes {part} at the moment") from None
    os.truncate(fd, 0)
    return fd
