"""Does a network address answer, seen from inside the guest's network?"""

import errno
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from postroj.deadline import Deadline
from postroj.errors import PostrojError, UsageError
from postroj.machine import Machine
from postroj.probe import Finding, Outcome
from postroj.probe.judge import Seen, try_until

_ATTEMPT_SECONDS = 10.0
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
    verified. `give_up` is asked after each failed attempt whether another one is of any use.
    """
    subject = f"network {address.text}"
    until = deadline.sooner(timeout)

    def look() -> Seen:
        try:
            return Seen(True, _attempt(machine, address, until))
        except OSError as error:
            return Seen(False, reason_of(error))

    seen, within = try_until(look, subject, seconds=timeout, deadline=deadline, give_up=give_up)
    if seen.passed:
        return Finding(subject, Outcome.PASSED, seen.detail)
    reason, listeners = with_listeners(machine, address, seen.detail)
    return Finding(subject, Outcome.FAILED, f"no answer{within}: {reason}", listeners)


def with_listeners(machine: Machine, address: Address, reason: str) -> tuple[str, str]:
    """Return why an address does not answer, with what listens instead if it refuses; and all that listens."""
    listeners = _listeners(machine, address)
    if reason == os.strerror(errno.ECONNREFUSED) and listeners:
        reason += f"; {listeners if len(listeners) <= _SHORT else listeners[:_SHORT] + '…'}"
    return reason, listeners


def _attempt(machine: Machine, address: Address, until: Deadline) -> str:
    from postroj.probe import httpget

    with connected(machine, address, until) as (connection, _):
        if address.scheme == "tcp":
            return "accepts connections"
        # It is the service that is under test; whether its certificate is trusted is a question of its users'.
        context = httpget.unverified() if address.scheme == "https" else None
        with httpget.get(connection, address.host, address.port, address.path, context) as response:
            if response.status >= 500:
                raise OSError(f"it answers {response.answer}")
            return f"answers {response.answer}"


@contextmanager
def connected(machine: Machine, address: Address, until: Deadline) -> Iterator[tuple[socket.socket, Deadline]]:
    """Connect, and break the connection off at the deadline that is given back. Raises OSError."""
    seconds = max(0.5, until.sooner(_ATTEMPT_SECONDS).remaining() or 0.0)
    with socket.socket(fileno=machine.connect(address.host, address.port, seconds)) as connection:
        with broken_off(connection, seconds) as limit:
            yield connection, limit


@contextmanager
def broken_off(connection: socket.socket, seconds: float) -> Iterator[Deadline]:
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


def reason_of(error: OSError) -> str:
    """Return why an address does not answer."""
    return error.strerror or str(error) or type(error).__name__


def _listeners(machine: Machine, address: Address) -> str:
    if address.host not in ("localhost", "::1") and not address.host.startswith("127."):
        return ""
    try:
        found = machine.listening_sockets()
    except (PostrojError, OSError) as error:  # only evidence: the verdict stands without it
        return f"(could not list listening sockets: {error})"
    if not found:
        return "nothing in the machine listens on TCP"
    return "the machine listens on: " + ", ".join(found)
