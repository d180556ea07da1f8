"""Ports of a guest that the host answers on: each connection is passed on, so no rule of any firewall is needed."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from postroj.container.host.slot import Slot
from postroj.container.network.pump import Connections
from postroj.container.network.resolver import Target
from postroj.container.options import Publish
from postroj.errors import UsageError

_CONNECT_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


@contextmanager
def published(ports: tuple[Publish, ...], slot: Slot) -> Iterator[Connections]:
    """Answer on them inside the block, by these connections. Raises UsageError for one that cannot be had."""
    wake, woken = os.pipe()
    listeners: list[tuple[socket.socket, Publish]] = []
    threads: list[threading.Thread] = []
    connections = Connections()
    try:
        for port in ports:
            listeners.append((_listen(port), port))
        for listener, port in listeners:
            arguments = (listener, connections, slot, port.guest_port, wake)
            threads.append(threading.Thread(target=_serve, args=arguments, daemon=True))
            threads[-1].start()
        yield connections
    finally:
        os.close(woken)
        for thread in threads:
            thread.join()
        for listener, _ in listeners:
            listener.close()
        os.close(wake)
        connections.close()


def _listen(port: Publish) -> socket.socket:
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((port.address, port.host_port))
        listener.listen()
    except OSError as error:
        listener.close()
        where = f"{port.address}:{port.host_port}"
        raise UsageError(
            f"{where} cannot be published: {error.strerror}", hint="choose another port or address"
        ) from error
    return listener


def _serve(listener: socket.socket, connections: Connections, slot: Slot, port: int, wake: int) -> None:
    targets: list[Target] = [(socket.AF_INET, (slot.guest_address, port))]
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while wake not in dict(poller.poll()):
        try:
            client, _ = listener.accept()
            # By its interface: never to another owner of the address, before the link is there and after it is gone.
            connections.pass_on(client, targets, seconds=_CONNECT_SECONDS, interface=slot.interface)
        except (OSError, RuntimeError):  # the client has gone, or there are too many: those who wait, wait
            select.select([wake], [], [], _PAUSE_SECONDS)
