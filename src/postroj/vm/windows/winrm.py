"""Commands in a Windows guest by WinRM, for boxes without OpenSSH. pywinrm, an extra, is imported on use.

Source: MS-WSMV, "Web Services Management Protocol Extensions". What the guest answers is hostile input: it is parsed by
pywinrm, which a wrong answer may break in many ways, and all of them become one error. Its size is not bounded: pywinrm
reads it whole.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Literal, Self

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, HostError, MachineLostError, MissingToolError
from postroj.events import Warn, emit
from postroj.family.windows import quoting
from postroj.streams import Streams

Sink = Callable[[Literal["stdout", "stderr"], bytes], None]
"""Takes what a command prints, as it comes."""

_UTF8 = 65001
_ANSWER_SECONDS = 30
"""How long the guest may take for an answer, beyond what it is asked to wait for."""
_WAIT_SECONDS = 20
"""How long the guest is asked to wait for output; then it is asked again."""
_SHORTEST_SECONDS = 1
_BITS = 0xFFFFFFFF
_TLS_PORT = 5986
_PIECE = 36 * 1024
_MOST_BYTES = 4 * 1024 * 1024


class Session:
    """A shell of a guest, as a context manager: its commands run in it, one after the other."""

    def __init__(
        self,
        endpoint: str,
        user: str,
        password: str,
        *,
        transport: Literal["ntlm", "basic", "ssl"] = "ntlm",
        verify: bool = True,
        deadline: Deadline,
    ) -> None:
        """`endpoint` is `http://127.0.0.1:5985/wsman`; `verify` is whether a certificate has to be valid.

        Raises MissingToolError if pywinrm is not installed.
        """
        try:
            from winrm.protocol import Protocol
        except ImportError as error:
            what = "pywinrm is not installed, which a Windows guest without OpenSSH needs"
            raise MissingToolError(what, hint="pip install 'postroj[winrm]'") from error
        self._endpoint = endpoint
        self._user = user
        self._deadline = deadline
        self._protocol = Protocol(
            endpoint,
            transport=transport,
            username=user,
            password=password,
            server_cert_validation="validate" if verify else "ignore",
            ca_trust_path=None,  # type: ignore[arg-type] # as its documentation has it; otherwise the environment tells
            proxy=None,
        )
        self._shell = ""

    def __enter__(self) -> Self:
        """Open the shell. Raises MachineLostError, HostError, DeadlineError."""
        with self._told():
            self._bound(self._deadline)
            self._shell = self._protocol.open_shell(codepage=_UTF8, noprofile=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, and with it whatever runs in it; a guest that is gone needs nothing closed."""
        with suppress(HostError), self._told():
            self._bound(Deadline(_ANSWER_SECONDS))
            self._protocol.close_shell(self._shell, close_session=True)

    def run(self, line: str, sink: Sink, *, deadline: Deadline, source: Iterable[bytes] = ()) -> int:
        """Run a command line of cmd.exe, and return its exit status, of 32 bits.

        `source` is its standard input, in pieces of some ten thousand bytes at most.

        Raises DeadlineError, and the command is ended then; MachineLostError; GuestSetupError if the guest refuses it.
        """
        with self._told():
            self._bound(deadline)
            command = self._protocol.run_command(self._shell, line, console_mode_stdin=False)
        try:
            self._feed(command, source, deadline)
            with self._told():
                self._end_input(command)
            status = None
            while status is None:
                if deadline.expired():
                    raise DeadlineError(f"the command did not end within {deadline.seconds:g} s")
                with self._told():
                    output, errors, status = self._receive(command, deadline)
                if output:
                    sink("stdout", output)
                if errors:
                    sink("stderr", errors)
            return status
        finally:
            self._end(command)

    def _receive(self, command: str, deadline: Deadline) -> tuple[bytes, bytes, int | None]:
        """Return what a command has printed since, and its exit status if it has ended."""
        from winrm.exceptions import WinRMOperationTimeoutError

        self._bound(deadline)
        try:
            output, errors, status, is_done = self._protocol.get_command_output_raw(self._shell, command)
        except WinRMOperationTimeoutError:  # it has printed nothing meanwhile
            return b"", b"", None
        return output, errors, status & _BITS if is_done else None

    def _feed(self, command: str, source: Iterable[bytes], deadline: Deadline) -> None:
        for piece in source:
            with self._told():
                self._bound(deadline)
                self._protocol.send_command_input(self._shell, command, piece)

    def _end_input(self, command: str) -> None:
        """Close its standard input. A command that has ended already has none: the guest refuses it then."""
        from winrm.exceptions import WSManFaultError

        with suppress(WSManFaultError):
            self._protocol.send_command_input(self._shell, command, b"", end=True)

    def _end(self, command: str) -> None:
        """End it with all that it has started, if it runs, and have the guest forget it."""
        with suppress(HostError), self._told():
            self._bound(Deadline(_ANSWER_SECONDS))
            self._protocol.cleanup_command(self._shell, command)

    def _bound(self, deadline: Deadline) -> None:
        """Have the next request wait no longer than until a deadline."""
        if deadline.expired():
            raise DeadlineError(f"no time is left of {deadline.seconds:g} s")
        left = deadline.remaining()
        wait = max(_SHORTEST_SECONDS, int(min(_WAIT_SECONDS, _WAIT_SECONDS if left is None else left)))
        self._protocol.operation_timeout_sec = wait
        self._protocol.transport.read_timeout_sec = wait + _ANSWER_SECONDS

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Make one of our errors of whatever goes wrong in pywinrm and below."""
        import requests
        from winrm.exceptions import AuthenticationError, WinRMError, WinRMTransportError, WSManFaultError

        at = f"WinRM at {self._endpoint}"
        try:
            yield
        except HostError:
            raise
        except AuthenticationError as error:
            raise HostError(f"{at} has refused the user {self._user}") from error
        except WSManFaultError as error:
            raise GuestSetupError(f"{at} has refused a request", why=_first(error.reason)) from error
        except requests.exceptions.SSLError as error:
            raise HostError(f"the certificate of {at} is not valid", why=_first(error)) from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise MachineLostError(f"{at} cannot be reached, or not any more", why=_first(error)) from error
        except (WinRMError, WinRMTransportError) as error:
            raise HostError(f"{at} has answered with an error", why=_first(error)) from error
        except Exception as error:  # pywinrm takes an answer apart without looking whether it is one
            raise HostError(f"what {at} has answered cannot be read", why=_first(error)) from error


def _read_file(fd: int) -> Iterator[bytes]:
    """Return what is left of a file; of anything else nothing, and it is told."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        while piece := os.read(fd, _PIECE):
            yield piece
    elif not stat.S_ISCHR(kind):
        emit(Warn("nothing is passed on of the standard input: WinRM takes files only"))


