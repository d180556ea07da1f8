"""How far a download has come, where the program that makes it does not say."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from postroj.events import Transfer, emit

_SECONDS = 0.5


@contextmanager
def report_size(directory: str, subject: str) -> Iterator[None]:
    """Tell of the bytes below a directory, again and again until the block ends."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_SECONDS):
            emit(Transfer(subject, _size(directory), 0))

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size(directory: str) -> int:
    total = 0
    for path, _, files in os.walk(directory):
        for file in files:
            try:
                total += os.lstat(os.path.join(path, file)).st_size
            except FileNotFoundError:  # renamed meanwhile
                continue
    return total
