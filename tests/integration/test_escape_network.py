"""What root in a guest may try by way of its network: of the host it reaches the name service alone.

The tools are the host's own, bound into the guest, whose root has all rights over its network. Where it gets nowhere,
a chain of postroj's table is emptied, and it does: so the attempt is the right one, and the chain is what stops it.
"""

import socket
import subprocess
from pathlib import Path

import pytest

from guests import guest
from moments import until
from netting import (
    CONNECT,
    DATAGRAM,
    IP,
    KNOCK,
    REFUSED,
    SILENCE,
    do_not_filter,
    empty,
    guest_with_tools,
    host_address,
    host_interface,
    serving,
)
from support import Run


def test_services_on_all_addresses_of_the_host(bookworm: str, environment: dict[str, str]) -> None:
    """By its end of the link, by that of another machine's link, and by the addresses that it has itself."""
    with serving("0.0.0.0") as server, guest(environment, bookworm), guest(environment, bookworm) as one:
        addresses = _addresses_of_host()
        assert host_address(one) in addresses
        assert len(addresses) >= 2
        for address in addresses:
            assert one.ask(KNOCK, address, server.port) == (SILENCE, ""), address
            assert one.ask(DATAGRAM, address, server.port) == (0, ""), address
            assert server.received() == b"", address
        assert one.ask(CONNECT, "127.0.0.1", server.port).status == REFUSED

        empty("input")
        for address in addresses:
            assert one.ask(CONNECT, address, server.port) == (0, ""), address
            one.ask(DATAGRAM, address, server.port)
            assert until(server.received, f"the datagram by {address}") == b"hello\n"


def _addresses_of_host() -> list[str]:
    shown = subprocess.run(["hostname", "--all-ip-addresses"], capture_output=True, text=True, check=True).stdout
    return [address for address in shown.split() if ":" not in address]


def test_name_service_of_the_host(bookworm: str, environment: dict[str, str]) -> None:
    """It is what a private network needs of its host, and within reach: where nobody listens, that is said."""
    with guest(environment, bookworm) as one:
        try:
            socket.create_connection((host_address(one), 53), timeout=60).close()
        except ConnectionRefusedError:
            assert one.ask(CONNECT, host_address(one), 53).status == REFUSED
        else:
            assert one.ask(CONNECT, host_address(one), 53).status == 0


def test_loopback_of_the_host_by_a_route(bookworm: str, environment: dict[str, str]) -> None:
    """Not even where the host takes packets for 127.0.0.1 from outside (route_localnet), as with kube-proxy."""
    script = (
        "set -e\n"
        "for each in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/$each/route_localnet; done\n"
        f"{IP} address del 127.0.0.1/8 dev lo\n"
        f"{IP} route add 127.0.0.1 via $1 dev eth0 src $2\n"
    )
    with serving("127.0.0.1") as server, guest_with_tools(environment, bookworm) as one:
        assert one.ask(script, host_address(one), one.address()) == (0, "")
        assert one.ask(KNOCK, "127.0.0.1", server.port).status == SILENCE
        Path("/proc/sys/net/ipv4/conf", host_interface(one), "route_localnet").write_text("1")
        assert one.ask(KNOCK, "127.0.0.1", server.port).status == SILENCE

        empty("input")
        assert one.ask(CONNECT, "127.0.0.1", server.port) == (0, "")


def test_host_by_ipv6(bookworm: str, environment: dict[str, str]) -> None:
    """The link has no such address, but a guest can give itself one, and knows where on the link the host is."""
    shown = subprocess.run(
        ["ip", "-o", "-6", "address", "show", "scope", "global"], capture_output=True, text=True, check=True
    ).stdout
    if not shown:
        pytest.skip("this host has no IPv6 address")
    address = shown.split()[3].partition("/")[0]
    script = (
        "set -e\n"
        "echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6\n"
        f"{IP} -6 address add fd99::2/64 dev eth0 nodad\n"
        f"{IP} -6 route add $1 dev eth0\n"
        f"{IP} -6 neigh replace $1 dev eth0 lladdr $2\n"
    )
    with serving("::") as server, guest_with_tools(environment, bookworm) as one:
        ethernet = Path("/sys/class/net", host_interface(one), "address").read_text().strip()
        assert one.ask(script, address, ethernet) == (0, "")
        assert one.ask(DATAGRAM, address, server.port) == (0, "")
        assert server.received() == b""

        empty("prerouting", "input")
        one.ask(DATAGRAM, address, server.port)
        assert until(server.received, "it comes through") == b"hello\n"


def test_host_under_a_forged_address(bookworm: str, environment: dict[str, str]) -> None:
    """One of the outside, and one that would be a machine's."""
    use = f"{IP} address add $1/32 dev eth0 && {IP} route replace $2 dev eth0 src $1"
    with serving("0.0.0.0") as server, guest_with_tools(environment, bookworm) as one:
        host, interface = host_address(one), host_interface(one)
        empty("input")  # the rule against forgery stands in another chain
        for forged in ("192.0.2.77", "10.213.12.2"):
            assert one.ask(use, forged, host) == (0, ""), forged
            assert one.ask(DATAGRAM, host, server.port) == (0, ""), forged
            assert server.received() == b"", forged
        do_not_filter(interface)
        empty("prerouting")
        one.ask(DATAGRAM, host, server.port)
        assert until(server.received, "it comes through") == b"hello\n"


def test_abstract_socket_of_the_host(bookworm: str, postroj: Run) -> None:
    """Reached only by whoever is on the host's network."""
    name = "postroj-test-abstract"
    script = 'socket(S, 1, 1, 0); connect(S, pack("Sxa*", 1, $ARGV[0])) or die "$!\\n"; print "connected\\n"'
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        done = postroj("run", bookworm, "perl", "-e", script, name)
        assert (done.stdout, done.stderr) == ("", "Connection refused\n")
        done = postroj("run", "--network=host", bookworm, "perl", "-e", script, name)
        assert done.stdout == "connected\n", done.stderr
