"""Source `DIRECTORY`: a root file system that lies on this host. It is copied, and never written to."""

import os

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
