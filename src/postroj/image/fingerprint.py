"""What a directory looks like to the file system: cheap to see, and another one once something in it has changed."""

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress


def of_directory(path: str, *, without: Collection[str] = ()) -> str:
    """A hash of what the file system says of all that is in it, contents aside: another one where it has changed.

    As with the copy, other file systems that are mounted in it do not count, nor do directories called as in `without`.
    """
    hashed = hashlib.sha256()
    device = os.stat(path).st_dev
    for directory, names, files in os.walk(path):
        names[:] = sorted(
            name for name in names if name not in without and _is_on(device, os.path.join(directory, name))
        )
        for name in [".", *sorted(files)]:
            with suppress(FileNotFoundError):  # gone meanwhile
                status = os.lstat(os.path.join(directory, name))
                # a directory changes with what is left out of it
                changed = "" if without and name == "." else f"{status.st_ino} {status.st_ctime_ns}"
                hashed.update(f"{directory}\0{name}\0{status.st_mode} {changed}\n".encode(errors="surrogateescape"))
    return hashed.hexdigest()


def _is_on(device: int, path: str) -> bool:
    try:
        return os.lstat(path).st_dev == device
    except FileNotFoundError:
        return False
