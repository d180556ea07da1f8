"""Partial downloads of images, kept so that the next pull can resume them.

IMAGES/.downloads/0123…    one download, locked while somebody works on it
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import locks
from postroj.settings import images_dir

_DOWNLOADS = ".downloads"
_KEPT_SECONDS = 24 * 3600.0


class Place:
    """A directory for one download."""

    def __init__(self, path: str) -> None:
        self.path = path

    def discard(self) -> None:
        """Delete the download."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def place(key: str) -> Iterator[Place]:
    """The directory for the download that `key` says, ours for the block; another run's is waited for."""
    downloads = os.path.join(images_dir(), _DOWNLOADS)
    os.makedirs(downloads, exist_ok=True)
    os.chmod(downloads, 0o700)
    path = os.path.join(downloads, hashlib.sha256(key.encode()).hexdigest()[:24])
    lock = locks.lock_directory(path, create=True)
    assert lock is not None
    with lock:
        try:
            yield Place(path)
        finally:
            with suppress(OSError):
                os.rmdir(path)  # nothing has come


def sweep_unfinished(layout: str) -> None:
    """Remove what a killed skopeo has left of a blob: only whole ones are of use."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(layout):
            if entry.name.startswith("oci-put-blob"):
                os.unlink(entry.path)


def sweep(*, older_than: float = _KEPT_SECONDS, dry_run: bool = False) -> list[str]:
    """Remove those that nobody has gone on with for so many seconds; says which. A dry run only says it."""
    removed: list[str] = []
    try:
        entries = list(os.scandir(os.path.join(images_dir(), _DOWNLOADS)))
    except FileNotFoundError:
        return removed
    for entry in entries:
        with suppress(OSError):
            if time.time() - entry.stat(follow_symlinks=False).st_mtime < older_than:
                continue
            lock = locks.lock_directory(entry.path, wait=False)
            if lock:
                with lock:
                    if not dry_run:
                        shutil.rmtree(entry.path)
                    removed.append(f"download {entry.name}")
    return removed
