"""The guest's network, from the host: sockets opened inside its network namespace."""

import ctypes
import os
import socket
import sys
import threading
from collections.abc import Sequence

_CLONE_NEWNET = 0x40000000
_LISTEN = "0A"


def connect(leader: int, addresses: Sequence[str], port: int, timeout: float) -> int:
    """Connect to the first of the IP addresses that answers; a descriptor of the socket. Raises OSError."""
    found: list[int] = []
    errors: list[OSError] = []

    def attempt() -> None:
        # A network namespace belongs to a thread, a socket to the namespace it was made in: this thread enters the
        # guest's, makes its socket and ends.
        try:
            _enter(leader)
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                with socket.socket(family, socket.SOCK_STREAM) as attempted:
                    attempted.settimeout(timeout)
                    try:
                        attempted.connect((address, port))
                    except OSError as error:
                        errors.append(error)
                        continue
                    found.append(attempted.detach())
                    return
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if not found:
        raise errors[0]
    return found[0]


def listening(leader: int) -> list[str]:
    """What the guest listens on: /proc/PID/net/tcp and tcp6, proc(5)."""
    addresses = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{leader}/net/{table}") as file:
            next(file)
            for fields in map(str.split, file):
                if fields[3] == _LISTEN:
                    address, port = fields[1].split(":")
                    addresses.add(f"{_address(address)}:{int(port, 16)}")
    return sorted(addresses)


def _address(hexadecimal: str) -> str:
    """An address as the kernel prints it: 32-bit words in the byte order of the machine."""
    words = [int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(words) == 1:
        return socket.inet_ntop(socket.AF_INET, packed)
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"


def _enter(leader: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(f"/proc/{leader}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(fd, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)
