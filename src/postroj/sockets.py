"""What the kernel tells of sockets that something can be sent to: net/tcp and its like, proc(5)."""

import socket
import sys
from collections.abc import Iterable, Iterator

from postroj.contract import Listener

STATES = {"tcp": "0A", "udp": "07"}
"""The state of such a socket, of each protocol: TCP_LISTEN, and TCP_CLOSE for unconnected."""


def listeners(protocol: str, table: Iterable[str]) -> list[Listener]:
    """Return the sockets of a table, whose first line is its head."""
    found = []
    for number, line in enumerate(table):
        fields = line.split()
        if number and fields[3] == STATES[protocol]:
            address, port = fields[1].split(":")
            found.append(Listener(protocol, _address(address), int(port, 16), int(fields[9])))
    return found


_ACCEPTS = 0x10000
"""__SO_ACCEPTCON of linux/net.h: the flag of a UNIX socket that listens."""
_UNNAMED = 7


def unix_listeners(table: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the inodes of UNIX sockets that listen, with their paths. The table is net/unix, proc(5), with its head."""
    for number, line in enumerate(table):
        fields = line.split(maxsplit=7)
        if number and len(fields) >= _UNNAMED and int(fields[3], 16) & _ACCEPTS:
            yield int(fields[6]), fields[7].strip() if len(fields) > _UNNAMED else "a UNIX socket"


def shown(one: Listener) -> str:
    """Return an address as it is written."""
    return f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"


def _address(hexadecimal: str) -> str:
    """An address as the kernel prints it: 32-bit words in the byte order of the machine."""
    words = [int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(words) == 1:
        return socket.inet_ntop(socket.AF_INET, packed)
    return socket.inet_ntop(socket.AF_INET6, packed)
