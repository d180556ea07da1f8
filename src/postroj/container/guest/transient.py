"""Commands in the guest, each a transient service of its systemd: org.freedesktop.systemd1(5), StartTransientUnit."""

import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from postroj.container.guest.user import cannot_be
from postroj.deadline import Deadline
from postroj.errors import GuestSetupError, MachineLostError, RefusedError
from postroj.streams import Streams
from postroj.systemd.bus import PROPERTIES, SERVICE, UNIT, Bus, Signals, path_of
from postroj.systemd.command import IN_DIRECTORY, late, literal

if TYPE_CHECKING:
    from postroj.contract import Process, Watcher

# The guest's own shell finds the command and says 126 and 127 as shells and Docker do; systemd would say 203 for
# both, which a command may say as well. The script is fixed, the command is its arguments.
_SCRIPT = f'{IN_DIRECTORY}exec "$@"\n'

_SETUP_PARTS = {208: "its standard streams", 209: "its standard streams", 216: "its group"}
"""What systemd could not set up, of what is asked of it here: systemd.exec(5), Process Exit Codes."""
_NO_USER = 217

_OVER = ("inactive", "failed")
_CLD_EXITED = 1
_STOP_SECONDS = 5
_LOOK_SECONDS = 5.0
_numbers = itertools.count(1)
_OWN = r"postroj-[0-9]+-[0-9]+\.service"


class Watch:
    """Who looks at the processes of a command. Not a NamedTuple: names in quotes, as here, cost that a millisecond."""

    def __init__(self, watcher: "Watcher", look: "Callable[[str, int], Sequence[Process]]") -> None:
        self.watcher = watcher
        self.look = look
        """Returns the processes of a unit, by its name and the guest's PID of its main process."""


def run(
    bus: Bus,
    argv: Sequence[str],
    streams: Streams,
    *,
    deadline: Deadline,
    env: Mapping[str, str] | None = None,
    workdir: str = "/",
    user: str = "root",
    watch: Watch | None = None,
) -> int:
    """Run a command to its end and return its exit status, 128 and the signal's number where one killed it.

    What it leaves running is killed.

    Raises DeadlineError (and has the command killed), MachineLostError, GuestSetupError.
    """
    with started(
        bus, argv, streams, deadline=deadline, env=env, workdir=workdir, user=user, remains=watch is not None
    ) as command:
        if watch:
            command.watch(watch, deadline)
        return command.wait(deadline)


class Command:
    """A command that was started; see contract.Command."""

    def __init__(self, bus: Bus, unit: str, argv: Sequence[str], changes: Signals) -> None:
        self._bus = bus
        self._unit = unit
        self._path = path_of(unit)
        self._argv = argv
        self._changes = changes
        self._status: int | None = None

    def wait(self, deadline: Deadline) -> int:
        """Return its exit status, once it has ended. Raises DeadlineError, and it goes on then; MachineLostError."""
        if self._status is None:
            while not self._is_over():
                self._wait(deadline)
            status = int(self._bus.property(self._path, SERVICE, "ExecMainStatus"))
            exited = self._bus.property(self._path, SERVICE, "ExecMainCode") == _CLD_EXITED
            self._bus.tell("UnrefUnit", "s", self._unit)
            self._status = status if exited else 128 + status
        return self._status

    def send_signal(self, signum: int) -> None:
        """Send a signal to all its processes, if it has not ended."""
        if self._status is None:
            with suppress(RefusedError):  # it may have ended in the meantime
                self._bus.manager("KillUnit", "ssi", self._unit, "all", int(signum))

    def watch(self, watch: Watch, deadline: Deadline) -> None:
        """Return when it has ended, and is being stopped."""
        main = self._bus.property(self._path, SERVICE, "ExecMainPID")
        while not self._is_over():
            if self._bus.property(self._path, UNIT, "SubState") == "exited":
                watch.watcher.ended(watch.look(self._unit, main))
                self._bus.manager("StopUnit", "ss", self._unit, "fail")
                return
            if self._bus.wait(self._changes, deadline.sooner(_LOOK_SECONDS)) is None:
                if deadline.expired():
                    watch.watcher.expired(watch.look(self._unit, main))
                    raise late(self._argv, deadline)
                watch.watcher.running(watch.look(self._unit, main))
            self._changes.clear()

    def discard(self) -> None:
        """Kill what is left of it."""
        if self._status is None:
            with suppress(RefusedError, MachineLostError):  # it may have ended in the meantime
                self._bus.manager("KillUnit", "ssi", self._unit, "all", int(signal.SIGKILL))
                self._bus.manager("UnrefUnit", "s", self._unit)  # or it would stay, as a unit that has failed

    def check_start(self, jobs: Signals, job: str, user: str, deadline: Deadline) -> None:
        """Return when it has been executed. Raises GuestSetupError if it cannot be as asked for, and DeadlineError."""
        while message := self._bus.wait(jobs, deadline):
            _, path, _, result = message.body
            if path != job:
                continue
            if result != "done":
                # A command that fails at once may be seen to end before it is seen to begin; its job fails as well.
                status = self._bus.property(self._path, SERVICE, "ExecMainStatus")
                if status == _NO_USER:
                    raise cannot_be(user, self._argv[0])
                if part := _SETUP_PARTS.get(status):
                    what = f"the guest could not set up {part} for `{self._argv[0]}`"
                    raise GuestSetupError(what, why=f"user {user!r}")
            return
        raise late(self._argv, deadline)

    def _is_over(self) -> bool:
        return self._bus.property(self._path, UNIT, "ActiveState") in _OVER

    def _wait(self, deadline: Deadline) -> None:
        if self._bus.wait(self._changes, deadline) is None:
            raise late(self._argv, deadline)
        self._changes.clear()


