"""What is in a tree of files, one entry after the other, read from the host; a guest may change it meanwhile."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

_MOST_EXTENTS = 100_000
_CHUNK = 1 << 20


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    HARD_LINK = "hard link"


class Entry(NamedTuple):
    """A file, a directory or a link. What it has open is open until the next one is asked for."""

    path: tuple[str, ...]
    """Its names below the top of the tree, whose own entry has none; none of them is `..` or has a slash."""
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    """Its owner and group, as the guest counts."""
    gid: int = 0
    mtime: float = 0.0
    size: int = 0
    target: str = ""
    """Of a symbolic link; what it leads to is of no interest here."""
    same_as: tuple[str, ...] = ()
    """Of a hard link: the path of the file."""
    extents: tuple[tuple[int, int], ...] = ()
    """The parts of a file that have data, as offset and size: the rest is zeros."""
    read: Callable[[int, int], bytes] = lambda offset, size: b""
    """Returns so many bytes at an offset, or fewer: a file may be cut off meanwhile."""


class Bounds(NamedTuple):
    """How much a tree may have."""

    files: int = 1_000_000
    """Entries of all kinds."""
    depth: int = 200
    """How deep directories may be: each level has a descriptor."""
    size: int | None = None
    """The bytes of all files together, holes included."""


_OF_A_COPY = Bounds()


class Unreadable(OSError):
    """What cannot be copied, in words; `filename` is its path below the top."""


def _raised(error: OSError) -> None:
    raise error


def walk(
    top: int,
    root_uid: int,
    skipped: Callable[[str, str], None],
    *,
    bounds: Bounds = _OF_A_COPY,
    cut: Callable[[OSError], None] = _raised,
) -> Iterator[Entry]:
    """Yield what is at a descriptor (O_PATH), and below it; `root_uid` is the guest's root outside.

    No link is followed, and no other file system is entered. What is neither a file, a directory nor a link is told to
    `skipped`, by its path and why. What cannot be read, or is beyond the bounds, is told to `cut`, and left out if that
    does not raise it, as it does by default.
    """
    yield from _Walk(os.fstat(top).st_dev, root_uid, skipped, bounds, cut).visit(top, ())


class _Walk:
    def __init__(
        self,
        device: int,
        root_uid: int,
        skipped: Callable[[str, str], None],
        bounds: Bounds,
        cut: Callable[[OSError], None],
    ) -> None:
        self._device = device
        self._root_uid = root_uid
        self._skipped = skipped
        self._bounds = bounds
        self._cut = cut
        self._count = 0
        self._size = 0

    def visit(self, fd: int, path: tuple[str, ...]) -> Iterator[Entry]:
        status = os.fstat(fd)
        self._count += 1
        if self._count > self._bounds.files:
            if self._count == self._bounds.files + 1:
                self._cut(Unreadable(errno.EFBIG, f"there are more than {self._bounds.files} files in it"))
            return
        found = Entry(
            path,
            Kind.FILE,
            stat.S_IMODE(status.st_mode),
            max(0, status.st_uid - self._root_uid),
            max(0, status.st_gid - self._root_uid),
            status.st_mtime,
        )
        if stat.S_ISLNK(status.st_mode):
            yield found._replace(kind=Kind.LINK, target=os.readlink("", dir_fd=fd))
        elif stat.S_ISREG(status.st_mode):
            yield from self._file(fd, found)
        elif not stat.S_ISDIR(status.st_mode):
            self._skipped("/".join(path), "it is neither a file, a directory nor a link")
        elif status.st_dev != self._device:  # of an overlay only directories are sure to have its number
            self._skipped("/".join(path), "it is on another file system")
        else:
            yield found._replace(kind=Kind.DIRECTORY)
            yield from self._below(fd, path)

    def _file(self, fd: int, found: Entry) -> Iterator[Entry]:
        opened = self._opened(fd, os.O_RDONLY | os.O_NOCTTY)
        if opened is None:
            return
        try:
            if described := self._described(opened, found):
                yield described
        finally:
            os.close(opened)

    def _described(self, opened: int, found: Entry) -> Entry | None:
        """Return the entry of a file, with its data; None if it is left out."""
        try:
            size = os.fstat(opened).st_size
            data = b"" if size else _read_all(opened)  # files of /proc have a size of 0, whatever is in them
            size = size or len(data)
            if self._bounds.size is not None and self._size + size > self._bounds.size:
                where = "/".join(found.path)
                raise Unreadable(errno.EFBIG, f"there are more than {self._bounds.size} bytes in it", where)
            self._size += size
            if data or not size:
                extent = ((0, size),) if size else ()
                return found._replace(size=size, extents=extent, read=lambda at, n: data[at : at + n])
            extents = tuple(_extents(opened, size))
            return found._replace(size=size, extents=extents, read=lambda at, n: self._read(opened, at, n))
        except OSError as error:
            self._cut(error)
            return None

    def _read(self, opened: int, at: int, size: int) -> bytes:
        try:
            return os.pread(opened, size, at)
        except OSError as error:  # of a disk that fails, or of a file system of the guest's own
            self._cut(error)
            return b""

    def _opened(self, fd: int, flags: int) -> int | None:
        try:
            return os.open(f"/proc/self/fd/{fd}", flags)
        except FileNotFoundError:  # the guest goes on meanwhile
            return None
        except OSError as error:
            self._cut(error)
            return None

    def _below(self, fd: int, path: tuple[str, ...]) -> Iterator[Entry]:
        if len(path) >= self._bounds.depth:
            what = f"directories are nested more than {self._bounds.depth} deep"
            self._cut(Unreadable(errno.ELOOP, what, "/".join(path[:3])))
            return
        opened = self._opened(fd, os.O_RDONLY | os.O_DIRECTORY)
        if opened is None:
            return
        try:
            with os.scandir(opened) as names:
                for one in names:
                    if self._count > self._bounds.files:
                        return
                    with suppress(FileNotFoundError):  # the guest goes on meanwhile
                        child = os.open(one.name, os.O_PATH | os.O_NOFOLLOW, dir_fd=opened)
                        try:
                            yield from self.visit(child, (*path, one.name))
                        finally:
                            os.close(child)
        except OSError as error:
            self._cut(error)
        finally:
            os.close(opened)


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that are not holes: lseek(2), SEEK_DATA."""
    at = 0
    for _ in range(_MOST_EXTENTS):
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
            end = os.lseek(fd, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # a file system that cannot tell
                yield at, size - at
            return
        at = min(end, size)
        if begin < at:
            yield begin, at - begin
        if at >= size:
            return
    raise Unreadable(errno.EFBIG, f"it has more than {_MOST_EXTENTS} holes")


def _read_all(fd: int) -> bytes:
    data = b""
    while chunk := os.read(fd, _CHUNK):
        data += chunk
        if len(data) > _CHUNK:
            raise Unreadable(errno.EFBIG, "it has no size, and does not end")
    return data
