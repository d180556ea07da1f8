"""Files in the guest's own view, opened from the host without ever following a link that the guest has planted.

A path below /proc/PID/root is walked by the host: an absolute symbolic link in it would lead to the host's files.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


def write_as(uid: int, root: int, path: str, data: bytes) -> None:
    """Write a file of `path` below the directory `root`, with the directories above it that lack, owned by `uid`.

    Raises OSError (ELOOP, ENOTDIR) if any part of it is a symbolic link, and (EXDEV) if one is `..`. Not for what the
    guest itself has mounted: the host's root has no place in its user namespace.
    """
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
            file.write(data)
    finally:
        os.close(fd)


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