@contextmanager
def started(
    bus: Bus,
    argv: Sequence[str],
    streams: Streams,
    *,
    deadline: Deadline,
    env: Mapping[str, str] | None = None,
    workdir: str = "/",
    user: str = "root",
    remains: bool = False,
) -> Iterator[Command]:
    """Start a command, which has been executed inside the block, and is killed at its end.

    If it `remains`, what it leaves running with success is not killed as it ends. Raises as `run` does.
    """
    unit = f"postroj-{os.getpid()}-{next(_numbers)}.service"  # of several processes: see Attached
    path = path_of(unit)
    environment = {"LANG": "C.UTF-8", **(env or {})}
    properties: list[tuple[str, tuple[str, Any]]] = [
        ("Description", ("s", "A command of postroj's")),
        # exec (systemd 240): the job of its start ends when the command has been executed, or could not be.
        ("Type", ("s", "exec")),
        ("ExecStart", ("a(sasb)", [("/bin/sh", literal("sh", "-c", _SCRIPT, "sh", workdir, *argv), False)])),
        ("User", ("s", user)),
        ("Environment", ("as", [f"{name}={value}" for name, value in environment.items()])),
        ("IgnoreSIGPIPE", ("b", False)),
        ("TimeoutStopUSec", ("t", _STOP_SECONDS * 1_000_000)),
        # Kept until its status has been read, gone right after.
        ("AddRef", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
        # With success it stays, until what it has left is looked at.
        ("RemainAfterExit", ("b", remains)),
        *_stream_properties(streams),
    ]
    with bus.signals(path, PROPERTIES, "PropertiesChanged", first=UNIT) as changes:
        command = Command(bus, unit, argv, changes)
        with bus.signals("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved") as jobs:
            try:
                (job,) = bus.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", properties, [])
            except RefusedError as error:
                raise _refused(argv, error) from error
            try:
                command.check_start(jobs, job, user, deadline)
            except BaseException as error:
                if not isinstance(error, MachineLostError):
                    command.discard()
                raise
        try:
            yield command
        except MachineLostError:  # it would not answer now either
            raise
        except BaseException:
            command.discard()
            raise
        command.discard()


def is_own(unit: str) -> bool:
    """Return whether a unit is that of a command: if it is killed, its state is failed for a moment."""
    return re.fullmatch(_OWN, unit) is not None


def kill_all(bus: Bus) -> None:
    """Kill the commands that this process has started, by a connection that is not theirs."""
    with suppress(RefusedError, MachineLostError):  # they may have ended in the meantime
        (units,) = bus.manager("ListUnitsByPatterns", "asas", [], [f"postroj-{os.getpid()}-*.service"])
        for name, *_ in units:
            bus.manager("KillUnit", "ssi", name, "all", int(signal.SIGKILL))


def _stream_properties(streams: Streams) -> list[tuple[str, tuple[str, Any]]]:
    if streams.terminal:
        # Named, and not handed over: only so it becomes the controlling terminal, with job control.
        return [
            ("TTYPath", ("s", streams.terminal)),
            ("StandardInput", ("s", "tty")),
            ("StandardOutput", ("s", "tty")),
            ("StandardError", ("s", "tty")),
        ]
    properties: list[tuple[str, tuple[str, Any]]] = []
    for name, fd in (("Input", streams.stdin), ("Output", streams.stdout), ("Error", streams.stderr)):
        if fd is None:
            properties.append((f"Standard{name}", ("s", "null")))
        else:
            properties.append((f"Standard{name}FileDescriptor", ("h", fd)))
    return properties


def _refused(argv: Sequence[str], error: RefusedError) -> GuestSetupError:
    return GuestSetupError(
        f"the guest's systemd refused to start `{argv[0]}`",
        why=error.why,
        hint="commands need systemd 240 or newer in the guest, or the 239 of RHEL 8",
    )
