"""Servers on the host's loopback that a guest is let through to: name servers, a proxy.

A relay listens on the host's end of the guest's link, where nobody but the guest can reach it, and passes on what
comes. It is a thread of postroj, and ends with it.
"""

import os
import select
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from time import monotonic
from typing import NamedTuple

from postroj.container.host.slot import Slot, slots
from postroj.container.network.pump import Connections
from postroj.container.network.resolver import Target
from postroj.errors import HostError

_IP_FREEBIND = 15  # ip(7); Python has no name for it
_CONNECTIONS = 64
"""How many connections it passes on at the same time; more are refused."""
_QUERIES = 256
"""How many queries may wait for an answer at the same time; more are lost, and the guest asks again."""
_HEADER = 12  # of a DNS message: RFC 1035, 4.1.1
_MESSAGE = 65535
_NOTE = "relays"
_CONNECT_SECONDS = 5.0
_NEXT_SECONDS = 2.0
_LAST_SECONDS = 10.0
"""How long a name server may take: one that another follows, and the last."""
_PAUSE_SECONDS = 0.1
_ATTEMPTS = 16


class Relay:
    """Passes on to the first of `targets` that answers: connections, and with `dns` the datagrams of DNS too."""

    def __init__(self, slot: Slot, targets: Sequence[Target], *, dns: bool = False) -> None:
        """Take a port, before the link is there. Raises HostError."""
        self._slot = slot
        self._targets = targets
        self._stack = ExitStack()
        self._connections = Connections(_CONNECTIONS)
        self._has_begun = False
        self._queries: dict[int, _Query] = {}
        self.is_dns = dns
        try:
            self._tcp, self._udp = self._bind(dns)
        except OSError as error:
            self._stack.close()
            raise HostError("no port can be had for a guest's way to the host's loopback", why=str(error)) from error
        self.port: int = self._tcp.getsockname()[1]

    def _bind(self, dns: bool) -> tuple[socket.socket, socket.socket | None]:
        for _ in range(_ATTEMPTS):
            tcp = self._socket(socket.SOCK_STREAM, 0)
            if not dns:
                return tcp, None
            with suppress(OSError):  # somebody has the same port for datagrams
                return tcp, self._socket(socket.SOCK_DGRAM, tcp.getsockname()[1])
        raise OSError("no port is free for both TCP and UDP")

    def _socket(self, kind: socket.SocketKind, port: int) -> socket.socket:
        made = self._stack.enter_context(socket.socket(socket.AF_INET, kind))
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        made.bind((self._slot.host_address, port))
        return made

    def start(self) -> None:
        """Serve, now that the interface is there, and is not up yet. Raises OSError.

        After a reboot of the guest it is called again: the interface of the same name is another one.
        """
        for one in filter(None, (self._tcp, self._udp)):
            # The host's neighbours do not come by this interface.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._slot.interface.encode())
        if self._has_begun:
            return
        self._has_begun = True
        self._tcp.listen()
        self._tcp.setblocking(False)
        if self._udp:
            self._udp.setblocking(False)
        wake, woken = os.pipe()
        thread = threading.Thread(target=self._serve, args=(wake,), daemon=True)
        self._stack.callback(os.close, wake)
        self._stack.callback(thread.join)
        self._stack.callback(os.close, woken)
        thread.start()

    def break_off(self) -> None:
        """Break off the connections of a guest that is gone, for the next one on the same link."""
        self._connections.break_off()

    def close(self) -> None:
        """Break off whatever is passed on, and return when no thread of it is left."""
        self._stack.close()
        self._connections.close()

    def _serve(self, wake: int) -> None:
        poller = select.poll()
        poller.register(wake, select.POLLIN)
        poller.register(self._tcp, select.POLLIN)
        if self._udp:
            poller.register(self._udp, select.POLLIN)
        try:
            while wake not in (ready := dict(poller.poll(self._wait_milliseconds()))):
                with suppress(OSError, RuntimeError):  # who asked is gone, or there are too many: who waits, waits
                    self._act(ready, poller)
                    continue
                select.select([wake], [], [], _PAUSE_SECONDS)
        finally:
            for query in self._queries.values():
                query.socket.close()

    def _act(self, ready: dict[int, int], poller: "select.poll") -> None:
        for fd in ready:
            if fd in self._queries:
                self._answer(self._queries.pop(fd), poller)
        now = monotonic()
        for fd in [fd for fd, query in self._queries.items() if query.until <= now]:
            self._ask_next(self._queries.pop(fd), poller)
        if self._tcp.fileno() in ready:
            connection, client = self._tcp.accept()
            if client[0] != self._slot.guest_address:  # a process of the host's
                connection.close()
            else:
                self._connections.pass_on(connection, self._targets, seconds=_CONNECT_SECONDS)
        if self._udp and self._udp.fileno() in ready:
            message, client = self._udp.recvfrom(_MESSAGE)
            wanted = client[0] == self._slot.guest_address and len(message) >= _HEADER
            if wanted and len(self._queries) < _QUERIES:
                self._ask(message, client, self._targets, poller)

    def _wait_milliseconds(self) -> float | None:
        if not self._queries:
            return None
        return max(0.0, min(query.until for query in self._queries.values()) - monotonic()) * 1000

    def _ask(self, message: bytes, client: tuple[str, int], targets: Sequence[Target], poller: "select.poll") -> None:
        """Ask the first of the targets that can be asked; if none can, tell the guest so."""
        for number, (family, address) in enumerate(targets, 1):
            # A socket for each query: the kernel takes no answer from anybody but who was asked.
            asked = socket.socket(family, socket.SOCK_DGRAM)
            try:
                asked.setblocking(False)
                asked.connect(address)
                asked.send(message)
            except OSError:
                asked.close()
                continue
            later = targets[number:]
            until = monotonic() + (_NEXT_SECONDS if later else _LAST_SECONDS)
            self._queries[asked.fileno()] = _Query(asked, message, client, later, until)
            poller.register(asked, select.POLLIN)
            return
        assert self._udp
        self._udp.sendto(_failure(message), client)

    def _answer(self, query: "_Query", poller: "select.poll") -> None:
        try:
            answer = query.socket.recv(_MESSAGE)
        except OSError:  # nobody listens there
            self._ask_next(query, poller)
            return
        if answer[:2] != query.message[:2]:  # not to this question
            self._queries[query.socket.fileno()] = query
            return
        poller.unregister(query.socket)
        query.socket.close()
        assert self._udp
        self._udp.sendto(answer, query.client)

    def _ask_next(self, query: "_Query", poller: "select.poll") -> None:
        poller.unregister(query.socket)
        query.socket.close()
        self._ask(query.message, query.client, query.later, poller)


