"""How command lines are run in a Windows guest: by OpenSSH, or by WinRM (see winrm.WinrmShell)."""

import subprocess
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, MachineLostError
from postroj.streams import Streams
from postroj.vm.ssh import Connection

_MORE_THAN_A_BYTE = " & if errorlevel 256 (exit 255) else if not errorlevel 0 exit 255"
"""An exit status has 8 bits on its way by ssh: without it one of 256 would be a success."""


class Shell(Protocol):
    """Runs command lines of cmd.exe."""

    has_terminal: bool
    """Whether a command can have a terminal."""

    def run(self, line: str, streams: Streams, *, deadline: Deadline, source: Iterable[bytes] = ()) -> int:
        """Run a command line, and return its exit status; `source` is its standard input, if streams have none.

        Raises DeadlineError, and it is ended then; MachineLostError, GuestSetupError.
        """
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class SshShell:
    """Command lines that are run by OpenSSH, whose shell is cmd.exe by default."""

    has_terminal = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, line: str, streams: Streams, *, deadline: Deadline, source: Iterable[bytes] = ()) -> int:
        """Run a command line; see Shell. Its process ends with the connection: OpenSSH kills it in the guest."""
        terminal = bool(streams.terminal)
        fds = (0, 1, 2) if terminal else (streams.stdin, streams.stdout, streams.stderr)
        stdin, stdout, stderr = (subprocess.DEVNULL if fd is None else fd for fd in fds)
        is_fed = source != () and fds[0] is None
        asked = process.start(
            self._connection.argv_of_line(line + _MORE_THAN_A_BYTE, terminal=terminal),
            stdin=subprocess.PIPE if is_fed else stdin, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        try:
            if asked.stdin is not None:
                with suppress(BrokenPipeError), asked.stdin as inlet:  # its status tells why it ended
                    for piece in source:
                        inlet.write(piece)
            status = asked.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            raise DeadlineError(f"the command did not end within {deadline.seconds:g} s") from None
        finally:
            process.stop(asked)
        if self._connection.is_lost(status):
            raise MachineLostError("the connection to the VM has ended", why=self._connection.said())
        if status < 0:
            raise GuestSetupError(f"ssh was killed by signal {-status}")
        return status

    def relay(self, host: str, port: int) -> "tuple[int, subprocess.Popen[bytes]]":
        """Open a connection from the guest, and return its descriptor, and the process that passes it on."""
        import socket

        own, theirs = socket.socketpair()
        with theirs:
            words = self._connection.argv_of_relay(host, port)
            asked = process.start(words, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
        return own.detach(), asked

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
