"""Pass connections on: the bytes of one to another, and back."""

import errno
import os
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from postroj.container.network.resolver import Target

_CHUNK = 65536


class Connections:
    """Connections that are passed on, each by a thread of its own."""

    def __init__(self, most: int | None = None) -> None:
        """Allow `most` at the same time: more are closed. None allows any number."""
        self._most = most
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._is_closed = False

    def pass_on(self, client: socket.socket, targets: Sequence[Target], *, seconds: float, interface: str = "") -> None:
        """Pass a connection on to the first of the targets that takes it, each within `seconds`, and return at once.

        A target is reached by `interface` alone, if one is named. If there is none, the connection is closed. Raises
        RuntimeError if no thread can be started.
        """
        thread = threading.Thread(target=self._run, args=(client, targets, seconds, interface), daemon=True)
        with self._lock:
            if self._is_closed or len(self._threads) == self._most:
                client.close()
                return
            try:
                thread.start()
            except RuntimeError:
                client.close()
                raise
            self._threads.add(thread)

    def close(self) -> None:
        """Break off all connections, also those that no target has taken yet; return when their threads have ended."""
        self._is_closed = True
        for thread in self.break_off():
            thread.join()

    def break_off(self) -> list[threading.Thread]:
        """Break off the connections that there are; return their threads, which end now."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)  # which wakes a thread that connects, too
            return list(self._threads)

    def _run(self, client: socket.socket, targets: Sequence[Target], seconds: float, interface: str) -> None:
        try:
            with suppress(OSError, RuntimeError), client, self._kept(client):
                for target in targets:
                    if self._is_closed:
                        return
                    with suppress(OSError), self._connected(target, seconds, interface) as server:
                        _exchange(client, server)
                        return
        finally:
            with self._lock:
                self._threads.remove(threading.current_thread())

    @contextmanager
    def _connected(self, target: Target, seconds: float, interface: str) -> Iterator[socket.socket]:
        """Connect to a target. Raises OSError."""
        family, address = target
        with socket.socket(family, socket.SOCK_STREAM) as server:
            if interface:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            server.setblocking(False)
            error = server.connect_ex(address)
            with self._kept(server):  # a socket that has not begun to connect cannot be shut down
                if error == errno.EINPROGRESS:
                    poller = select.poll()
                    poller.register(server, select.POLLOUT)
                    is_ready = poller.poll(seconds * 1000)
                    error = server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if is_ready else errno.ETIMEDOUT
                if error:
                    raise OSError(error, os.strerror(error))
                server.setblocking(True)
                yield server

    @contextmanager
    def _kept(self, one: socket.socket) -> Iterator[None]:
        """Have `close` shut a socket down while it is in use. Raises OSError if that was called already."""
        with self._lock:
            if self._is_closed:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            self._open.add(one)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(one)


def _exchange(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes from either, until both have ended or one is broken."""
    back = threading.Thread(target=_pump, args=(other, one), daemon=True)
    back.start()
    _pump(one, other)
    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