def endpoint(address: str, port: int) -> str:
    """Return the endpoint of a guest, by the port that WinRM has for plain HTTP or another one, which is forwarded."""
    return f"{'https' if port == _TLS_PORT else 'http'}://{address}:{port}/wsman"


class WinrmShell:
    """Command lines that are run by WinRM: see machine.Shell."""

    has_terminal = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()  # a connection's request and answer are passed on by a thread

    def run(self, line: str, streams: Streams, *, deadline: Deadline, source: Iterable[bytes] = ()) -> int:
        """Run a command line; see Shell. Of standard inputs only files are passed on: others may never end."""
        if streams.stdin is not None and not source:
            source = _read_file(streams.stdin)
        sinks = {"stdout": streams.stdout, "stderr": streams.stderr}

        def sink(stream: Literal["stdout", "stderr"], data: bytes) -> None:
            fd = sinks[stream]
            while fd is not None and data:
                data = data[os.write(fd, data) :]

        with self._lock:
            return self._session.run(line, sink, deadline=deadline, source=source)

    def close(self) -> None:
        """Close the session."""
        self._session.__exit__(None, None, None)


def powershell(session: Session, script: str, *, deadline: Deadline) -> str:
    """Run a script of ours by PowerShell and return what it prints, bounded. Raises GuestSetupError if it fails."""
    out, err = bytearray(), bytearray()

    def sink(stream: Literal["stdout", "stderr"], data: bytes) -> None:
        kept = out if stream == "stdout" else err
        kept += data[: max(0, _MOST_BYTES - len(kept))]

    status = session.run(quoting.encoded(script), sink, deadline=deadline)
    if status:
        why = err.decode(errors="replace").strip()
        raise GuestSetupError(f"PowerShell of the guest has ended with status {status}", why=why[:4000])
    return out.decode(errors="replace")


def _first(error: Any) -> str:
    """Return what an error says, bounded."""
    return str(error)[:500]
