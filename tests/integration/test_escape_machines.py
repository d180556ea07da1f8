"""What root in a guest may try against machines on networks that it is not on: it does not reach them.

As in test_escape_network.py, each attempt comes through once rules are taken away.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guests import Guest
from moments import until
from netting import (
    CONNECT,
    DATAGRAM,
    IP,
    KNOCK,
    SILENCE,
    do_not_filter,
    empty,
    greeting,
    guest_with_tools,
    host_address,
    host_interface,
)

_PORT = 7777

# Servers that go on when the shell goes on: one names itself to whoever connects, one keeps what datagrams bring.
_SERVE = """
perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalPort => 7777, Listen => 64) or die $!;
    open(my $ready, ">", "/run/tcp") or die $!;
    while (my $client = $server->accept) { print $client "$ARGV[0]\\n"; close $client }
' "$1" >/dev/null 2>&1 &
perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalPort => 7777, Proto => "udp") or die $!;
    open(my $ready, ">", "/run/udp") or die $!;
    while ($server->recv(my $text, 100)) { open(my $file, ">", "/run/received"); print $file $text }
' >/dev/null 2>&1 &
until [ -e /run/tcp ] && [ -e /run/udp ]; do :; done
"""


@contextmanager
def victim(environment: dict[str, str], bookworm: str, network: str) -> Iterator[Guest]:
    with guest_with_tools(environment, f"--network={network}", bookworm) as one:
        assert one.ask(_SERVE, "victim") == (0, "")
        yield one


def has_received(one: Guest) -> bool:
    """Whether a datagram has come; it is forgotten."""
    return one.ask("[ -e /run/received ] && rm /run/received").status == 0


def assert_out_of_reach(attacker: Guest, other: Guest, where: str = "") -> None:
    assert attacker.ask(KNOCK, other.address(), _PORT) == (SILENCE, ""), where
    assert attacker.ask(DATAGRAM, other.address(), _PORT) == (0, ""), where
    assert not has_received(other), where


@pytest.mark.parametrize(
    ("network", "attackers_network"), [("lab", "other"), ("lab", "private"), ("private", "lab"), ("private", "private")]
)
def test_machine_of_another_network(
    network: str, attackers_network: str, bookworm: str, environment: dict[str, str]
) -> None:
    with (
        victim(environment, bookworm, network) as other,
        guest_with_tools(environment, f"--network={attackers_network}", bookworm) as attacker,
    ):
        assert greeting(other.address(), _PORT) == "victim\n"
        assert_out_of_reach(attacker, other)

        empty("forward")
        assert attacker.ask(CONNECT, other.address(), _PORT) == (0, "")
        attacker.ask(DATAGRAM, other.address(), _PORT)
        until(lambda: has_received(other), "the datagram", 10)


def test_address_of_a_member(bookworm: str, environment: dict[str, str]) -> None:
    """Given to itself by a machine of another network: what it sends under it does not arrive."""
    with (
        victim(environment, bookworm, "lab") as other,
        guest_with_tools(environment, "--network=lab", bookworm) as member,
        guest_with_tools(environment, "--network=other", bookworm) as attacker,
    ):
        interface = host_interface(attacker)
        forge(attacker, member.address(), other.address())
        assert_out_of_reach(attacker, other)
        empty("forward")
        assert_out_of_reach(attacker, other, "the rule against forgery")

        do_not_filter(interface)
        empty("prerouting")
        attacker.ask(DATAGRAM, other.address(), _PORT)
        until(lambda: has_received(other), "the datagram", 10)


def test_address_of_another_member(bookworm: str, environment: dict[str, str]) -> None:
    """Nor does a machine pass for another on the network that they share."""
    with (
        victim(environment, bookworm, "lab") as other,
        guest_with_tools(environment, "--network=lab", bookworm) as member,
        guest_with_tools(environment, "--network=lab", bookworm) as attacker,
    ):
        interface = host_interface(attacker)
        attacker.ask(DATAGRAM, other.address(), _PORT)
        until(lambda: has_received(other), "what it sends under its own address", 10)
        forge(attacker, member.address(), other.address())
        assert_out_of_reach(attacker, other)

        do_not_filter(interface)
        empty("prerouting")
        attacker.ask(DATAGRAM, other.address(), _PORT)
        until(lambda: has_received(other), "the datagram", 10)


def test_address_that_is_taken(bookworm: str, environment: dict[str, str]) -> None:
    """Whoever takes another machine's address does not get what is sent to it."""
    with (
        victim(environment, bookworm, "lab") as other,
        guest_with_tools(environment, "--network=lab", bookworm) as member,
        guest_with_tools(environment, "--network=other", bookworm) as attacker,
    ):
        address = other.address()
        forge(attacker, address, member.address())
        assert attacker.ask(_SERVE, "attacker") == (0, "")
        attacker.ask(DATAGRAM, member.address(), _PORT)
        attacker.ask(f"{IP} neigh flush dev eth0; chroot /mnt arping -U -c 1 -I eth0 $1", address)
        assert greeting(address, _PORT) == "victim\n"
        assert member.ask("exec 3<>/dev/tcp/$1/$2; cat <&3".join(["bash -c '", '\' bash "$@"']), address, _PORT) == (
            0,
            "victim\n",
        )


def forge(attacker: Guest, address: str, target: str) -> None:
    """Have what it sends to a target come from an address that is not its own."""
    host = host_address(attacker)
    script = f"{IP} address add {address}/32 dev eth0 && {IP} route replace {target} via {host} src {address}"
    assert attacker.ask(script) == (0, "")
