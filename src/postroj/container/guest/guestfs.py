"""Files in the guest's own view, opened from the host without ever following a link that the guest has planted.

A path below /proc/PID/root is walked by the host: an absolute symbolic link in it would lead to the host's files.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from postroj.container import kernel


@contextmanager
def open_beneath(root: int, path: str) -> Iterator[int]:
    """A descriptor (O_PATH) of `path` below the directory `root`; to be used by way of /proc/self/fd.

    Raises OSError (ELOOP, ENOTDIR) where any part of it is a symbolic link, and (EXDEV) where one is `..`.
    """
    *directories, last = path.split("/")
    if ".." in (*directories, last):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    fd = os.dup(root)
    try:
        for part in directories:
            parent, fd = fd, os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(parent)
        parent, fd = fd, os.open(last, os.O_PATH | os.O_NOFOLLOW, dir_fd=fd)
        os.close(parent)
        if stat.S_ISLNK(os.fstat(fd).st_mode):  # O_PATH opens the link itself
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        yield fd
    finally:
        with suppress(OSError):
            os.close(fd)


def write_as(uid: int, root: int, path: str, data: IO[bytes]) -> None:
    """Write a file of `path` below the directory `root`, with the directories above it that lack, owned by `uid`.

    Raises OSError (ELOOP, ENOTDIR) if any part of it is a symbolic link, and (EXDEV) if one is `..`. Not for what the
    guest itself has mounted: the host's root has no place in its user namespace.
    """
    import shutil

    *directories, last = path.split("/")
    if ".." in (*directories, last):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    fd = os.dup(root)
    try:
        for part in directories:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
                os.chown(part, uid, uid, dir_fd=fd, follow_symlinks=False)
                os.chmod(part, 0o755, dir_fd=fd)  # whatever the umask is
            parent, fd = fd, os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO is not waited for
        new = os.open(last, flags, 0o644, dir_fd=fd)
        with open(new, "wb") as file:
            os.fchmod(new, 0o644)
            os.fchown(new, uid, uid)
            shutil.copyfileobj(data, file)
    finally:
        os.close(fd)


def open_to_read(root: int, path: str) -> int:
    """Open what `path` leads to below the directory `root`, links followed as the guest would: a file or a directory.

    Raises OSError, also for what is neither.
    """
    fd = kernel.open_in_root(root, path, os.O_PATH)
    try:
        return _reopened(fd, os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _reopened(fd: int, mode: int) -> int:
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a device does something as it is opened
        raise OSError(errno.EINVAL, "it is neither a file nor a directory")
    return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)


def connect_as(uid: int, path: str, timeout: float, *, capable: bool = False) -> socket.socket:
    """Connect to a socket that has `uid` as its peer: SO_PEERCRED, socket(7). Raises OSError.

    `timeout`, in seconds, because a guest may listen and never accept; it stays set. With `capable` the mode of the
    socket does not matter, as for root; then `path` must be one of /proc/self/fd.
    """

    def connect() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(path)
        except BaseException:
            connection.close()
            raise
        return connection

    return kernel.as_user(uid, connect, capable=capable)
