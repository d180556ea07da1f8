"""Where cells are run: on this host, or by another executor of concurrent.futures."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from postroj.errors import MissingToolError, UsageError

_DASK = "dask://"
_MEMORY_OF_CELL = 512 << 20
"""What a cell needs: its machine, and what it writes there."""
_PER_CPU = 4
"""A cell waits for most of its time: for units to stay active, for addresses to answer."""


def default_jobs() -> int:
    """Return how many cells this host can run at once, by its processors and its free memory."""
    return max(1, min(_PER_CPU * len(os.sched_getaffinity(0)), _free_memory() // _MEMORY_OF_CELL))


def _free_memory() -> int:
    """Return the bytes of memory that programs can still have: MemAvailable of proc_meminfo(5)."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))


def check(address: str) -> None:
    """Raise UsageError for an executor that is not known."""
    if address and (not address.startswith(_DASK) or address == _DASK):
        raise UsageError(f"'{address[:80]}' is not an executor", hint="write --executor=dask://SCHEDULER:8786")


@contextmanager
def opened(address: str, jobs: int) -> Iterator[Executor]:
    """Return the executor at an address; without one, this host's.

    Raises MissingToolError if Dask is not installed, HostError if its scheduler cannot be reached.
    """
    if address:
        with _cluster(address.removeprefix(_DASK)) as cluster:
            yield cluster
        return
    executor = ThreadPoolExecutor(jobs, "cell")
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _cluster(address: str) -> AbstractContextManager[Executor]:
    try:
        from postroj.matrix import cluster
    except ImportError as error:
        what = "Dask is not installed, which --executor=dask:// needs"
        raise MissingToolError(what, hint="pip install 'postroj[dask]'") from error
    return cluster.opened(address)
