"""The guest's network, from the host: sockets opened inside its network namespace."""

import socket
import struct
from collections.abc import Sequence

from postroj import sockets
from postroj.container import kernel
from postroj.contract import Listener

# sock_diag(7) of UNIX sockets: linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x001 | 0x300
_SHOW_PEER = 4
_PEER = 2
_SHUTDOWN = 6
_BOTH_WAYS = 3
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBHIIIII")
_SOCKET = struct.Struct("=BBBBIII")
_ATTRIBUTE = struct.Struct("=HH")
_BUFFER = 1 << 20
_DIAG_SECONDS = 2.0


def connect(namespace: int, addresses: Sequence[str], port: int, timeout: float, *, udp: bool = False) -> int:
    """Connect to the first of the IP addresses that answers; a descriptor of the socket. Raises OSError.

    `namespace` is a descriptor of the guest's network namespace, `timeout` seconds for each address.
    """
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM

    def attempt() -> int:
        failure = OSError("there is no address")
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, kind) as attempted:
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
    """What the guest listens on by TCP, as `address:port`."""
    return sorted({sockets.shown(one) for one in listeners(namespace, "tcp")})


def listening(namespace: int) -> dict[int, str]:
    """Return the inodes of sockets that listen, by TCP or as UNIX sockets, each with its address."""

    def read() -> dict[int, str]:
        with open("/proc/thread-self/net/unix", errors="replace") as file:
            return dict(sockets.unix_listeners(file))

    try:
        return kernel.in_network_of(namespace, read) | {
            one.inode: sockets.shown(one) for one in listeners(namespace, "tcp")
        }
    except OSError:
        return {}


def listeners(namespace: int, *protocols: str) -> list[Listener]:
    """Return what can be sent to, by both protocols if none is named: net/tcp and its like, proc(5)."""

    def read() -> list[Listener]:
        found: list[Listener] = []
        for protocol in protocols or sockets.STATES:
            for table in (protocol, f"{protocol}6"):
                with open(f"/proc/thread-self/net/{table}") as file:
                    found += sockets.listeners(protocol, file)
        return found

    return kernel.in_network_of(namespace, read)


def socket_peers(namespace: int) -> dict[int, int]:
    """Return the inodes of UNIX sockets that are connected, each with that of its peer: sock_diag(7).

    That of a peer which has closed its end is 0. Empty if the kernel does not tell.
    """

    def read() -> dict[int, int]:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as diag:
            diag.settimeout(_DIAG_SECONDS)
            query = _QUERY.pack(socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _SHOW_PEER, 0xFFFFFFFF, 0xFFFFFFFF)
            size = _HEADER.size + len(query)
            diag.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0) + query)
            found: dict[int, int] = {}
            while _read_sockets(diag.recv(_BUFFER), found):
                pass
            return found

    try:
        return kernel.in_network_of(namespace, read)
    except OSError:
        return {}


def _read_sockets(data: bytes, found: dict[int, int]) -> bool:
    """Take the sockets out of netlink's messages; return whether more of them follow."""
    while len(data) >= _HEADER.size:
        size, kind, _, _, _ = _HEADER.unpack_from(data)
        if kind != _SOCK_DIAG_BY_FAMILY or size < _HEADER.size + _SOCKET.size:
            return False  # NLMSG_DONE, or an error
        inode = _SOCKET.unpack_from(data, _HEADER.size)[4]
        rest = data[_HEADER.size + _SOCKET.size : size]
        peer, shut = None, 0
        while len(rest) >= _ATTRIBUTE.size:
            length, attribute = _ATTRIBUTE.unpack_from(rest)
            if attribute == _PEER:
                (peer,) = struct.unpack_from("=I", rest, _ATTRIBUTE.size)
            elif attribute == _SHUTDOWN:
                (shut,) = struct.unpack_from("=B", rest, _ATTRIBUTE.size)
            rest = rest[max(length + 3 & ~3, _ATTRIBUTE.size) :]
        # A peer without an inode may also be one that no process has accepted yet.
        if peer or (peer == 0 and shut == _BOTH_WAYS):
            found[inode] = peer
        data = data[size + 3 & ~3 :]
    return True
