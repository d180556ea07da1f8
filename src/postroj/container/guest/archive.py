"""A directory of the guest as a tar archive, read from the host: the guest is not asked, and needs no tar."""

import os
import stat
import tarfile
from contextlib import suppress
from typing import IO

from postroj.container.guest.guestfs import open_entry

_MOST = 200_000
_DEPTH = 100
"""How deep directories are looked into: each level has a descriptor."""


def write(directory: int, into: IO[bytes], *, root_uid: int, most: int) -> bool:
    """Write what is in a directory, by its descriptor, with at most so many bytes of files; return if that is all.

    The archive has files, directories and links, by names below the directory; what is on another file system, or
    special, is left out without a word. Owners are as the guest counts, whose root is `root_uid` outside. Raises
    OSError of `into`.
    """
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        writer = _Writer(archive, os.fstat(directory).st_dev, root_uid, most)
        writer.add_directory(directory, "")
    return not writer.is_cut


class _Writer:
    def __init__(self, archive: tarfile.TarFile, device: int, root_uid: int, most: int) -> None:
        self.is_cut = False
        self._archive = archive
        self._device = device
        self._root_uid = root_uid
        self._left = most
        self._entries = 0

    def add_directory(self, directory: int, path: str) -> None:
        """Add what is in a directory, which is called `path` in the archive."""
        if path.count("/") >= _DEPTH:
            self.is_cut = True
            return
        with os.scandir(directory) as entries:
            for entry in entries:
                self._entries += 1
                if self._entries > _MOST:
                    self.is_cut = True
                    return
                self._add(directory, entry.name, path + entry.name)

    def _add(self, directory: int, name: str, path: str) -> None:
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                link = self._described(path, status, tarfile.SYMTYPE)
                link.linkname = os.readlink(name, dir_fd=directory)
                self._archive.addfile(link)
                return
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                return
            fd = open_entry(directory, name)
        except FileNotFoundError:  # the guest goes on meanwhile
            return
        except OSError:
            self.is_cut = True
            return
        try:
            self._add_opened(fd, path)
        finally:
            os.close(fd)

    def _add_opened(self, fd: int, path: str) -> None:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            # Of an overlay only directories are sure to have its device number.
            if status.st_dev == self._device:
                self._archive.addfile(self._described(path, status, tarfile.DIRTYPE))
                self.add_directory(fd, f"{path}/")
        elif status.st_size > self._left:
            self.is_cut = True
        else:
            self._left -= status.st_size
            file = self._described(path, status, tarfile.REGTYPE)
            file.size = status.st_size
            self._archive.addfile(file, _Whole(fd))  # type: ignore[arg-type]

    def _described(self, path: str, status: os.stat_result, kind: bytes) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path)
        info.type = kind
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = max(0, status.st_uid - self._root_uid), max(0, status.st_gid - self._root_uid)
        info.mtime = int(status.st_mtime)
        return info


class _Whole:
    """Reads a file that may be cut off meanwhile: what lacks is zeros, as the archive has its size already."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self, size: int) -> bytes:
        data = b""
        with suppress(OSError):  # of a disk that fails, or of a file system of the guest's own
            while len(data) < size and (chunk := os.read(self._fd, size - len(data))):
                data += chunk
        return data.ljust(size, b"\0")
