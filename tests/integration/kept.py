"""What takes minutes to make is made once by each recipe, and kept for later runs; and locks on directories."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support import STATE

_UNUSED_SECONDS = 7 * 24 * 3600
_HALF_MADE = "making-"


@contextmanager
def kept(name: str, recipe: str, make: Callable[[Path], None]) -> Iterator[Path]:
    """Yield the directory that `make`, given a path that does not exist, has made by this recipe.

    It must not be written to. Processes that need the same one wait for its making only, never for each other's use
    of it. Checkouts with other recipes have others, which are removed if they have not been used for a week.
    """
    place = Path(STATE, name)
    place.mkdir(parents=True, exist_ok=True)
    path = place / hashlib.sha256(recipe.encode()).hexdigest()[:12]
    with locked(place):
        _remove_stale(place)
        if not path.exists():
            with tempfile.TemporaryDirectory(prefix=_HALF_MADE, dir=place) as directory:
                make(made := Path(directory, "made"))
                made.rename(path)
        os.utime(path)
        use = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(use, fcntl.LOCK_SH)  # before the other lock is released, so that nobody removes it between
    try:
        yield path
    finally:
        os.close(use)


@contextmanager
def locked(directory: str | Path, *, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on a directory: flock(2), with its operation."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def remove_unlocked(path: Path) -> None:
    """Remove a directory unless a process holds a lock on it."""
    with suppress(FileNotFoundError, BlockingIOError), locked(path, how=fcntl.LOCK_EX | fcntl.LOCK_NB):
        _unmount_below(path)
        shutil.rmtree(path)


def _unmount_below(path: Path) -> None:
    """Unmount what mmdebstrap has left mounted in a tree when it was killed."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((one for one in points if one.startswith(f"{path}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=True)


def _remove_stale(place: Path) -> None:
    """Remove what is half made or has not been used for long; the caller holds the lock on `place`."""
    for path in place.iterdir():
        if path.name.startswith(_HALF_MADE) or path.stat().st_mtime < time.time() - _UNUSED_SECONDS:
            remove_unlocked(path)
