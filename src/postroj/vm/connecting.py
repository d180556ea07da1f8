"""Connections that are opened in a guest, and passed on by ssh."""

import errno
import os
import select
import socket
import subprocess
from collections.abc import Sequence

from postroj import process
from postroj.errors import MissingToolError
from postroj.vm.ssh import Connection

# bash opens them by itself. The script is fixed; protocol, host and port are its arguments. An empty line says that it
# begins, and another one that it is connected. As one side closes, it closes the other one. What bash runs in the
# background would have /dev/null for standard input. `wait -n` misses what has ended before it: each side tells its PID
# and then its end through a pipe, in three lines of which all numbers are killed.
_CONNECT = """
echo
exec 3<>"/dev/$1/$2/$3" 4<&0 5>&1 || exit 1
echo
{ read -r one; read -r two; read -r three; } < <(
    { cat <&4 >&3 & echo $!; wait; echo; } &
    { cat <&3 >&5 & echo $!; wait; echo; } &
)
kill $one $two $three 2>/dev/null
"""
_NO_SOCAT = "socat is missing in the guest"
_CONNECT_PATH = f"""
echo
command -v socat >/dev/null || {{ echo "{_NO_SOCAT}"; exit 1; }} >&2
echo
exec socat - "UNIX-CONNECT:$1"
"""
_BEGIN_SECONDS = 60.0
"""For ssh and a shell of the guest, which no peer has to answer for: they take seconds where it is emulated."""
_ERRORS = {
    os.strerror(code): code
    for code in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.ECONNRESET)
}

Dialled = tuple[int, subprocess.Popen[bytes]]
"""A descriptor of the connection, and the process that passes it on."""


def connect_to(connection: Connection, host: str, port: int, timeout: float, *, udp: bool = False) -> Dialled:
    """Open a connection, as the guest resolves the host. Raises OSError as connect(2) does.

    `timeout` is in seconds, from when the guest begins to connect.
    """
    return _dialled(connection, ["bash", "-c", _CONNECT, "bash", "udp" if udp else "tcp", host, str(port)], timeout)


def connect_path(connection: Connection, path: str, timeout: float) -> Dialled:
    """Connect to a UNIX socket of the guest. Raises OSError, and MissingToolError if the guest has no socat."""
    return _dialled(connection, ["sh", "-c", _CONNECT_PATH, "sh", path], timeout)


def _dialled(connection: Connection, words: Sequence[str], timeout: float) -> Dialled:
    own, theirs = socket.socketpair()
    with theirs:
        asked = process.start(
            connection.argv(words), stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE
        )
    try:
        for seconds in (_BEGIN_SECONDS, timeout):
            if not select.select([own], [], [], seconds)[0]:
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            if own.recv(1) != b"\n":
                assert asked.stderr is not None
                said = asked.stderr.read(2000).decode(errors="replace").strip().splitlines()
                if said == [_NO_SOCAT]:
                    raise MissingToolError(f"sockets of the guest cannot be connected to by their paths: {_NO_SOCAT}")
                raise _error(said)
    except BaseException:
        own.close()
        process.stop(asked)
        if asked.stderr:
            asked.stderr.close()
        raise
    return own.detach(), asked


def _error(said: Sequence[str]) -> OSError:
    for line in said:
        reason = line.rpartition(": ")[2]
        if reason in _ERRORS:
            return OSError(_ERRORS[reason], reason)
    return OSError(said[0].partition(": ")[2] or said[0] if said else "the connection was refused")
