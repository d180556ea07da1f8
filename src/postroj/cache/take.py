"""Files taken from what a container has written: no link followed, and all bounded.

An overlay's upper directory has what was written; what was removed of the layers below is hidden by a device or, if a
directory has taken the place of another one, by an attribute: Documentation/filesystems/overlayfs.rst.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from postroj.container.guest.guestfs import open_beneath

_MOST = 20_000
_MOST_DIRECTORIES = 2_000
_OPAQUE = "trusted.overlay.opaque"


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


def directories(upper: int, pattern: str) -> list[str]:
    """Return the paths of the upper directory that a pattern may mean; `*` in it stands for any one name."""
    found = [""]
    for part in pattern.split("/"):
        if part != "*":
            found = [os.path.join(one, part) for one in found]
            continue
        below = []
        for one in found:
            with listing(upper, one) as (_, names):
                below += [os.path.join(one, name) for name in names]
            if len(below) > _MOST_DIRECTORIES:
                raise TooMuch(f"more than {_MOST_DIRECTORIES} directories")
        found = below
    return found


def regular(root: str, patterns: Sequence[str]) -> list[str]:
    """Return the paths of the regular files in the directories below another one that patterns mean."""
    found = []
    top = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for directory in (one for pattern in patterns for one in directories(top, pattern)):
            with listing(top, directory) as (fd, names):
                for name in names:
                    if stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                        found.append(os.path.join(directory, name))
    finally:
        os.close(top)
    return found


def is_in(directory: str, patterns: Sequence[str]) -> bool:
    """Return whether one of the patterns means a directory."""
    parts = directory.split("/")
    split = [pattern.split("/") for pattern in patterns]
    return any(
        len(one) == len(parts) and all(word in ("*", part) for word, part in zip(one, parts, strict=True))
        for one in split
    )


def is_hidden(upper: int, path: str) -> bool:
    """Return whether a file of the layers below is seen no more: something else is there, or it was removed."""
    parts = path.split("/")
    fd = os.dup(upper)
    try:
        for part in parts:
            try:
                parent, fd = fd, os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=fd)
            except FileNotFoundError:
                return False
            os.close(parent)
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                return True
            with suppress(OSError):
                if os.getxattr(f"/proc/self/fd/{fd}", _OPAQUE) == b"y":
                    return True
        return True
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


def copy(directory: int, name: str, path: str, limit: int, links: frozenset[str] = frozenset()) -> int:
    """Copy a regular file of at most `limit` bytes, with its time; return its size, or -1 if it is none.

    A symbolic link to one of `links` is made anew. Raises OSError.
    """
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return -1
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISLNK(mode) and (target := os.readlink("", dir_fd=fd)) in links:
            os.symlink(target, path)
            return len(target)
        if not stat.S_ISREG(mode):  # to open anything else may be to act
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
