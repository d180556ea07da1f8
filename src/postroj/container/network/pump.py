"""Pass the bytes of two connections on to each other."""

import socket
import threading
from contextlib import suppress

_CHUNK = 65536


def exchange(one: socket.socket, other: socket.socket) -> None:
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
