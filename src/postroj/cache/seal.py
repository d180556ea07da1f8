"""The seal of a layer: what is in it, by which it is known whether it is whole."""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from postroj.replacing import replacing

FORMAT = 3
"""A layer of another format is not used."""
_MOST = 64 << 20
_LINK = "link to "


class File(NamedTuple):
    """A file of a layer."""

    size: int
    changed: tuple[int, int]
    """st_mtime_ns and st_ctime_ns: as long as they stay, so does the content."""
    sha256: str
    """Of a symbolic link: what it leads to, behind `_LINK`."""


class Answer(NamedTuple):
    """What the package manager has said of a request, in the image with the lists of the layer."""

    resolved: str
    """What the commands of Family.resolve have printed; empty if the guest has to ask itself."""
    sources: str
    """What that of Family.sources has printed of all packages that it installs."""


class Seal(NamedTuple):
    """All that is in a layer."""

    made: float
    """When its lists were fetched, as time.time()."""
    files: Mapping[str, File]
    """By their paths in it."""
    indexes: Mapping[str, str]
    """The URLs that tell whether its lists are up to date, each with the path of the file that it was.

    If it is not in the layer, the image has it.
    """
    requests: Mapping[str, Answer]
    """The requests for which packages are in it, as far as they could be taken."""


def look(path: str, sha256: str = "") -> File:
    """Return what a regular file or a symbolic link is; `sha256` if it is known. Raises OSError, also for others."""
    if os.path.islink(path):
        status = os.lstat(path)
        return File(status.st_size, (status.st_mtime_ns, status.st_ctime_ns), f"{_LINK}{os.readlink(path)}")
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        digest = sha256 or hashlib.file_digest(file, "sha256").hexdigest()
    return File(status.st_size, (status.st_mtime_ns, status.st_ctime_ns), digest)


def checked(root: str, seal: Seal) -> Seal | None:
    """Return the seal, if the files below `root` are those of it, and there are no others; None if not.

    Only files that seem to have changed are read: a link to a file, or one less, changes its time, as does a copy of
    the whole cache. The seal that is returned has the times that the files have now.
    """
    there = {os.path.join(directory, name)[len(root) + 1 :] for directory, _, names in os.walk(root) for name in names}
    if there != set(seal.files):
        return None
    files = {}
    for path, sealed in seal.files.items():
        full = os.path.join(root, path)
        status = os.lstat(full)
        is_link = sealed.sha256.startswith(_LINK)
        if status.st_size != sealed.size or not (stat.S_ISLNK if is_link else stat.S_ISREG)(status.st_mode):
            return None
        files[path] = sealed
        if (status.st_mtime_ns, status.st_ctime_ns) != sealed.changed:
            files[path] = look(full)
            if files[path].sha256 != sealed.sha256:
                return None
    return seal if files == seal.files else seal._replace(files=files)


def write(path: str, seal: Seal) -> None:
    """Write a seal, or replace it. Raises OSError."""
    with replacing(path) as fd, open(fd, "w", closefd=False) as file:
        json.dump({"format": FORMAT, **seal._asdict()}, file)
        file.flush()
        os.fsync(fd)


def read(path: str) -> Seal:
    """Read a seal. Raises OSError, ValueError."""
    with open(path) as file:
        text = file.read(_MOST)
    try:
        told = json.loads(text)
        if told["format"] != FORMAT:
            raise ValueError("it has another format")
        files = {
            str(name): File(int(size), (int(changed[0]), int(changed[1])), str(sha256))
            for name, (size, changed, sha256) in told["files"].items()
        }
        indexes = {str(url): str(file) for url, file in told["indexes"].items()}
        if any(name.startswith("/") or ".." in name.split("/") for name in (*files, *indexes.values())):
            raise ValueError("it names files outside")
        requests = {str(key): Answer(str(one), str(other)) for key, (one, other) in told["requests"].items()}
        return Seal(float(told["made"]), files, indexes, requests)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is malformed: {error}") from error
