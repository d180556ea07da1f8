"""The guest's network: its own, apart from the host's and from other guests', with names that resolve."""

import socket
from collections.abc import Iterator

import pytest

from moments import started
from netting import CONNECT, KNOCK, REFUSED, SILENCE
from support import POSTROJ, Run

_CONNECT = ["sh", "-c", CONNECT, "sh"]
_KNOCK = ["sh", "-c", KNOCK, "sh"]

# Listens, tells its address, and goes on until it is ended.
_SERVER = """
    use IO::Socket::INET;
    my $server = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => 7777, Listen => 5) or die $!;
    my $way = IO::Socket::INET->new(Proto => "udp", PeerAddr => "192.0.2.1", PeerPort => 9) or die $!;
    $| = 1;
    print $way->sockhost, "\\n";
    while (my $client = $server->accept) { close $client }
"""


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server on all addresses of the host."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def test_loopback_is_the_guests_own(bookworm: str, postroj: Run, listener: int) -> None:
    with socket.create_connection(("127.0.0.1", listener), timeout=60):
        pass
    done = postroj("run", bookworm, *_CONNECT, "127.0.0.1", listener)
    assert done.returncode == REFUSED
    assert "Connection refused" in done.stderr


def test_servers_of_the_host_are_out_of_reach(bookworm: str, postroj: Run, listener: int) -> None:
    script = (
        "way=$(sed -n 's/^eth0\\t00000000\\t\\([0-9A-F]*\\).*/\\1/p' /proc/net/route)\n"
        "set -- $(echo $way | sed 's/../0x& /g') $1\n"
        "host=$(($4)).$(($3)).$(($2)).$(($1))\n"
        "echo $host\n"
        'exec timeout 3 bash -c ": </dev/tcp/$host/$5"'
    )
    done = postroj("run", bookworm, "sh", "-c", script, "sh", listener)
    assert done.stdout.startswith("10."), done.stderr
    assert done.returncode == 124, done.stderr


def test_guests_do_not_reach_each_other(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    with started([POSTROJ, "run", "--name=server", bookworm, "perl", "-e", _SERVER], environment) as server:
        assert server.stdout is not None
        address = server.stdout.readline().decode().strip()
        assert address.startswith("10."), server.communicate()
        with socket.create_connection((address, 7777), timeout=60):  # it can be reached from the host
            pass
        done = postroj("run", bookworm, *_KNOCK, address, "7777")
        assert done.returncode == SILENCE, done.stderr
        server.terminate()
        server.communicate(timeout=60)


def test_guest_reaches_itself(bookworm: str, postroj: Run) -> None:
    """By which the three tests above are known to try the right thing."""
    script = 'perl -e "$1" & until timeout 3 bash -c ": </dev/tcp/$(hostname)/7777"; do :; done 2>/dev/null; kill $!'
    done = postroj("run", bookworm, "timeout", "20", "sh", "-c", script, "sh", _SERVER)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["localhost", "$(hostname)"])
def test_names_of_its_own_resolve(name: str, bookworm: str, postroj: Run) -> None:
    done = postroj("run", bookworm, "sh", "-c", f"getent ahostsv4 {name}")
    assert done.stdout.startswith("127.0."), done.stderr


def test_interfaces_are_up(bookworm: str, postroj: Run) -> None:
    done = postroj(
        "run", bookworm, "sh", "-c", "cat /sys/class/net/eth0/operstate /sys/class/net/lo/carrier; ls /sys/class/net"
    )
    assert done.stdout == "up\n1\neth0\nlo\n"
