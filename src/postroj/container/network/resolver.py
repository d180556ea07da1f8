"""The name servers of this host, as a guest can reach them."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

_RESOLV_CONF = "/etc/resolv.conf"
# What systemd-resolved asks itself, beside its stub on loopback: systemd-resolved.service(8).
_UPLINK = "/run/systemd/resolve/resolv.conf"
_STUBS = ("127.0.0.53", "127.0.0.54")
_MOST = 3  # resolv.conf(5), MAXNS
_DEFAULT = "127.0.0.1"  # resolv.conf(5), nameserver


# Recursion desired, one question: the name servers of the root (RFC 1035, 4.1).
_QUESTION = b"pj" + b"\x01\x00" + b"\x00\x01" + b"\x00" * 6 + b"\x00" + b"\x00\x02" + b"\x00\x01"

Target = tuple[socket.AddressFamily, tuple[object, ...]]
"""A socket address, with its family."""


class ResolvConf(NamedTuple):
    """A resolv.conf(5) that machines go by."""

    text: str

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of its name servers, in their order; at least one."""
        words = (line.split() for line in self.text.splitlines())
        return tuple([line[1] for line in words if line[:1] == ["nameserver"] and line[1:]][:_MOST]) or (_DEFAULT,)

    @property
    def is_out_of_reach(self) -> bool:
        """Whether a guest with a link cannot ask all of them: its loopback is not the host's, and it has no IPv6."""
        return not all(map(_reachable, self.servers))

    def asking(self, server: str) -> str:
        """Return its text with another name server in the place of all of them."""
        kept = [line for line in self.text.splitlines() if line.split()[:1] != ["nameserver"]]
        return "\n".join([f"nameserver {server}", *kept, ""])


def read(path: str = _RESOLV_CONF, uplink: str = _UPLINK) -> ResolvConf:
    """Return the host's. With the stub of systemd-resolved, that is what the stub asks, if guests can ask it too."""
    found = ResolvConf(_read(path))
    if all(server in _STUBS for server in found.servers):
        text = _read(uplink)
        if text and not ResolvConf(text).is_out_of_reach:
            return ResolvConf(text)
    return found


def targets(servers: Sequence[str], port: int = 53) -> list[Target]:
    """Return the socket addresses of name servers, leaving out what is no address."""
    found: list[Target] = []
    for server in servers:
        with suppress(OSError):
            family, _, _, _, address = socket.getaddrinfo(server, port, flags=socket.AI_NUMERICHOST)[0]
            found.append((family, address))
    return found


def answers(server: str, port: int = 53, *, seconds: float = 3.0) -> bool:
    """Return whether a name server answers a question within this time, whatever it says."""
    for family, address in targets([server], port):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(seconds)
            asking.connect(address)
            asking.send(_QUESTION)
            return asking.recv(512)[:2] == _QUESTION[:2]
    return False


def _reachable(server: str) -> bool:
    with suppress(OSError):
        return socket.inet_pton(socket.AF_INET, server)[0] not in (0, 127)
    return False


def _read(path: str) -> str:
    with suppress(OSError), open(path, errors="replace") as file:
        return file.read()
    return ""
