"""The guest's network, from the host: sockets opened inside its network namespace."""

import socket
import sys
from collections.abc import Sequence

from postroj.container import kernel

_LISTEN = "0A"


def connect(namespace: int, addresses: Sequence[str], port: int, timeout: float) -> int:
    """Connect to the first of the IP addresses that answers; a descriptor of the socket. Raises OSError.

    `namespace` is a descriptor of the guest's network namespace, `timeout` seconds for each address.
    """

    def attempt() -> int:
        failure = OSError("there is no address")
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as attempted:
                attempted.settimeout(timeout)
                try:
                    attempted.connect((address, port))
                except OSError as error:
                    failure = error
                    continue
                return attempted.detach()
        raise failure

    return kernel.in_network_of(namespace, attempt)


def listening_sockets(namespace: int) -> list[str]:
    """What the guest listens on: net/tcp and net/tcp6, proc(5)."""

    def read() -> set[str]:
        found = set()
        for table in ("tcp", "tcp6"):
            with open(f"/proc/thread-self/net/{table}") as file:
                next(file)
                for fields in map(str.split, file):
                    if fields[3] == _LISTEN:
                        address, port = fields[1].split(":")
                        found.add(f"{_address(address)}:{int(port, 16)}")
        return found

    return sorted(kernel.in_network_of(namespace, read))


def _address(hexadecimal: str) -> str:
    """An address as the kernel prints it: 32-bit words in the byte order of the machine."""
    words = [int(hexadecimal[at : at + 8], 16) for at in range(0, len(hexadecimal), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(words) == 1:
        return socket.inet_ntop(socket.AF_INET, packed)
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"
