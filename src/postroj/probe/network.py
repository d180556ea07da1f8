"""Does a network address answer, seen from inside the guest's network?"""

import errno
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from postroj.contract import Machine
from postroj.deadline import Deadline
from postroj.errors import PostrojError, UsageError
from postroj.probe import Finding, Outcome
from postroj.probe.judge import Seen, try_until

_ATTEMPT_SECONDS = 10.0
_OTHER_SECONDS = 2.0
_SHORT = 150
_REFUSES = "answers 400 "
"""What servers of TLS make of plain HTTP, if they answer."""
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})|[0-9A-Fa-f:.]+")


class Address(NamedTuple):
    """What is to answer."""

    text: str
    """As the user wrote it."""
    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return self.text

    @property
    def is_local(self) -> bool:
        """Return whether it is the guest itself, by its loopback address."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def parse(text: str) -> Address:
    """An address from tcp://host:port, http://host[:port]/path or https://…. Raises UsageError."""
    shown = f"'{text[:200]}'"
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{shown} has characters that need to be percent-encoded")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{shown} is not a network address: {error}") from error
    if "://" not in text or parts.scheme not in ("tcp", *_PORTS):
        raise UsageError(f"{shown} has no known scheme", hint="write tcp://host:port, http://host:port or https://…")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or parts.username is not None:
        raise UsageError(f"{shown} names no host", hint=f"for example {parts.scheme}://localhost:8080")
    port = port if port is not None else _PORTS.get(parts.scheme)
    if not port:
        raise UsageError(f"{shown} has no port", hint=f"for example tcp://{parts.hostname}:8080")
    if parts.scheme == "tcp" and (parts.path not in ("", "/") or parts.query):
        raise UsageError(f"{shown} has a path, which tcp knows nothing of")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(text, parts.scheme, parts.hostname, port, path)


def check_network(
    machine: Machine,
    address: Address,
    *,
    timeout: float,
    deadline: Deadline,
    give_up: Callable[[], bool] = lambda: False,
) -> Finding:
    """Whether an address answers within `timeout` seconds; 0 is one attempt.

    tcp: it accepts a connection. http and https: it answers a GET with a status below 500; certificates are not
    verified. A port that speaks TLS where plain HTTP is asked for, or the other way round, is told. `give_up` is asked
    after each failed attempt whether another one is of any use.
    """
    subject = f"network {address.text}"
    until = deadline.sooner(timeout)
    last = OSError()

    def look() -> Seen:
        nonlocal last
        try:
            answer = _attempt(machine, address, until)
        except OSError as error:
            last = error
            return Seen(False, "")
        return Seen(True, answer)

    seen, within = try_until(look, subject, seconds=timeout, deadline=deadline, give_up=give_up)
    if seen.passed:
        other = _other_scheme(machine, address) if seen.detail.startswith(_REFUSES) else ""
        return Finding(subject, Outcome.PASSED, f"{seen.detail}{other}")
    more, listeners = about(machine, address, last)
    return Finding(subject, Outcome.FAILED, f"{_told(last, timeout, expired=bool(within))}{more}", listeners)


def about(machine: Machine, address: Address, error: OSError) -> tuple[str, str]:
    """Return what else there is to say of an attempt that has failed, as clauses, and what listens, as evidence."""
    listeners = _listeners(machine, address)
    clauses = _other_scheme(machine, address) if _may_speak_another(error) else ""
    if error.errno == errno.ECONNREFUSED and listeners:
        clauses += f"; {listeners if len(listeners) <= _SHORT else listeners[:_SHORT] + '…'}"
    return clauses, listeners


def _attempt(machine: Machine, address: Address, until: Deadline) -> str:
    from postroj.probe import http

    with connected(machine, address, until) as (connection, _):
        if address.scheme == "tcp":
            return "accepts connections"
        # It is the service that is under test; whether its certificate is trusted is a question of its users'.
        context = http.unverified() if address.scheme == "https" else None
        with http.get(connection, address.host, address.port, address.path, context) as response:
            if response.status >= http.SERVER_ERRORS:
                expected = f"a status below {http.SERVER_ERRORS}"
                raise http.AnswerError(f"answered {response.answer}", expected, status=response.status)
            return f"answers {response.answer}"


def connected(
    machine: Machine, address: Address, until: Deadline
) -> AbstractContextManager[tuple[socket.socket, Deadline]]:
    """Connect by TCP; see `opened`."""
    return opened(partial(machine.connect, address.host, address.port), until)


@contextmanager
def opened(connect: Callable[[float], int], until: Deadline) -> Iterator[tuple[socket.socket, Deadline]]:
    """Connect, by a function of the seconds that it may take which returns a descriptor. Raises OSError.

    The connection is broken off at the deadline that is given back.
    """
    seconds = max(0.5, until.sooner(_ATTEMPT_SECONDS).remaining() or 0.0)
    with socket.socket(fileno=connect(seconds)) as connection, _broken_off(connection, seconds) as limit:
        yield connection, limit


@contextmanager
def _broken_off(connection: socket.socket, seconds: float) -> Iterator[Deadline]:
    """Break a connection off after a time, even if a byte comes now and then: its own limit is for each read."""
    limit = Deadline(seconds)
    connection.settimeout(seconds)
    with connection.dup() as same:  # TLS makes another socket of the one that it is given
        timer = threading.Timer(seconds, _break_off, [same])
        timer.start()
        try:
            yield limit
        finally:
            timer.cancel()


def _break_off(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side has done so already
        connection.shutdown(socket.SHUT_RDWR)


def _other_scheme(machine: Machine, address: Address) -> str:
    """Return a clause that says so if a port speaks TLS to which plain HTTP was spoken, or the other way round."""
    from postroj.probe import http

    scheme = {"http": "https", "https": "http"}.get(address.scheme)
    if not scheme:
        return ""
    other = address._replace(scheme=scheme)
    try:
        _attempt(machine, other, Deadline(_OTHER_SECONDS))
    except http.AnswerError as error:
        if scheme == "http" and not error.status:
            return ""
    except OSError:
        return ""
    host = f"[{address.host}]" if ":" in address.host else address.host
    speaks = "TLS, not plain HTTP" if scheme == "https" else "plain HTTP, not TLS"
    return f"; the port speaks {speaks}: {scheme}://{host}:{address.port}{address.path}"


def _told(error: OSError, timeout: float, *, expired: bool) -> str:
    """Return what to say of the last attempt. If attempts went on until the deadline, it is told."""
    from postroj.probe import http

    if not isinstance(error, http.AnswerError):
        return f"no answer{f' within {timeout:g} s' if expired else ''}: {reason_of(error)}"
    until = f" until the deadline ({timeout:g} s)" if expired and timeout else ""
    return f"{error.what}{until}" + (f"; expected {error.expected}" if error.expected else "")


def _may_speak_another(error: OSError) -> bool:
    """Return whether an attempt may have failed because the port speaks TLS, or does not."""
    from postroj.probe import http

    if isinstance(error, http.AnswerError):
        return error.status in (0, http.BAD_REQUEST)
    return error.errno != errno.ECONNREFUSED


def reason_of(error: OSError) -> str:
    """Return why an address does not answer."""
    return error.strerror or str(error) or type(error).__name__


def _listeners(machine: Machine, address: Address) -> str:
    if not address.is_local:
        return ""
    try:
        found = machine.listening_sockets()
    except (PostrojError, OSError) as error:  # only evidence: the verdict stands without it
        return f"(could not list listening sockets: {error})"
    if not found:
        return "nothing in the machine listens on TCP"
    return "the machine listens on: " + ", ".join(found)
