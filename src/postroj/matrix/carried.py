"""Files that a cell needs and that are not where it runs: in a directory of its own, as long as it runs.

STATE/jobs/0123…    the files of one cell, locked by its process
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from postroj import locks
from postroj.settings import state_dir


@contextmanager
def placed(files: Mapping[str, bytes]) -> Iterator[str]:
    """A directory with files, by their absolute paths below it, for the block. Raises OSError."""
    sweep()
    path = os.path.join(_top(), os.urandom(4).hex())
    lock = locks.lock_directory(path, create=True)
    assert lock
    with lock:
        try:
            for name, data in files.items():
                _write(path + name, data)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def sweep() -> list[str]:
    """Remove what killed processes have left; says what."""
    removed = []
    with suppress(FileNotFoundError):
        for name in os.listdir(_top()):
            if lock := locks.lock_directory(os.path.join(_top(), name), wait=False):
                with lock:
                    shutil.rmtree(lock.path, ignore_errors=True)
                removed.append(f"files of a cell {name}")
    return removed


def _top() -> str:
    return os.path.realpath(os.path.join(state_dir(), "jobs"))


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "xb") as file:
        os.fchmod(file.fileno(), 0o644)  # whatever the umask: the guest's root is to read it
        file.write(data)
