"""Ports of a guest that the host answers on: each connection is passed on, so no rule of any firewall is needed."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from postroj.container.host.slot import Slot
from postroj.container.network.pump import exchange
from postroj.container.options import Publish
from postroj.errors import UsageError

_CONNECT_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


@contextmanager
def published(ports: tuple[Publish, ...], slot: Slot) -> Iterator[None]:
    """Answer on them inside the block. Raises UsageError for one that cannot be had."""
    wake, woken = os.pipe()
    listeners: list[tuple[socket.socket, Publish]] = []
    threads: list[threading.Thread] = []
    try:
        for port in ports:
            listeners.append((_listen(port), port))
        for listener, port in listeners:
            arguments = (listener, slot, port.guest_port, wake)
            threads.append(threading.Thread(target=_serve, args=arguments, daemon=True))
            threads[-1].start()
        yield
    finally:
        os.close(woken)
        for thread in threads:
            thread.join()
        for listener, _ in listeners:
            listener.close()
        os.close(wake)


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


def _serve(listener: socket.socket, slot: Slot, port: int, wake: int) -> None:
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.register(wake, select.POLLIN)
    while wake not in dict(poller.poll()):
        try:
            client, _ = listener.accept()
            threading.Thread(target=_pass_on, args=(client, slot, port), daemon=True).start()
        except (OSError, RuntimeError):  # the client has gone, or there are too many: those who wait, wait
            select.select([wake], [], [], _PAUSE_SECONDS)


def _pass_on(client: socket.socket, slot: Slot, port: int) -> None:
    with client, suppress(OSError):  # a guest that does not listen: the client sees its connection closed
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
            # Never to whoever else has the address: before the link is there, and after it is gone.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, slot.interface.encode())
            server.settimeout(_CONNECT_SECONDS)
            server.connect((slot.guest_address, port))
            server.settimeout(None)
            exchange(client, server)
