"""What the kernel tells of sockets that something can be sent to: net/tcp and its like, proc(5)."""

import re
import socket
import sys
from collections.abc import Iterable, Iterator

from postroj.contract import Listener

STATES = {"tcp": "0A", "udp": "07"}
"""The state of such a socket, of each protocol: TCP_LISTEN, and TCP_CLOSE for unconnected."""


_ACCEPTS = 0x10000
"""__SO_ACCEPTCON of linux/net.h: the flag of a UNIX socket that listens."""
_INTERNET = re.compile(
    r"\s*[0-9]+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ ([0-9A-F]{2}) \S+ \S+ \S+ +[0-9]+ +[0-9]+ ([0-9]+) .*"
)
_UNIX = re.compile(r"[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +([0-9]+)(?: (.*))?")
# Lines of no such form are the rest of a UNIX socket's name, which may have newlines.


def listeners(protocol: str, table: Iterable[str]) -> list[Listener]:
    """Return the sockets of a table."""
    found = []
    for line in table:
        match = _INTERNET.fullmatch(line.rstrip())
        if match and match[3] == STATES[protocol]:
            found.append(Listener(protocol, _address(match[1]), int(match[2], 16), int(match[4])))
    return found


def unix_listeners(table: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the inodes of UNIX sockets that listen, with their paths. The table is net/unix, proc(5)."""
    for line in table:
        match = _UNIX.fullmatch(line.rstrip("\n"))
        if match and int(match[1], 16) & _ACCEPTS:
            yield int(match[2]), (match[3] or "").strip() or "a UNIX socket"


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