class Way(NamedTuple):
    """What the host's rules are to let through."""

    slot: Slot
    port: int
    is_dns: bool
    """Whether what is sent to the port of DNS goes there."""


def note(slot: Slot, relays: Sequence[Relay]) -> None:
    """Have `ways` tell of a machine's relays, until its slot is released."""
    if relays:
        with open(os.path.join(slot.path, _NOTE), "w") as file:
            file.write("".join(f"{relay.port} {relay.is_dns:d}\n" for relay in relays))


def ways() -> list[Way]:
    """Return what is noted of all machines."""
    found = []
    for slot in slots():
        with suppress(FileNotFoundError), open(os.path.join(slot.path, _NOTE)) as file:
            words = [line.split() for line in file]
            # A line that is cut off is of a run that was killed while it wrote, before its guest was there.
            found += [Way(slot, int(line[0]), line[1] == "1") for line in words if len(line) == 2]
    return found


class _Query(NamedTuple):
    """A question that was passed on."""

    socket: socket.socket
    message: bytes
    client: tuple[str, int]
    later: Sequence[Target]
    """Who is asked if this one does not answer."""
    until: float
    """When that is, by the monotonic clock."""


def _failure(message: bytes) -> bytes:
    """Return the answer SERVFAIL to a query: RFC 1035, 4.1.1."""
    response, recursion_available, server_failure = 0x80, 0x80, 2
    kept = message[2] & 0x79  # the kind of query, and whether recursion is wanted
    return message[:2] + bytes([kept | response, recursion_available | server_failure]) + message[4:]
