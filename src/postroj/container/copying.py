"""Files copied between the host and a guest, which may do anything with its files meanwhile."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, NamedTuple

from postroj.container import kernel
from postroj.container.guest import treewriter
from postroj.container.guest.entries import Entry, Unreadable, walk
from postroj.events import Warn, emit

_PERMISSIONS = 0o777
"""What the host takes of a mode: a guest does not make programs of the host's that run as their owner."""
_ALL = 0o7777
_TOLD = 10
"""How many files that were left out are named."""


class Side(NamedTuple):
    """Where files are: below the root of a guest, or of the host."""

    root: int | None
    """A descriptor of the guest's; None for the host."""
    uid: int
    """What the guest's root is outside."""

    def open(self, path: str) -> int:
        """Open what a path leads to (O_PATH), links followed as there. Raises OSError."""
        if self.root is None:
            return os.open(path, os.O_PATH)
        return kernel.open_in_root(self.root, path, os.O_PATH)


HOST = Side(None, 0)


def copy(source: Side, path: str, target: Side, where: str) -> None:
    """Copy a file or a directory as docker does: into a directory that exists, or under a new name.

    A link that is named is followed; those in a directory are copied. A `path` that ends in `/.` is what is in the
    directory. Owners are root in the guest, and the caller on the host. Raises OSError.
    """
    with _opened(source, path) as top:
        is_directory = stat.S_ISDIR(os.fstat(top).st_mode)
        with _destination(target, where, _name(path), is_directory) as (base, prefix):
            with _skipping(path) as skipped:
                entries = walk(top, source.uid, skipped)
                _write(target, entries, base, prefix)


def copy_out(source: Side, path: str) -> None:
    """Write a file or a directory to standard output as a tar stream. Raises OSError."""
    from postroj.container.guest import tarstream

    with _opened(source, path) as top, open(1, "wb", closefd=False) as into, _skipping(path) as skipped:
        tarstream.write(walk(top, source.uid, skipped), into, _name(path))


def copy_in(target: Side, where: str) -> None:
    """Extract a tar stream from standard input into a directory. Raises OSError."""
    from postroj.container.guest import tarstream

    with _opened(target, where) as base, open(0, "rb", closefd=False) as source, _skipping() as skipped:
        if not stat.S_ISDIR(os.fstat(base).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), where)
        _write(target, tarstream.read(source, skipped), base, ())


def take(archive: IO[bytes], path: str, where: str, *, is_directory: bool) -> None:
    """Write a tar archive of what a `path` elsewhere leads to on the host, as `copy` does. Raises OSError.

    Its top is called as it is, or `.` if it is a directory.
    """
    from postroj.container.guest import tarstream

    with _destination(HOST, where, _name(path), is_directory) as (base, prefix), _skipping(path) as skipped:
        entries = tarstream.read(archive, skipped, compressed=False)
        if not is_directory:
            entries = (entry._replace(path=()) for entry in islice(entries, 1))
        _write(HOST, entries, base, prefix)


def give(path: str, into: IO[bytes], name: tuple[str, ...] | None) -> None:
    """Write a tar archive of a file or a directory of the host, whose top has a name in it; None is its own.

    All of it is root's. Raises OSError.
    """
    from postroj.container.guest import tarstream

    with _opened(HOST, path) as top, _skipping(path) as skipped:
        entries = (entry._replace(uid=0, gid=0) for entry in walk(top, 0, skipped))
        tarstream.write(entries, into, _name(path) if name is None else name)


def _write(target: Side, entries: Iterator[Entry], base: int, prefix: tuple[str, ...]) -> None:
    if target.root is None:
        treewriter.write(entries, base, prefix, _PERMISSIONS)
    else:
        # As the guest's root: the host's has no place in file systems of the guest's own.
        kernel.as_user(target.uid, lambda: treewriter.write(entries, base, prefix, _ALL), capable=True)


@contextmanager
def _opened(side: Side, path: str) -> Iterator[int]:
    try:
        fd = side.open(path)
    except OSError as error:
        error.filename = path
        raise
    try:
        yield fd
    finally:
        os.close(fd)


def _name(path: str) -> tuple[str, ...]:
    """Return what a copy is called in a directory: nothing for what is in a directory, as its own name stays behind."""
    if path.endswith("/.") or path == ".":
        return ()
    name = os.path.basename(os.path.normpath(path))
    return (name,) if name not in ("", "/", ".", "..") else ()


@contextmanager
def _destination(
    side: Side, where: str, name: tuple[str, ...], is_directory: bool
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the directory that is written to, and the path in it."""
    try:
        there: int | None = side.open(where)
    except FileNotFoundError:
        there = None
    if there is not None:
        try:
            status = os.fstat(there)
            if stat.S_ISDIR(status.st_mode):
                yield there, name
                return
            if is_directory:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), where)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable(errno.EINVAL, "it is neither a file nor a directory", where)
        finally:
            os.close(there)
    if where.endswith("/") and not is_directory:
        raise FileNotFoundError(errno.ENOENT, "there is no such directory", where)
    where = os.path.realpath(where) if side.root is None else where.rstrip("/")
    with _opened(side, os.path.dirname(where) or "/") as above:
        yield above, (os.path.basename(where),)


@contextmanager
def _skipping(named: str = "") -> Iterator[Callable[[str, str], None]]:
    """Yield what is to be called with what is left out; it is warned of, in bounds.

    Raises Unreadable if that is all that was `named`: then nothing is copied.
    """
    count = 0

    def skipped(path: str, why: str) -> None:
        nonlocal count
        if named and not path:
            raise Unreadable(errno.EINVAL, why, named)
        count += 1
        if count <= _TOLD:
            emit(Warn(f"{path or 'it'} is left out: {why}"))

    yield skipped
    if count > _TOLD:
        emit(Warn(f"{count - _TOLD} more are left out"))
