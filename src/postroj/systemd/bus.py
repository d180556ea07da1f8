"""The guest's system bus, spoken from the host."""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, Message, MessageFlag, Properties, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection
from jeepney.wrappers import unwrap_msg

from postroj.deadline import Deadline
from postroj.errors import MachineLostError, RefusedError

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = DBusAddress("/org/freedesktop/systemd1", SYSTEMD, f"{SYSTEMD}.Manager")
UNIT = f"{SYSTEMD}.Unit"
SERVICE = f"{SYSTEMD}.Service"
SOCKET = f"{SYSTEMD}.Socket"
PROPERTIES = "org.freedesktop.DBus.Properties"

REPLY_SECONDS = 30.0
"""How long systemd is waited for, in a container: it answers nothing during a daemon-reload."""

_AUTHENTICATION = b"\0AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
"""For the user 0, in digits of its ASCII code. All at once, as sd-bus sends it: an answer costs a turn of the bus."""
_ANSWERS = (b"OK ", b"AGREE_UNIX_FD")
_LONGEST_ANSWER = 1024

_GONE = {f"org.freedesktop.DBus.Error.{what}" for what in ("NoReply", "Disconnected", "NameHasNoOwner")}

Signals = deque[Message]


class Bus:
    """The bus at the other end of a connection. One thread at a time.

    `clock` tells the guest's CLOCK_MONOTONIC, by default the host's, as a container has it. An answer may take so many
    `seconds`, and the authentication a third of that.
    """

    def __init__(
        self,
        connected: socket.socket,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = REPLY_SECONDS,
    ) -> None:
        with lost():
            connected = _authenticated(connected, Deadline(seconds / 3))
            self._connection = DBusConnection(connected, enable_fds=True)
        self.clock = clock
        self._seconds = seconds
        self._broken = False
        # Without a subscriber systemd sends no signals.
        self.manager("Subscribe")

    def close(self) -> None:
        """Hang up: whatever is asked from now on raises MachineLostError."""
        self._broken = True
        self._connection.close()

    def manager(self, method: str, signature: str | None = None, *body: Any) -> tuple[Any, ...]:
        """Call a method of systemd's manager object. Raises RefusedError and MachineLostError."""
        return self._call(new_method_call(MANAGER, method, signature, body))

    def tell(self, method: str, signature: str, *body: Any) -> None:
        """Call a method of systemd's manager object, and do not wait for its answer. Raises MachineLostError."""
        self._send(new_method_call(MANAGER, method, signature, body))

    def unit(self, path: str, method: str) -> tuple[Any, ...]:
        """Call a method, without arguments, of a unit's object. Raises RefusedError and MachineLostError."""
        return self._call(new_method_call(DBusAddress(path, SYSTEMD, UNIT), method))

    def property(self, path: str, interface: str, name: str) -> Any:
        """A property of one of systemd's objects."""
        ((_, value),) = self._call(Properties(DBusAddress(path, SYSTEMD, interface)).get(name))
        return value

    @contextmanager
    def signals(self, path: str, interface: str, member: str, *, first: str = "") -> Iterator[Signals]:
        """Collect a signal of one of systemd's objects, from now on; those with a `first` argument, if that is given.

        systemd tells each change of a unit twice, of the interface of all units and of that of its type.
        """
        rule = MatchRule(type="signal", sender=SYSTEMD, path=path, interface=interface, member=member)
        if first:
            rule.add_arg_condition(0, first)
        # systemd's unique name is what stands in its messages, and what we filter by is in the other fields.
        local = MatchRule(type="signal", path=path, interface=interface, member=member)
        queue: Signals = deque()
        with self._connection.filter(local, queue=queue):
            self._call(message_bus.AddMatch(rule))
            try:
                yield queue
            finally:
                with suppress(MachineLostError):
                    self._send(message_bus.RemoveMatch(rule))

    def wait(self, queue: Signals, deadline: Deadline) -> Message | None:
        """The next signal, or None when the deadline has passed."""
        self._check()
        with self._conversation():
            try:
                return self._connection.recv_until_filtered(queue, timeout=deadline.remaining())
            except TimeoutError:
                return None

    @contextmanager
    def _conversation(self) -> Iterator[None]:
        """A signal may interrupt the reading of half a message: after that nothing more can be understood."""
        self._broken = True
        try:
            with lost():
                yield
        except Exception:
            self._broken = False
            raise
        self._broken = False

    def _check(self) -> None:
        if self._broken:
            raise MachineLostError("the connection to the guest was closed")

    def _send(self, message: Message) -> None:
        self._check()
        message.header.flags |= MessageFlag.no_reply_expected
        with self._conversation():
            self._connection.send(message)

    def _call(self, message: Message) -> tuple[Any, ...]:
        self._check()
        with self._conversation():
            try:
                reply = self._connection.send_and_get_reply(message, timeout=self._seconds)
            except TimeoutError:
                raise MachineLostError(f"the guest's systemd did not answer within {self._seconds:g} s") from None
        try:
            body: tuple[Any, ...] = unwrap_msg(reply)
        except DBusErrorResponse as error:
            if error.name in _GONE:
                raise MachineLostError("the guest's systemd is gone", why=said(error)) from error
            raise RefusedError("the guest's systemd refused a request", why=said(error)) from error
        return body


def path_of(unit: str) -> str:
    """Return the object path of a unit: all but letters and digits as _xx."""
    escaped = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in unit)
    return f"/org/freedesktop/systemd1/unit/{escaped}"


def said(error: DBusErrorResponse) -> str:
    """Return the message of an error, which is its first argument by convention, or else its name."""
    data = error.data
    return data[0] if data and isinstance(data[0], str) and data[0] else str(error.name)


@contextmanager
def lost() -> Iterator[None]:
    """Turn errors of a connection that has ended into MachineLostError."""
    try:
        yield
    except (ConnectionError, FileNotFoundError) as error:
        raise MachineLostError("the guest went away", why=f"its bus: {error}") from error


def _authenticated(connection: socket.socket, deadline: Deadline) -> socket.socket:
    """Have the other side take us for root. Raises OSError."""
    try:
        connection.settimeout(max(0.001, deadline.remaining() or 0))
        connection.sendall(_AUTHENTICATION)
        answers = b""
        while answers.count(b"\r\n") < len(_ANSWERS):
            connection.settimeout(max(0.001, deadline.remaining() or 0))
            more = connection.recv(_LONGEST_ANSWER)
            answers += more
            if not more:
                raise ConnectionResetError("it hung up")
            lines = answers.split(b"\r\n")
            refused = any(not line.startswith(answer) for line, answer in zip(lines[:-1], _ANSWERS, strict=False))
            if refused or len(answers) > _LONGEST_ANSWER:
                raise OSError(f"the bus does not take us for root: it said {answers[:80]!r}")
        connection.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection
