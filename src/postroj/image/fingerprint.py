"""What a directory looks like to the file system: cheap to see, and another one once something in it has changed."""

import hashlib
import os
from contextlib import suppress


def of_directory(path: str) -> str:
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
