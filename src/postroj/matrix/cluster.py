"""A Dask cluster as an executor: its workers run the cells. Imported only if `--executor=dask://…` is given.

A worker cannot stop a function that runs, so cells are told to end by a plugin of the workers: when a cell is
cancelled, and when the scheduler no longer sees the postroj that has sent it.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from distributed import Client, Security, WorkerPlugin, get_worker

from postroj.errors import HostError
from postroj.events import Warn, emit
from postroj.matrix.job import Done, Job, Running

_CONNECT_SECONDS = 30
_PLUGIN = "postroj"
_running: dict[str, Running] = {}
"""Of a worker: the processes of its cells, by the keys of their tasks."""


class _Ending(WorkerPlugin):
    """Ends the process of a cell when the worker is told that nobody wants its result any more."""

    name = _PLUGIN
    idempotent = True

    def transition(self, key: object, start: str, finish: str, **kwargs: Any) -> None:
        """See distributed.WorkerPlugin."""
        name = str(key)
        if (start, finish) == ("executing", "released") and name.startswith(_run_cell.__name__):
            _running.setdefault(name, Running()).end()


class _Cluster(Executor):
    """What runs jobs on the workers of a cluster."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._executor: Executor = client.get_executor(pure=False)
        self._contents: dict[str, Any] = {}

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a worker run a job."""
        job: Job = args[0]
        contents = [self._sent(data) for data in job.files.values()]
        return self._executor.submit(_run_cell, function, job._replace(files={}), tuple(job.files), *contents)

    def _sent(self, data: bytes) -> Any:
        """Return a task that brings a file: it is sent once, whatever number of cells need it.

        It is no `scatter`, whose data are lost with the worker that has them.
        """
        key = f"postroj-file-{hashlib.sha256(data).hexdigest()}"
        if key not in self._contents:
            self._contents[key] = self._client.submit(_same, data, key=key)
        return self._contents[key]


def _same(data: bytes) -> bytes:
    return data


def _run_cell(function: Callable[..., Done], job: Job, paths: tuple[str, ...], *contents: bytes) -> Done:
    """Run a job on a worker."""
    key = str(get_worker().get_current_task())
    try:
        files = dict(zip(paths, contents, strict=True))
        return function(job._replace(files=files), None, _running.setdefault(key, Running()))
    finally:
        _running.pop(key, None)


@contextmanager
def opened(address: str) -> Iterator[Executor]:
    """Return the cluster of a scheduler, by its address: tcp://HOST:PORT, or tls://HOST:PORT.

    Certificates are those of Dask's own configuration: docs.dask.org, "TLS/SSL". Raises HostError if the scheduler
    cannot be reached, or that configuration lacks something.
    """
    shown = address.partition("://")[2]
    try:
        security = Security()  # type: ignore[no-untyped-call]
        client: Any = Client(  # type: ignore[no-untyped-call]
            address, security=security, timeout=_CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise HostError(f"the Dask scheduler {shown} cannot be reached: {error}") from error
    except (RuntimeError, TypeError) as error:  # it demands TLS, or lacks certificates for it
        hint = "see docs/matrix.md: write dask+tls://, and name certificates in Dask's configuration"
        raise HostError(f"Dask's configuration does not fit {address}: {error}", hint=hint) from error
    # Errors are told by the outcomes of cells; Dask would add tracebacks.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    with client:
        client.register_plugin(_Ending())
        if not client.scheduler_info()["workers"]:
            emit(Warn(f"the Dask cluster at {shown} has no workers: cells wait until there are some"))
        yield _Cluster(client)
