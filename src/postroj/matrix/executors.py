"""Where cells are run: on this host, or by another executor of concurrent.futures."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from postroj.errors import MissingToolError, UsageError

_DASK = {"dask://": "tcp://", "dask+tls://": "tls://"}
"""What addresses begin with, and what Dask writes there."""


def check(address: str) -> None:
    """Raise UsageError for an executor that is not known."""
    if address and (not address.startswith(tuple(_DASK)) or address in _DASK):
        raise UsageError(f"'{address[:80]}' is not an executor", hint="write --executor=dask://SCHEDULER:8786")


@contextmanager
def opened(address: str, jobs: int) -> Iterator[Executor]:
    """Return the executor at an address; without one, this host's, which runs `jobs` at once.

    Raises MissingToolError if Dask is not installed, HostError if its scheduler cannot be reached.
    """
    if address:
        scheme = next(one for one in _DASK if address.startswith(one))
        with _cluster(_DASK[scheme] + address.removeprefix(scheme)) as cluster:
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
