"""--publish: the host answers on a port of a guest's."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from guests import Guest, guest
from moments import until
from netting import KNOCK, SERVE, SILENCE, greeting, host_address
from support import Run

# Reads to the end of what a client sends, and only then answers with what it was.
_ECHO_AT_THE_END = """
perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die $!;
    open(my $ready, ">", "/run/listening"); print $ready "yes"; close $ready;
    while (my $client = $server->accept) { local $/; my $all = <$client>; print $client $all; close $client }
' >/dev/null 2>&1 &
until [ -s /run/listening ]; do :; done
"""

# Says that it has said all, and goes on to count what a client sends.
_COUNT_AFTER_THE_END = """
perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die $!;
    open(my $ready, ">", "/run/listening"); print $ready "yes"; close $ready;
    my $client = $server->accept;
    print $client "all\\n"; shutdown($client, 1);
    local $/; my $all = <$client>;
    open(my $count, ">", "/run/new"); print $count length $all; close $count; rename "/run/new", "/run/count";
' >/dev/null 2>&1 &
until [ -s /run/listening ]; do :; done
"""


def free_port(address: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def published(environment: dict[str, str], bookworm: str, *publish: str, server: str = SERVE) -> Iterator[Guest]:
    with guest(environment, *(f"--publish={each}" for each in publish), bookworm) as one:
        assert one.ask(server, "guest", 80) == (0, "")
        yield one


def refused(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_on_loopback_by_default(bookworm: str, environment: dict[str, str]) -> None:
    port = free_port()
    with published(environment, bookworm, f"{port}:80"):
        for _ in range(20):
            assert greeting("127.0.0.1", port) == "guest\n"
        assert refused("127.0.0.2", port)
        for address in subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split():
            assert refused(address, port), address
    assert refused("127.0.0.1", port)


@pytest.mark.once
@pytest.mark.parametrize(("given", "address"), [("127.0.0.2", "127.0.0.2"), ("[::1]", "::1"), ("0.0.0.0", "127.0.0.3")])
def test_on_another_address(given: str, address: str, bookworm: str, environment: dict[str, str]) -> None:
    port = free_port(given.strip("[]"))
    with published(environment, bookworm, f"{given}:{port}:80"):
        assert greeting(address, port) == "guest\n"
        assert refused("127.0.0.1", port) == (given != "0.0.0.0")


@pytest.mark.once
def test_several(bookworm: str, environment: dict[str, str]) -> None:
    ports = [free_port(), free_port()]
    with published(environment, bookworm, *(f"{port}:80" for port in ports)):
        assert [greeting("127.0.0.1", port) for port in ports] == ["guest\n"] * 2


def test_of_a_machine_on_a_shared_network(bookworm: str, environment: dict[str, str]) -> None:
    port = free_port()
    with guest(environment, "--network=lab", f"--publish={port}:80", bookworm) as one:
        assert one.ask(SERVE, "guest", 80) == (0, "")
        assert greeting("127.0.0.1", port) == "guest\n"


@pytest.mark.once
def test_client_that_has_said_all(bookworm: str, environment: dict[str, str]) -> None:
    """It still gets its answer: a connection is closed in each direction by itself."""
    port = free_port()
    said = bytes(range(256)) * 4096
    with published(environment, bookworm, f"{port}:80", server=_ECHO_AT_THE_END):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as stream:
                assert stream.read() == said


@pytest.mark.once
def test_guest_that_has_said_all(bookworm: str, environment: dict[str, str]) -> None:
    port = free_port()
    with published(environment, bookworm, f"{port}:80", server=_COUNT_AFTER_THE_END) as one:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client, client.makefile("rb") as stream:
            assert stream.read() == b"all\n"
            client.sendall(b"x" * 300000)
        until(lambda: one.ask("cat /run/count") == (0, "300000"), "the guest has counted")


def test_guest_that_does_not_listen(bookworm: str, environment: dict[str, str]) -> None:
    """The connection is closed, and works as soon as somebody does."""
    port = free_port()
    with guest(environment, f"--publish={port}:80", bookworm) as one:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                assert client.recv(100) == b""
        assert one.ask(SERVE, "guest", 80) == (0, "")
        assert greeting("127.0.0.1", port) == "guest\n"


def test_clients_that_stay_do_not_keep_the_machine(bookworm: str, environment: dict[str, str]) -> None:
    port = free_port()
    with published(environment, bookworm, f"{port}:80", server=_ECHO_AT_THE_END) as one:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"and then nothing")
            assert one.leave() == (0, "")
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""


def test_port_on_all_addresses_is_not_for_other_machines(bookworm: str, environment: dict[str, str]) -> None:
    """They would reach by way of the host a machine whose network they are not on."""
    port = free_port("0.0.0.0")
    with published(environment, bookworm, f"0.0.0.0:{port}:80") as one, guest(environment, bookworm) as other:
        assert greeting(host_address(one), port) == "guest\n"
        assert other.ask(KNOCK, host_address(one), port).status == SILENCE


@pytest.mark.parametrize("command", ["run", "pkgprobe"])
def test_port_that_is_taken(command: str, bookworm: str, postroj: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = _with_publish(postroj, command, f"{port}:80", bookworm)
        assert done.stderr.startswith(f"postroj: 127.0.0.1:{port} cannot be published: Address already in use\n")
        assert (done.returncode, done.stdout) == (125 if command == "run" else 2, "")


def test_port_of_another_run(bookworm: str, environment: dict[str, str], postroj: Run) -> None:
    port = free_port()
    with published(environment, bookworm, f"{port}:80"):
        done = postroj("run", f"--publish={port}:80", bookworm, "true")
        assert done.stderr.startswith(f"postroj: 127.0.0.1:{port} cannot be published: Address already in use\n")
        assert (done.returncode, done.stdout) == (125, "")
        assert greeting("127.0.0.1", port) == "guest\n"


def test_port_twice(bookworm: str, postroj: Run) -> None:
    port = free_port()
    done = postroj("run", f"--publish={port}:80", f"--publish={port}:81", bookworm, "true")
    assert f"127.0.0.1:{port} cannot be published" in done.stderr
    assert done.returncode == 125


@pytest.mark.once
def test_port_of_a_run_that_has_just_ended(bookworm: str, environment: dict[str, str]) -> None:
    """With connections of it still in TIME_WAIT."""
    port = free_port()
    for _ in range(2):
        with published(environment, bookworm, f"{port}:80"):
            assert greeting("127.0.0.1", port) == "guest\n"


@pytest.mark.once
@pytest.mark.parametrize(
    "given",
    [
        "80", "80:", ":80", "0:80", "80:0", "65536:80", "80:65536", "8080:80/udp", "udp:8080:80", "a:b",
        "127.0.0.1:80", "127.0.0.256:8080:80", "::1:8080:80", "[::1:8080:80", "[]:8080:80", "localhost:8080:80",
        "8080-8090:80", " 8080:80", "8080:80\n", "-1:80", "٨٠:80", "",
    ],
)  # fmt: skip
def test_nonsense(given: str, bookworm: str, postroj: Run) -> None:
    _is_refused(_with_publish(postroj, "run", given, bookworm), 125)


@pytest.mark.once
def test_nonsense_for_pkgprobe(bookworm: str, postroj: Run) -> None:
    _is_refused(_with_publish(postroj, "pkgprobe", "80", bookworm), 2)


def _is_refused(done: "subprocess.CompletedProcess[str]", status: int) -> None:
    assert (done.returncode, done.stdout) == (status, "")
    assert "--publish" in done.stderr
    assert "Traceback" not in done.stderr


def test_address_that_is_not_the_hosts(bookworm: str, postroj: Run) -> None:
    done = postroj("run", "--publish=192.0.2.99:8080:80", bookworm, "true")
    assert done.stderr.startswith("postroj: 192.0.2.99:8080 cannot be published: Cannot assign requested address\n")
    assert (done.returncode, done.stdout) == (125, "")


def _with_publish(postroj: Run, command: str, given: str, bookworm: str) -> "subprocess.CompletedProcess[str]":
    words = {"run": [bookworm, "true"], "pkgprobe": [f"--image={bookworm}", "--check-unit=dbus"]}
    return postroj(command, f"--publish={given}", *words[command])
