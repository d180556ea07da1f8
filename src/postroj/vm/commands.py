"""Commands in a guest by ssh, each a transient service of its systemd, as in a container: systemd-run(1)."""

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import GuestSetupError, MachineLostError, RefusedError
from postroj.streams import Streams
from postroj.systemd.bus import PROPERTIES, SERVICE, UNIT, Bus, Signals, path_of
from postroj.systemd.command import IN_DIRECTORY, late, literal
from postroj.vm.ssh import Connection

if TYPE_CHECKING:
    from postroj.contract import Process, Watcher

# The guest's own shell finds the command, and says of what has ended it as shells do. The script is fixed, the command
# is its arguments.
_SCRIPT = f'{IN_DIRECTORY}"$@"\nexit $?\n'
_ASK_SECONDS = 300.0
_END_SECONDS = 10.0
_LOOK_SECONDS = 5.0
_STOP_SECONDS = 5
TERMINAL = "ssh"
"""What `Streams.terminal` is if the streams are those of a terminal of the user's: ssh has its like in the guest."""


class Command:
    """A command that was started; see contract.Command."""

    def __init__(
        self, connection: Connection, bus: Bus, unit: str, argv: Sequence[str], streams: Streams, changes: Signals
    ) -> None:
        self._connection = connection
        self._bus = bus
        self._unit = unit
        self._argv = argv
        self.process: subprocess.Popen[bytes]
        self._streams = streams
        self._changes = changes

    def start(self, options: Sequence[str], workdir: str) -> None:
        """Start it."""
        terminal = bool(self._streams.terminal)
        words = [
            *("systemd-run", "--quiet", "--collect", "--wait", "--service-type=exec", f"--unit={self._unit}"),
            # By default it would be the command line, and systemd 252 does not read its own file of a description
            # with several lines: after a daemon-reload all settings below it were lost.
            f"--description={self._unit}",
            *("--pty" if terminal else "--pipe", "--property=IgnoreSIGPIPE=no", *options, "--"),
            *literal("/bin/sh", "-c", _SCRIPT, "sh", workdir, *self._argv),
        ]
        streams = (self._streams.stdin, self._streams.stdout, self._streams.stderr)
        given = [subprocess.DEVNULL if fd is None else fd for fd in streams]
        self.process = process.start(
            self._connection.argv(words, terminal=terminal), stdin=given[0], stdout=given[1], stderr=given[2]
        )

    def watch(self, watcher: "Watcher", look: "Callable[[str, int], Sequence[Process]]", deadline: Deadline) -> None:
        """Have its processes looked at until it has ended, or its time is up; what it has left is being stopped then.

        `look` returns the processes of a unit, by its name and the PID of its main process.
        """
        path, name = path_of(self._unit), self._unit
        has_begun = False
        wait = _LOOK_SECONDS
        while self.process.poll() is None:
            came = self._bus.wait(self._changes, deadline.sooner(wait)) is not None
            self._changes.clear()
            has_begun = has_begun or came
            if not has_begun:
                if deadline.expired():
                    return
                continue
            try:
                state = self._bus.property(path, UNIT, "SubState")
                main = self._bus.property(path, SERVICE, "ExecMainPID")
                if state == "exited":
                    watcher.ended(look(name, main))
                    self._bus.manager("StopUnit", "ss", name, "fail")
                    return
            except RefusedError:  # it is gone: it has failed
                return
            if state in ("dead", "failed"):
                return
            if deadline.expired():
                watcher.expired(look(name, main))
                return
            if not came:
                began = time.monotonic()
                watcher.running(look(name, main))
                wait = max(_LOOK_SECONDS, 3 * (time.monotonic() - began))  # a slow guest has to work as well

    def wait(self, deadline: Deadline) -> int:
        """Return its exit status, once it has ended. Raises DeadlineError, and it goes on then; MachineLostError."""
        try:
            status = self.process.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            raise late(self._argv, deadline) from None
        if self._connection.is_lost(status):
            raise MachineLostError("the connection to the VM has ended", why=self._connection.said())
        if status < 0:
            raise GuestSetupError(f"ssh was killed by signal {-status}")
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal to all its processes, if it has not ended."""
        if self.process.poll() is None:
            with suppress(RefusedError):  # it may have ended in the meantime
                self._bus.manager("KillUnit", "ssi", self._unit, "all", int(signum))

    def discard(self) -> None:
        """Kill what is left of it."""
        if self.process.poll() is None:
            with suppress(MachineLostError):  # told, and not asked: a VM that is gone would be waited for
                self._bus.tell("KillUnit", "ssi", self._unit, "all", int(signal.SIGKILL))
            try:
                self.process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.stop(self.process)


@contextmanager
def started(
    connection: Connection,
    bus: Bus,
    argv: Sequence[str],
    streams: Streams,
    *,
    env: Mapping[str, str] | None = None,
    workdir: str = "/",
    user: str = "root",
    remains: bool = False,
) -> Iterator[Command]:
    """Start a command, which is killed at the end of the block.

    With `remains` what it leaves running is not killed as it ends, so that it can be looked at: see Command.watch.
    Raises GuestSetupError if the guest has no such user.
    """
    if user != "root":
        _check_user(connection, user, argv[0])
    unit = f"postroj-{os.urandom(6).hex()}.service"
    variables = {"LANG": "C.UTF-8", **(env or {})}
    options = [f"--uid={user}", *(f"--setenv={name}={value}" for name, value in variables.items())]
    if remains:
        options += ["--property=RemainAfterExit=yes", f"--property=TimeoutStopSec={_STOP_SECONDS}"]
    with ExitStack() as stack:
        changes: Signals = deque()
        if remains:  # from before it is there
            changes = stack.enter_context(bus.signals(path_of(unit), PROPERTIES, "PropertiesChanged", first=UNIT))
        command = Command(connection, bus, unit, argv, streams, changes)
        command.start(options, workdir)
        try:
            yield command
        finally:
            command.discard()


def _check_user(connection: Connection, user: str, program: str) -> None:
    """Raise GuestSetupError unless the guest has a user: systemd-run would end with 1, as the command may as well."""
    words = connection.argv(["id", "-u", "--", user])
    quiet = subprocess.DEVNULL
    asked = process.start(words, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        status = asked.wait(_ASK_SECONDS)
    except subprocess.TimeoutExpired:
        raise MachineLostError(f"the guest did not answer within {_ASK_SECONDS:g} s") from None
    finally:
        process.stop(asked)
    if connection.is_lost(status):
        raise MachineLostError("the connection to the VM has ended", why=connection.said())
    if status:
        what = f"the guest cannot run `{program}` as the user {user!r}"
        raise GuestSetupError(what, why="it has no such user", hint="name a user of its /etc/passwd, by name or UID")
