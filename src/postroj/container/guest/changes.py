"""What a guest has changed over its image, from the layers of its overlay: nothing of the image is read but its like.

A layer has what was written, a character device 0/0 for what was removed, and `trusted.overlay.opaque` at a directory
that hides what the image has in it: https://docs.kernel.org/filesystems/overlayfs.html. Whatever else stands there is
the guest's choice: no link is followed, nothing but regular files is opened to be read, and all is bounded.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from postroj.contract import Change, Changes

_MOST = 200_000
_DEPTH = 100
"""How deep directories are looked into: each level has a descriptor for each layer."""
_COMPARED = 64 << 20
"""The bytes of files that are compared with those of the image; beyond them their times are."""
_CHUNK = 1 << 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_OPAQUE = "trusted.overlay.opaque"
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def read(layers: Sequence[int], image: int, root_uid: int) -> Changes:
    """Return what is in layers, the newest first, that the image has not so: all of them descriptors of directories.

    `root_uid` is what the guest's root is outside, of which the image knows nothing.
    """
    reader = _Reader(root_uid)
    with suppress(_Full):
        reader.read("/", layers, image, is_hidden=False)
    return Changes(reader.found, reader.is_cut)


class _Full(Exception):
    """As much was found as is asked for."""


class _Reader:
    def __init__(self, root_uid: int) -> None:
        self.found: dict[str, Change] = {}
        self.is_cut = False
        self._root_uid = root_uid
        self._seen = 0
        self._to_compare = _COMPARED

    def read(self, path: str, layers: Sequence[int], image: int | None, *, is_hidden: bool) -> None:
        """Take what is in one directory; `is_hidden` is whether all is removed that its layers do not have."""
        there: set[str] = set()
        for name, holders in self._names(layers).items():
            with suppress(FileNotFoundError):  # the guest goes on meanwhile
                status = os.stat(name, dir_fd=holders[0], follow_symlinks=False)
                before = _status(name, image)
                full = os.path.join(path, name)
                if _is_whiteout(status):
                    if before and not is_hidden:
                        self._removed(full, before)
                    continue
                there.add(name)
                self._compare(full, name, (holders[0], status), (image, before))
                if stat.S_ISDIR(status.st_mode):
                    self._enter(full, name, holders, image, is_hidden=is_hidden)
        if is_hidden and image is not None:
            for name in self._counted(os.listdir(image)):
                if name not in there and (before := _status(name, image)):
                    self._removed(os.path.join(path, name), before)

    def _enter(self, path: str, name: str, holders: Sequence[int], image: int | None, *, is_hidden: bool) -> None:
        if path.count("/") > _DEPTH:
            self.is_cut = True
            return
        with ExitStack() as stack:
            try:
                layers, hides = stack.enter_context(_merged(name, holders))
                before = stack.enter_context(_opened(name, image))
            except FileNotFoundError:
                return
            except OSError:  # too many open files, or not a directory any more
                self.is_cut = True
                return
            self.read(path, layers, before, is_hidden=is_hidden or hides)

    def _names(self, layers: Sequence[int]) -> dict[str, list[int]]:
        """Return what is in directories that are shown as one, each with those that have it, the newest first."""
        names: dict[str, list[int]] = {}
        for layer in layers:
            with os.scandir(layer) as entries:
                for name in self._counted(entry.name for entry in entries):
                    names.setdefault(name, []).append(layer)
        return names

    def _counted(self, names: Iterable[str]) -> Iterator[str]:
        for name in names:
            self._seen += 1
            if self._seen > _MOST:
                self.is_cut = True
                raise _Full
            yield name

    def _removed(self, path: str, before: os.stat_result) -> None:
        self.found[path] = _change("removed", before, 0, "")

    def _compare(
        self, path: str, name: str, now: tuple[int, os.stat_result], then: tuple[int | None, os.stat_result | None]
    ) -> None:
        holder, status = now
        image, before = then
        target = os.readlink(name, dir_fd=holder) if stat.S_ISLNK(status.st_mode) else ""
        change = _change("changed" if before else "added", status, self._root_uid, target)
        if image is None or before is None or not self._is_same(name, change, (holder, status), (image, before)):
            self.found[path] = change

    def _is_same(
        self, name: str, change: Change, now: tuple[int, os.stat_result], then: tuple[int, os.stat_result]
    ) -> bool:
        (holder, status), (image, before) = now, then
        if (status.st_mode, change.uid, change.gid) != (before.st_mode, before.st_uid, before.st_gid):
            return False
        if change.kind == "file":
            if status.st_size != before.st_size:
                return False
            self._to_compare -= status.st_size
            if self._to_compare < 0:  # what was only opened for writing was copied, with its time
                return status.st_mtime_ns == before.st_mtime_ns
            return _has_same_bytes(name, holder, image)
        if change.kind == "link":
            return change.target == os.readlink(name, dir_fd=image)
        return status.st_rdev == before.st_rdev


def _has_same_bytes(name: str, holder: int, image: int) -> bool:
    with suppress(OSError), _reading(name, holder) as one, _reading(name, image) as other:
        while chunk := os.read(one, _CHUNK):
            if chunk != os.read(other, _CHUNK):
                return False
        return True
    return False


@contextmanager
def _reading(name: str, directory: int) -> Iterator[int]:
    fd = os.open(name, _FILE, dir_fd=directory)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _merged(name: str, holders: Sequence[int]) -> Iterator[tuple[list[int], bool]]:
    """Open the directories of one name that are shown as one; whether they hide that of the image. Raises OSError."""
    opened: list[int] = []
    hides = False
    try:
        for holder in holders:
            if hides := not stat.S_ISDIR(os.stat(name, dir_fd=holder, follow_symlinks=False).st_mode):
                break
            opened.append(os.open(name, _DIRECTORY, dir_fd=holder))
            if hides := _is_opaque(opened[-1]):
                break
        yield opened, hides
    finally:
        for fd in opened:
            os.close(fd)


@contextmanager
def _opened(name: str, image: int | None) -> Iterator[int | None]:
    """Open the directory that the image has of this name; None if it has none. Raises OSError."""
    fd = None
    if image is not None:
        with suppress(FileNotFoundError, NotADirectoryError):
            fd = os.open(name, _DIRECTORY, dir_fd=image)
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _status(name: str, image: int | None) -> os.stat_result | None:
    if image is not None:
        with suppress(FileNotFoundError):
            return os.stat(name, dir_fd=image, follow_symlinks=False)
    return None


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    with suppress(OSError):
        return os.getxattr(directory, _OPAQUE) == b"y"
    return False


def _change(what: str, status: os.stat_result, root_uid: int, target: str) -> Change:
    return Change(
        what,
        _KINDS.get(stat.S_IFMT(status.st_mode), ""),
        stat.S_IMODE(status.st_mode),
        status.st_uid - root_uid,
        status.st_gid - root_uid,
        status.st_size,
        status.st_mtime_ns,
        target,
    )
