"""Network addresses, connections to them from inside the guest's network, and what is said if none answers."""

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
from postroj.probe.judge import Seen

_ATTEMPT_SECONDS = 10.0
_OTHER_SECONDS = 5.0
_SHORT = 150
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


def unanswered(machine: Machine, address: Address, error: OSError) -> Seen:
    """Return what a look has shown that has failed with an error: no answer, or one that is not HTTP."""
    from postroj.probe.http import NotHttpError

    is_refused = error.errno == errno.ECONNREFUSED

    def about() -> tuple[str, str]:
        listeners = _listeners(machine, address)
        if not is_refused:
            return other_scheme(machine, address), listeners
        shown = listeners if len(listeners) <= _SHORT else f"{listeners[:_SHORT]}…"
        return shown and f"; {shown}", listeners

    if isinstance(error, NotHttpError):
        return Seen(False, "", answer=str(error), about=about)
    return Seen(False, reason_of(error), failed="no answer", about=about)


def wrong_answer(machine: Machine, address: Address, answer: str, expected: str) -> Seen:
    """Return what a look has shown that got another answer than what was expected."""
    return Seen(False, f"expected {expected}", answer=answer, about=lambda: ("", _listeners(machine, address)))


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


def other_scheme(machine: Machine, address: Address) -> str:
    """Return a clause that says so if a port speaks TLS to which plain HTTP was spoken, or the other way round."""
    from postroj.probe import http

    scheme = {"http": "https", "https": "http"}.get(address.scheme)
    if not scheme:
        return ""
    context = http.unverified() if scheme == "https" else None
    try:
        with (
            connected(machine, address, Deadline(_OTHER_SECONDS)) as (connection, _),
            http.get(connection, address.host, address.port, address.path, context),
        ):
            pass
    except http.NotHttpError:
        if scheme == "http":
            return ""
    except OSError:
        return ""
    host = f"[{address.host}]" if ":" in address.host else address.host
    speaks = "TLS, not plain HTTP" if scheme == "https" else "plain HTTP, not TLS"
    return f"; the port speaks {speaks}: {scheme}://{host}:{address.port}{address.path}"


def reason_of(error: OSError) -> str:
    """Return why an address does not answer."""
    if told := getattr(error, "verify_message", ""):
        return f"TLS: {told}"
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
