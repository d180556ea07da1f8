"""Source `DIRECTORY`: a root file system that lies on this host. It is copied, and never written to."""

import hashlib
import os
from contextlib import suppress

from postroj import process
from postroj.errors import ImageError
from postroj.events import Phase, emit
from postroj.image import manifest
from postroj.image.source import Source
from postroj.settings import images_dir

_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")


def find(source: Source, subject: str) -> str:
    """Its digest is not known before it is copied; here it is only looked at. Raises ImageError."""
    path = source.location
    if not os.path.isdir(path):
        raise ImageError(f"there is no directory {path}")
    if not any(os.path.lexists(os.path.join(path, name)) for name in _OS_RELEASE):
        raise ImageError(
            f"{path} is not a root file system: it has no etc/os-release", hint="name the directory that has etc in it"
        )
    if os.path.commonpath([os.path.realpath(path), os.path.realpath(images_dir())]) == os.path.realpath(path):
        raise ImageError(f"{path} contains postroj's own image store")
    return ""


def fetch(source: Source, digest: str, tree: str, subject: str) -> str:
    """Make the tree's `root`; returns the digest of all that is in it. Raises MissingToolError, ToolError, OSError."""
    emit(Phase(subject, "unpack", f"copying {source.location}"))
    root = os.path.join(tree, "root")
    copy = ["cp", "--archive", "--reflink=auto", "--one-file-system", "--no-target-directory", "--"]
    process.follow([*copy, os.path.join(source.location, "."), root], subject=subject)  # of a link to it: what is there
    os.chmod(root, 0o755)  # a directory that only its owner may enter would make a guest that nobody else can use
    listed = os.path.join(tree, "listed")
    found = manifest.write(root, listed).digest
    os.unlink(listed)
    return found


def stamp(path: str) -> str:
    """A hash of what the file system says of all that is in it, contents aside: another one where it has changed.

    As with the copy, other file systems that are mounted in it do not count.
    """
    hashed = hashlib.sha256()
    device = os.stat(path).st_dev
    for directory, names, files in os.walk(path):
        names[:] = sorted(name for name in names if _is_on(device, os.path.join(directory, name)))
        for name in [".", *sorted(files)]:
            with suppress(FileNotFoundError):  # gone meanwhile
                status = os.lstat(os.path.join(directory, name))
                hashed.update(
                    f"{directory}\0{name}\0{status.st_mode} {status.st_ino} {status.st_ctime_ns}\n".encode(
                        errors="surrogateescape"
                    )
                )
    return hashed.hexdigest()


def _is_on(device: int, path: str) -> bool:
    try:
        return os.lstat(path).st_dev == device
    except FileNotFoundError:
        return False
