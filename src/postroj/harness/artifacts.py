"""What is kept of a machine on the host, to look at when it is gone: --artifacts. docs/lifecycle.md lists the files."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from postroj.deadline import NEVER, Deadline
from postroj.errors import MachineLostError, PostrojError, UsageError
from postroj.events import Step, Warn, emit

if TYPE_CHECKING:
    from postroj.harness.job import Job

_SECONDS = 20.0
"""How long one of them may take."""
_MOST, _MOST_OF_ALL = 64 << 20, 1 << 30
"""The bytes of one of them, and of all."""
_ALL_SECONDS = 300.0
"""How long all of them may take after the last phase."""
_UNITS, _CORE_DUMPS = 200, 20
"""How many units and core dumps are kept."""
_CHUNK = 1 << 20
_TOLD = 5
"""How many of those that are lacking are told."""
_JOURNAL = ("journalctl", "--no-pager", "--quiet", "--output=short-precise", "--lines=200000")
_DUMPED_TO = "/var/lib/systemd/coredump"
_PLAIN = re.compile(r"[^A-Za-z0-9:_.@-]")
_OF_TOP = (
    "report.txt", "report.json", "journal.txt", "units.txt", "sockets.txt", "processes.txt", "changes.txt", "files.txt",
    "verification.txt",
)  # fmt: skip
_BELOW = {
    "journal": re.compile(r"[0-9]{2,}-[a-z-]+(-[0-9]+)?\.txt"),
    "units": re.compile(r".+\.[a-z]+(\.status|\.properties)?\.txt"),
    "package-manager": re.compile(r"[a-z0-9.]+\.log|history"),
    "coredumps": re.compile(r"core\..+"),
}
"""What is kept in directories of its own."""


def check(directory: str) -> None:
    """Raise UsageError if there can be no such directory, as something else is in its place, or above it."""
    path = os.path.abspath(directory)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise UsageError(f"--artifacts={directory} names no directory: {path} is none")


def prepare(directory: str) -> str:
    """Return the absolute path of the directory, which is made if it is not there. Raises UsageError."""
    check(directory)
    path = os.path.abspath(directory)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--artifacts={directory} cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"the directory of --artifacts={directory} cannot be written to")
    return path


def clear(directory: str) -> None:
    """Remove what an earlier run has kept in a directory, and its `try-N` in it; files of others stay.

    No link is followed. Raises UsageError.
    """
    try:
        _clear(directory)
    except OSError as error:
        what = f"--artifacts={directory} has files of an earlier run that cannot be removed: {error.strerror}"
        raise UsageError(what) from error


def _clear(directory: str) -> None:
    for entry in _entries(directory):
        if not entry.is_dir(follow_symlinks=False):
            if entry.name in _OF_TOP:
                os.unlink(entry.path)
        elif pattern := _BELOW.get(entry.name):
            for one in _entries(entry.path):
                if pattern.fullmatch(one.name) and not one.is_dir(follow_symlinks=False):
                    os.unlink(one.path)
            _remove_empty(entry.path)
        elif re.fullmatch("try-[0-9]+", entry.name):
            _clear(entry.path)
            _remove_empty(entry.path)


def _entries(directory: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(directory) as found:
            return list(found)
    except FileNotFoundError:
        return []


def _remove_empty(directory: str) -> None:
    with suppress(OSError):  # files of others are in it
        os.rmdir(directory)


class Artifacts:
    """Collects them; what cannot be had is told, and left out."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._phases = 0
        self._left = _MOST_OF_ALL
        self._until = NEVER
        self._failed: list[str] = []

    def end_phase(self, job: "Job") -> None:
        """Keep the journal of the phase that ends: a later one may set the machine back."""
        self._phases += 1
        if not job.machine.capabilities.systemd:
            return
        name = f"journal/{self._phases:02}-{job.phase}.txt"
        is_first = self._phases == 1
        with suppress(MachineLostError):  # `collect` tells
            self._command(job, name, [*_JOURNAL, *([] if is_first else [job.since])])
        with suppress(OSError), open(self._path(name), "rb") as part:
            with self._file("journal.txt", "wb" if is_first else "ab") as kept:
                while chunk := part.read(_CHUNK):
                    kept.write(chunk)

    def collect(self, job: "Job") -> None:
        """Keep all the rest."""
        emit(Step(job.machine.name, f"collecting artifacts in {self._directory}"))
        self._until = Deadline(_ALL_SECONDS)
        try:
            self._collect(job)
        except MachineLostError:
            self._failed.append("all else, as the machine is gone")
        except (PostrojError, OSError) as error:
            self._failed.append(f"all else: {_reason(error)}")
        if self._failed:
            more = f"; and {len(self._failed) - _TOLD} more" if len(self._failed) > _TOLD else ""
            emit(Warn(f"the artifacts lack {'; '.join(self._failed[:_TOLD])}{more}"))

    def _collect(self, job: "Job") -> None:
        units = list(dict.fromkeys([*job.judged, *job.shipped, *job.machine.failed_units()]))
        is_systemd = job.machine.capabilities.systemd
        for unit in self._first(units, _UNITS, "units"):
            plain = _PLAIN.sub("_", unit)
            if not is_systemd:
                self._lines(f"units/{plain}.status.txt", job.machine.system.shown(unit).splitlines())
                continue
            self._command(job, f"units/{plain}.status.txt", ["systemctl", "status", "--no-pager", "--full", "--", unit])
            self._command(job, f"units/{plain}.txt", ["systemctl", "cat", "--no-pager", "--", unit])
            self._command(job, f"units/{plain}.properties.txt", ["systemctl", "show", "--no-pager", "--", unit])
        if is_systemd:
            self._command(job, "units.txt", ["systemctl", "list-units", "--all", "--no-pager", "--full", "--plain"])
        self._lines("sockets.txt", [f"{one.protocol} {one.address}:{one.port}" for one in job.machine.listeners()])
        processes = [f"{one.pid} {one.uid} {one.unit or '-'} {one.name}" for one in job.machine.processes()]
        self._lines("processes.txt", ["PID UID UNIT NAME", *processes])
        changes = job.machine.changes().files if job.machine.capabilities.changes else {}
        told = [
            f"{one.what} {one.kind} {one.mode:04o} {one.uid}:{one.gid} {one.size} {path}"
            for path, one in changes.items()
        ]
        self._lines("changes.txt", told)
        if job.family and job.packages and job.family.lists_files:
            self._command(job, "files.txt", job.family.files(job.names))
            self._command(job, "verification.txt", job.family.integrity(job.names))
            for path in job.family.logs:
                if path in changes:
                    self._pull(job, f"package-manager/{os.path.basename(path)}", path)
        dumps = [path for path, one in changes.items() if path.startswith(f"{_DUMPED_TO}/") and one.kind == "file"]
        for path in self._first(dumps, _CORE_DUMPS, "core dumps"):
            self._pull(job, f"coredumps/{_PLAIN.sub('_', os.path.basename(path))}", path)

    def _first(self, found: Sequence[str], most: int, what: str) -> Sequence[str]:
        """Return the first of what was found, and have it told if there are more."""
        if len(found) > most:
            self._failed.append(f"{len(found) - most} more {what}")
        return found[:most]

    def _command(self, job: "Job", name: str, argv: Sequence[str]) -> None:
        """Keep what a command prints, whatever its status."""
        from postroj.capture import sink_into

        until = self._until.sooner(_SECONDS)
        with self._file(name) as kept:
            with (
                sink_into(kept.write) as sink,
                job.machine.popen(argv, stdout=sink, stderr=sink, deadline=until) as running,
            ):
                running.wait(until)
            kept.check()

    def _pull(self, job: "Job", name: str, path: str) -> None:
        with self._file(name) as kept:
            if not job.machine.pull(path, kept.file, most=kept.left):
                raise _TooLongError

    def _lines(self, name: str, lines: Sequence[str]) -> None:
        with self._file(name) as kept:
            for line in lines:
                # A name of a guest's file may be any bytes, and one with a line break would look like two.
                kept.write(f"{line}\n".encode() if line.isprintable() else f"{line!a}\n".encode())

    @contextmanager
    def _file(self, name: str, mode: str = "wb") -> "Iterator[_Kept]":
        """Open one of them inside the block; what keeps it from being written is told, and nothing empty is left."""
        path = self._path(name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, mode) as file:
                before = os.fstat(file.fileno()).st_size
                yield _Kept(file, min(_MOST, self._left))  # type: ignore[arg-type]
            self._left -= os.path.getsize(path) - before
        except _TooLongError:
            self._left -= min(_MOST, self._left)
            most, what = (_MOST, "which has") if self._left else (_MOST_OF_ALL, "as all of them have")
            self._failed.append(f"the end of {name}, {what} more than {most >> 20} MiB")
        except (PostrojError, OSError) as error:
            with suppress(OSError):
                if not os.path.getsize(path):
                    os.unlink(path)
            if isinstance(error, MachineLostError):
                raise
            self._failed.append(f"{name}: {_reason(error)}")

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def _reason(error: PostrojError | OSError) -> str:
    return error.what if isinstance(error, PostrojError) else error.strerror or str(error)


class _TooLongError(OSError):
    """There is more than is kept of one."""


class _Kept:
    """What comes from the guest, as far as it is kept: its programs never write to the host's disk by themselves."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file = file
        self.left = most
        self._error: OSError | None = None

    def write(self, chunk: bytes) -> None:
        """Write it; may be called by another thread. Raises OSError, and nothing more is to come then."""
        try:
            self.file.write(chunk[: self.left])
            if len(chunk) > self.left:
                raise _TooLongError
            self.left -= len(chunk)
        except OSError as error:
            self._error = error
            raise

    def check(self) -> None:
        """Raise OSError unless all of it was written."""
        if self._error:
            raise self._error
