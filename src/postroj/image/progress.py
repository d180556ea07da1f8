"""How far a download or an export has come, where the program that makes it does not say."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from postroj.events import Transfer, emit

_SECONDS = 0.5


def report_size(directory: str, subject: str) -> AbstractContextManager[None]:
    """Tell of the bytes below a directory, again and again until the block ends."""
    return report(lambda: _size(directory), subject)


@contextmanager
def report(measure: Callable[[], int], subject: str) -> Iterator[None]:
    """Tell of the bytes that a function returns, again and again until the block ends."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_SECONDS):
            emit(Transfer(subject, measure(), 0))

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
