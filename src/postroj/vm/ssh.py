"""One connection to a guest by OpenSSH, which all that is asked of it shares: ssh_config(5), ControlMaster."""

import os
import select
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import HostError, MachineLostError
from postroj.privileges import is_linux

_UP = "connected"
_CONNECT_SECONDS = 60
_ALIVE = ("ServerAliveInterval=5", "ServerAliveCountMax=24")
"""A guest that is silent for two minutes is lost: sshd answers these while its system works at all."""
_STATUS_OF_SSH = 255
_END_SECONDS = 2.0
"""For ssh to end, once it has let go of its commands; a command's own status 255 waits as long."""
_LONGEST_PATH = (108 if is_linux() else 104) - len("/control.0123456789abcdef") - 1
"""sun_path of unix(7), and of macOS' unix(4), in bytes: ssh adds sixteen characters while it makes a socket."""


class Login(NamedTuple):
    """How a guest is reached."""

    address: str
    port: int
    key: str
    """The path of a private key."""
    known_hosts: str
    """The path of a file with the guest's own key, under the name that is HOST."""
    directory: str
    """Where sockets are made; what is there is removed."""
    user: str = "root"


HOST = "guest"


class Connection:
    """A connection, until `close`; it ends with postroj. Raises MachineLostError."""

    def __init__(self, login: Login, *, forward: Sequence[str] = (), deadline: Deadline) -> None:
        """Connect. Each socket of the guest in `forward` can be connected to at `path_of` it."""
        self._directory = login.directory
        if len(os.fsencode(self._directory)) > _LONGEST_PATH:
            raise HostError(
                f"the path {self._directory} is too long for sockets", hint="set POSTROJ_STATE_DIR to a shorter one"
            )
        self._control = os.path.join(self._directory, "control")
        self._forwarded = {path: os.path.join(self._directory, str(n)) for n, path in enumerate(forward)}
        options = [
            *("BatchMode=yes", "IdentitiesOnly=yes", f"IdentityFile={_quoted(login.key)}", "LogLevel=ERROR"),
            *("StrictHostKeyChecking=yes", f"UserKnownHostsFile={_quoted(login.known_hosts)}", f"HostKeyAlias={HOST}"),
            *(f"HostName={login.address}", f"Port={login.port}", f"User={login.user}"),
            f"ConnectTimeout={_CONNECT_SECONDS}",
            *("ControlMaster=yes", f"ControlPath={_quoted(self._control)}", "ExitOnForwardFailure=yes", *_ALIVE),
            *("PermitLocalCommand=yes", f"LocalCommand=echo {_UP}", "ClearAllForwardings=no"),
        ]
        # By relative paths: not all versions of OpenSSH read a path with `%` or `:` in the same way.
        forwards = [f"-L./{n}:{path}" for n, path in enumerate(forward)]
        shutil.rmtree(self._directory, ignore_errors=True)  # what a killed postroj has left
        os.mkdir(self._directory, 0o700)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = process.start(
                process.tied(["ssh", "-F", "none", "-N", *_words(options), *forwards, HOST]),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, cwd=self._directory,
            )  # fmt: skip
            self._wait(deadline.sooner(_CONNECT_SECONDS))
        except BaseException:
            self.close()
            raise

    def _wait(self, deadline: Deadline) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            ready, _, _ = select.select([said], [], [], deadline.remaining())
            if not ready or _UP.encode() not in os.read(said.fileno(), 100):
                raise MachineLostError("the VM cannot be reached by ssh", why=self.said())

    def path_of(self, path: str) -> str:
        """Return where a socket of the guest's can be connected to."""
        return self._forwarded[path]

    def argv(self, words: Sequence[str], *, terminal: bool = False) -> list[str]:
        """Return the command line that runs words in the guest, by way of this connection and no other."""
        options = [f"ControlPath={_quoted(self._control)}", "ControlMaster=no", "ProxyCommand=false", "LogLevel=ERROR"]
        options += ["EscapeChar=none"]
        return ["ssh", "-F", "none", *_words(options), "-tt" if terminal else "-T", HOST, "--", shlex.join(words)]

    def argv_of_line(self, line: str, *, terminal: bool = False) -> list[str]:
        """Return the command line that has the guest's shell run a line as it is."""
        return [*self.argv([], terminal=terminal)[:-1], line]

    def argv_of_relay(self, host: str, port: int) -> list[str]:
        """Return the command line that connects from the guest to an address, and relays its standard streams to it."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return [*self.argv([])[:-3], "-W", address, HOST]

    def is_lost(self, status: int) -> bool:
        """Return whether the end of a command with this status is that of the connection."""
        if status != _STATUS_OF_SSH:
            return False
        with suppress(subprocess.TimeoutExpired):  # commands learn of its end before it is over
            self.wait_end(Deadline(_END_SECONDS))
        return self.has_ended()

    def has_ended(self) -> bool:
        """Return whether the connection has ended."""
        return self._process.poll() is not None

    def wait_end(self, deadline: Deadline) -> None:
        """Return when the guest has ended the connection. Raises subprocess.TimeoutExpired."""
        self._process.wait(deadline.remaining())

    def said(self) -> str:
        """Return what ssh has said of the connection."""
        return os.pread(self._log.fileno(), 4000, 0).decode(errors="replace").strip()

    def close(self) -> None:
        """Hang up."""
        if hasattr(self, "_process"):
            process.stop(self._process)
        with suppress(OSError):
            self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)


class SharedConnection(Connection):
    """The connection of another process, which commands go by as well; its end is not ours to bring about."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._control = os.path.join(directory, "control")

    def path_of(self, path: str) -> str:
        """Return where a socket of the guest's can be connected to: the owner forwards one."""
        return os.path.join(self._directory, "0")

    def has_ended(self) -> bool:
        """Return whether the connection has ended: its owner's ssh removes the socket then."""
        return not os.path.exists(self._control)

    def wait_end(self, deadline: Deadline) -> None:
        """Return at once; the owner waits."""

    def said(self) -> str:
        """Return nothing: ssh has told its owner."""
        return ""

    def close(self) -> None:
        """Do nothing."""


def _quoted(path: str) -> str:
    """Return a path as the value of an option: ssh_config(5). Raises HostError if it cannot be one."""
    if any(character in path for character in '"\\\n') or "${" in path:
        raise HostError(f"ssh cannot use the path {path!r}", hint="set POSTROJ_STATE_DIR to another one")
    return '"' + path.replace("%", "%%") + '"'


def _words(options: Sequence[str]) -> list[str]:
    return [f"-o{option}" for option in options]
