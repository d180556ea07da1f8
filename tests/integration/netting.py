"""Servers, connections and tools for tests of machines' networks."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from guests import Guest, guest

CONNECT = "timeout 60 bash -c ': </dev/tcp/$0/$1' \"$@\""
"""A shell script that connects to ADDRESS PORT where an answer is expected; `REFUSED` where nobody listens."""
KNOCK = CONNECT.replace("60", "2")
"""The same where no answer is expected: `SILENCE`, and a busy host is one, too. So show besides that one could come."""
REFUSED, SILENCE = 1, 124

DATAGRAM = "bash -c 'echo hello >/dev/udp/$0/$1' \"$@\""
"""A shell script that sends a datagram to ADDRESS PORT, and does not wait."""

# NAME PORT: says that it is there, and answers each connection with its name.
_NAMING = """perl -MIO::Socket::INET -e '
    $| = 1;
    my ($name, $port) = @ARGV;
    my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 64, ReuseAddr => 1) or die "$port: $!\\n";
    print "listening\\n";
    while (my $client = $server->accept) { print $client "$name\\n"; close $client }
' "$@" """
SERVE = f"{_NAMING} >/run/listening-$2 2>&1 &\nuntil [ -s /run/listening-$2 ]; do :; done"
"""A shell script that leaves a server of NAME on PORT."""
SERVE_ON = f"exec {_NAMING}"
"""The same to its end, which does not come by itself."""

IP = "chroot /mnt ip"
"""ip(8) in a guest with tools."""
NFT = "chroot /mnt nft"

_TOOLS = "--bind-ro=/usr:/mnt/usr"
_LINKS = 'for link in bin sbin lib lib64; do ln -s "usr/$link" "/mnt/$link"; done'


class Server:
    """A TCP and a UDP server on one port of the host's."""

    def __init__(self, tcp: socket.socket, udp: socket.socket) -> None:
        self.port: int = tcp.getsockname()[1]
        self._udp = udp

    def received(self) -> bytes:
        """A datagram that has come; nothing where none has."""
        try:
            return self._udp.recv(100)
        except BlockingIOError:
            return b""


@contextmanager
def serving(address: str) -> Iterator[Server]:
    """One that is up inside the block."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as tcp, socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((address, tcp.getsockname()[1]))
        udp.setblocking(False)
        yield Server(tcp, udp)


def greeting(address: str, port: int) -> str:
    """What a server says to the host before it hangs up."""
    with socket.create_connection((address, port), timeout=60) as connection, connection.makefile() as stream:
        return stream.read()


@contextmanager
def guest_with_tools(environment: Mapping[str, str], *words: str) -> Iterator[Guest]:
    """A guest whose root has the host's own programs at hand."""
    with guest(environment, _TOOLS, *words) as one:
        assert one.ask(_LINKS).status == 0
        yield one


def host_address(one: Guest) -> str:
    """The host's end of a guest's link."""
    return _address_before(one.address())


def _address_before(address: str) -> str:
    network, _, last = address.rpartition(".")
    return f"{network}.{int(last) - 1}"


def host_interface(one: Guest) -> str:
    """The host's interface to a guest."""
    shown = subprocess.run(["ip", "-o", "-4", "address", "show"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in shown.splitlines() if f" {host_address(one)}/" in line)


def empty(*chains: str) -> None:
    """Take the rules out of chains of postroj's table; the last machine takes the table with it."""
    for chain in chains:
        subprocess.run(["nft", "flush", "chain", "inet", "postroj", chain], check=True)


def do_not_filter(interface: str) -> None:
    """Some hosts check for forged addresses themselves: rp_filter, ip-sysctl.rst of the kernel."""
    settings = Path("/proc/sys/net/ipv4/conf")
    (settings / interface / "rp_filter").write_text("0")
    if (settings / "all/rp_filter").read_text().strip() == "1":
        pytest.skip("this host lets nobody forge addresses, so it cannot be seen that it is postroj that does not")


def table(name: str) -> str:
    """A table of nftables as it is listed."""
    done = subprocess.run(["nft", "list", "table", *name.split()], capture_output=True, text=True, check=True)
    return done.stdout
