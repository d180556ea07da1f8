"""Commands in a guest by ssh, each a transient service of its systemd, as in a container: systemd-run(1)."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, MachineLostError, RefusedError
from postroj.streams import Streams
from postroj.systemd.bus import Bus
from postroj.systemd.command import IN_DIRECTORY, literal
from postroj.vm.ssh import Connection

# The guest's own shell finds the command, and says of what has ended it as shells do. The script is fixed, the command
# is its arguments.
_SCRIPT = f'{IN_DIRECTORY}"$@"\nexit $?\n'
_END_SECONDS = 10.0
TERMINAL = "ssh"
"""What `Streams.terminal` is if the streams are those of a terminal of the user's."""


class Command:
    """A command that was started; see contract.Command."""

    def __init__(self, connection: Connection, bus: Bus, unit: str, argv: Sequence[str], streams: Streams) -> None:
        self._connection = connection
        self._bus = bus
        self._unit = unit
        self._argv = argv
        self.process: subprocess.Popen[bytes]
        self._streams = streams

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
        streams = (0, 1, 2) if terminal else (self._streams.stdin, self._streams.stdout, self._streams.stderr)
        given = [subprocess.DEVNULL if fd is None else fd for fd in streams]
        self.process = process.start(
            self._connection.argv(words, terminal=terminal), stdin=given[0], stdout=given[1], stderr=given[2]
        )

    def wait(self, deadline: Deadline) -> int:
        """Return its exit status, once it has ended. Raises DeadlineError, and it goes on then; MachineLostError."""
        try:
            status = self.process.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            what = f"`{shlex.join(self._argv)[:200]}` did not end within {deadline.seconds:g} s"
            raise DeadlineError(what, hint="see --timeout") from None
        if self._connection.is_lost(status):
            raise MachineLostError("the connection to the VM has ended", why=self._connection.said())
        if status < 0:
            raise GuestSetupError(f"ssh was killed by signal {-status}")
        return status

    def send_signal(self, signum: int) -> None:
        """Send a signal to all its processes, if it has not ended."""
        if self.process.poll() is None:
            with suppress(RefusedError):  # it may have ended in the meantime
                self._bus.manager("KillUnit", "ssi", f"{self._unit}.service", "all", int(signum))

    def discard(self) -> None:
        """Kill what is left of it."""
        if self.process.poll() is None:
            with suppress(MachineLostError):
                self.send_signal(signal.SIGKILL)
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
) -> Iterator[Command]:
    """Start a command, which is killed at the end of the block."""
    unit = f"postroj-{os.urandom(6).hex()}"
    variables = {"LANG": "C.UTF-8", **(env or {})}
    options = [f"--uid={user}", *(f"--setenv={name}={value}" for name, value in variables.items())]
    command = Command(connection, bus, unit, argv, streams)
    command.start(options, workdir)
    try:
        yield command
    finally:
        command.discard()
