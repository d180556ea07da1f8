"""A UDP port takes datagrams, and answers."""

import socket
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Annotated, NamedTuple

from postroj.deadline import Deadline
from postroj.probe.exchange import Reply, Send, talk
from postroj.probe.judge import CannotTellError, Scene, Seen
from postroj.probe.network import Address, opened, parse, reason_of
from postroj.probe.values import Key, Timeout

_SECONDS = 1.0
"""How long a refusal, an ICMP message, is waited for if no reply is expected."""


def _address(operator: str, written: str) -> Address:
    if "://" in written:
        raise ValueError("is not HOST:PORT")
    return parse(f"tcp://{written}")._replace(text=written, scheme="udp")


class Udp(NamedTuple):
    """A UDP port does not refuse a datagram; with `reply`, it answers it."""

    address: Annotated[Address, Key(_address, "udp localhost:53", "HOST:PORT")]
    send: Send = None
    reply: Reply = ()
    timeout: Timeout = None

    def look(self, scene: Scene, until: Deadline) -> Seen:
        """Look once; see Check. Raises CannotTellError."""
        if not self.reply and scene.machine.capabilities.own_kernel and (refused := self._not_taken(scene)):
            return refused
        try:
            connect = partial(scene.machine.connect, self.address.host, self.address.port, udp=True)
            with opened(connect, until) as (connection, limit):
                connection.send(self.send.value if self.send else b"")
                return talk(connection, None, self.reply, "", limit) if self.reply else _refused(connection, limit)
        except OSError as error:
            return Seen(False, reason_of(error), failed="no answer")

    def _not_taken(self, scene: Scene) -> Seen | None:
        """Return that nothing takes datagrams of the guest's own, which connections to a VM do not tell of."""
        if not _is_loopback(self.address.host):
            what = f"{self.address.text} refuses no datagram that is sent from a virtual machine"
            raise CannotTellError(what, hint="give reply=, or check by `listen`")
        wanted = ("udp", self.address.port)
        listeners = [one for one in scene.machine.listeners() if (one.protocol, one.port) == wanted]
        if any(_is_loopback(one.address) or ip_address(one.address).is_unspecified for one in listeners):
            return None
        return Seen(False, f"nothing listens on port {self.address.port}/udp", failed="no answer")


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _refused(connection: socket.socket, limit: Deadline) -> Seen:
    """Wait for a refusal. Raises OSError if it comes."""
    connection.settimeout(max(0.01, limit.sooner(_SECONDS).remaining() or 0.0))
    with suppress(TimeoutError):
        connection.recv(1)
        return Seen(True, "answers")
    return Seen(True, "takes datagrams, no answer")
