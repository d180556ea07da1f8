"""Entries written into a directory, of the host's or of a guest's, and nowhere else: no link in it is followed.

A file takes its name when it is whole, in place of what had it before; nothing that exists is opened to be written to.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from postroj.container.guest.entries import Entry, Kind, Unreadable

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def write(entries: Iterable[Entry], base: int, prefix: tuple[str, ...], mode_mask: int) -> None:
    """Write entries below a directory, by its descriptor; `prefix` is the path of their top there.

    Of the modes only the bits of `mode_mask` are kept. Raises OSError, with a path as its file name.
    """
    writer = _Writer(base, mode_mask)
    try:
        for entry in entries:
            path = (*prefix, *entry.path)
            try:
                writer.add(path, entry)
            except OSError as error:
                error.filename = "/".join(path)
                raise
    finally:
        writer.close()


class _Writer:
    def __init__(self, base: int, mode_mask: int) -> None:
        self._base = base
        self._mode_mask = mode_mask
        self._open: list[tuple[str, int]] = []
        """The directories of the last path, each with its descriptor."""

    def close(self) -> None:
        self._shorten(0)

    def add(self, path: tuple[str, ...], entry: Entry) -> None:
        if any("/" in name or name in ("", ".", "..") for name in path):
            raise Unreadable(errno.EXDEV, "it is outside of the directory")
        if entry.kind is Kind.DIRECTORY:
            if path and self._make(self._enter(path[:-1]), path[-1]):
                os.fchmod(self._enter(path), entry.mode & self._mode_mask)
            return
        if not path:
            raise Unreadable(errno.EISDIR, "it has no name to be called by")
        directory, name = self._enter(path[:-1]), path[-1]
        new = f".postroj-{os.urandom(8).hex()}"
        try:
            if entry.kind is Kind.LINK:
                os.symlink(entry.target, new, dir_fd=directory)
            elif entry.kind is Kind.HARD_LINK:
                self._link(entry.same_as, directory, new)
            else:
                self._write(entry, directory, new)
            os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(new, dir_fd=directory)
            raise

    def _enter(self, path: tuple[str, ...]) -> int:
        """Return a descriptor of a directory, which is made if it lacks."""
        same = 0
        while same < min(len(path), len(self._open)) and self._open[same][0] == path[same]:
            same += 1
        self._shorten(same)
        for name in path[same:]:
            above = self._open[-1][1] if self._open else self._base
            self._make(above, name)
            self._open.append((name, os.open(name, _DIRECTORY, dir_fd=above)))
        return self._open[-1][1] if self._open else self._base

    def _shorten(self, length: int) -> None:
        for _, fd in self._open[length:]:
            os.close(fd)
        del self._open[length:]

    def _make(self, above: int, name: str) -> bool:
        try:
            os.mkdir(name, 0o755, dir_fd=above)
        except FileExistsError:
            return False
        return True

    def _write(self, entry: Entry, directory: int, name: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
        try:
            for at, size in entry.extents:
                while size and (chunk := entry.read(at, min(size, _CHUNK))):
                    at, size = at + os.pwrite(fd, chunk, at), size - len(chunk)
            os.ftruncate(fd, entry.size)
            os.fchmod(fd, entry.mode & self._mode_mask)
            with suppress(OSError, OverflowError):  # a guest may have any time
                os.utime(fd, (entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _link(self, same_as: tuple[str, ...], directory: int, name: str) -> None:
        if not same_as or any(part in ("", ".", "..") for part in same_as):
            raise Unreadable(errno.EXDEV, "it is a link to a file outside of the archive")
        above = os.dup(self._base)
        try:
            for part in same_as[:-1]:
                before, above = above, os.open(part, _DIRECTORY, dir_fd=above)
                os.close(before)
            os.link(same_as[-1], name, src_dir_fd=above, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(above)
