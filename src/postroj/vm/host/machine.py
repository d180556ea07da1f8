"""The VM itself: made once, started when a command needs it, shared by all commands.

It is kept beside the VMs of images (see `records`), locked while it is made, started, stopped or removed, and by
commands in it, shared. VMS/debian-bookworm-host/ssh/PID has the sockets of a command's connection.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj import locks
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, MachineLostError, UsageError
from postroj.events import Step, emit
from postroj.vm import boxes, records, sweeping, warm
from postroj.vm.box import Box
from postroj.vm.host import installation
from postroj.vm.records import HOST_VM, Ready
from postroj.vm.ssh import Connection, Login
from postroj.vm.vagrant import Project

MEMORY, CORES = 2048, 2
_CONNECT_SECONDS = 20.0
_STARTED_SECONDS = 120.0
_TRIES = 5
_NONE = "there is no Linux VM"
_MAKE = "make it: postroj vm host create"


def exists() -> bool:
    """Return whether the VM is there, with all that is needed in it."""
    return records.read(_path()) is not None


def create(box: Box) -> None:
    """Make the VM of a box. Raises UsageError, HostError. Call `warm.check_host` before."""
    with _locked(create=True):
        if exists():
            raise UsageError("the Linux VM is there already", hint="`postroj vm host rm` removes it")

        def finish(project: Project, ready: Ready) -> None:
            connection = _connection(project, ready, Deadline(_STARTED_SECONDS))
            try:
                installation.install(connection)
            finally:
                connection.close()

        warm.make(Project(_path(), box, boxes.directory(box.place)), finish, NEVER)


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection to the VM, which is started if it does not run, and not stopped meanwhile.

    Raises UsageError if there is none, HostError.
    """
    for _ in range(_TRIES):
        with _shared():
            project, ready = _project(), records.read(_path())
            if project is None or ready is None:
                raise UsageError(_NONE, hint=_MAKE)
            connection = None
            with suppress(MachineLostError):
                connection = _connection(project, ready, Deadline(_CONNECT_SECONDS))
            if connection:
                try:
                    yield connection
                finally:
                    connection.close()
                return
        _start()
    raise HostError("the Linux VM does not answer", hint="`postroj vm host stop`, or make it anew: rm, create")


def stop() -> None:
    """Shut it down. Raises UsageError if commands use it, HostError."""
    with _locked():
        if project := _project():
            project.do("halt", deadline=NEVER)


def remove() -> None:
    """Remove it with its disk. Raises UsageError if there is none, or commands use it, HostError."""
    with _locked():
        sweeping.discard(HOST_VM)
    sweeping.sweep()  # the box, if no VM is made of it now


def _start() -> None:
    """Start it, unless another process does so, or uses it."""
    lock = locks.lock_directory(_path(), wait=False)
    if lock is None:
        return
    with lock:
        project, ready = _project(), records.read(_path())
        if project is None or ready is None:
            return
        emit(Step(HOST_VM, "starting the Linux VM"))
        project.do("up", "--no-provision", deadline=NEVER)
        at = project.told("ssh-config", Deadline(_STARTED_SECONDS))
        ready = ready._replace(address=at.get("HostName", ""), port=int(at.get("Port", "22")))
        _connection(project, ready, Deadline(_STARTED_SECONDS)).close()
        records.write_ready(_path(), ready)


def _connection(project: Project, ready: Ready, deadline: Deadline) -> Connection:
    os.makedirs(project.sockets, mode=0o700, exist_ok=True)
    for entry in os.scandir(project.sockets):
        if not _lives(entry.name):
            shutil.rmtree(entry.path, ignore_errors=True)
    sockets = os.path.join(project.sockets, str(os.getpid()))
    login = Login(ready.address, ready.port, project.key, project.known_hosts, sockets, ready.user)
    return Connection(login, deadline=deadline)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def _locked(*, create: bool = False) -> Iterator[None]:
    lock = locks.lock_directory(_path(), create=create, wait=False)
    if lock is None:
        if not os.path.isdir(_path()):
            raise UsageError(_NONE, hint=_MAKE)
        raise UsageError("the Linux VM is used by another postroj at the moment")
    with lock:
        yield


@contextmanager
def _shared() -> Iterator[None]:
    lock = locks.lock_directory(_path(), shared=True, wait=False)
    if lock is None and os.path.isdir(_path()):
        emit(Step(HOST_VM, "waiting for another postroj, which makes, starts or stops the Linux VM"))
        lock = locks.lock_directory(_path(), shared=True)
    if lock is None:
        raise UsageError(_NONE, hint=_MAKE)
    with lock:
        yield


def _project() -> Project | None:
    box = records.box_of(_path())
    return Project(_path(), box, boxes.directory(box.place)) if box else None


def _path() -> str:
    return records.path_of(HOST_VM)
