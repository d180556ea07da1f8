"""Connections that are passed on, over this host's loopback."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from postroj.container.network.pump import Connections
from postroj.container.network.resolver import Target

_SYN_SENT = "02"
"""As /proc/net/tcp has it: proc_pid_net(5), include/net/tcp_states.h."""


def _target(listener: socket.socket) -> Target:
    return socket.AF_INET, listener.getsockname()


@contextmanager
def _silent() -> Iterator[Target]:
    """Yield the address of a server that has no place for more connections: the kernel lets all others wait."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        _, address = _target(listener)
        for _ in range(2):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(address)
        yield _target(listener)


@contextmanager
def _passed_on(connections: Connections, *targets: Target) -> Iterator[socket.socket]:
    """Yield the client's end of a connection that is passed on."""
    client, served = socket.socketpair()
    client.settimeout(60)
    with client:
        connections.pass_on(served, targets, seconds=1e6)
        yield client


def _close(connections: Connections) -> None:
    """Close them, which must not wait for any of them."""
    closing = threading.Thread(target=connections.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


def _wait_connecting(target: Target, count: int) -> None:
    """Return when so many connections to a target are not taken yet."""
    _, (_, port) = target
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with open("/proc/net/tcp") as file:
            fields = [line.split()[2:4] for line in file]
        if sum(one[0].endswith(f":{port:04X}") and one[1] == _SYN_SENT for one in fields) == count:
            return
    raise AssertionError("nothing connects")


def test_the_bytes_of_both_sides_are_passed_on() -> None:
    connections = Connections()
    with socket.create_server(("127.0.0.1", 0)) as listener, _passed_on(connections, _target(listener)) as client:
        server, _ = listener.accept()
        with server:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert server.makefile("rb").read() == b"question"
            server.sendall(b"answer")
        assert client.makefile("rb").read() == b"answer"
    connections.close()


def test_the_next_target_is_tried() -> None:
    connections = Connections()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = _target(gone)
    with socket.create_server(("127.0.0.1", 0)) as there, _passed_on(connections, nobody, _target(there)) as client:
        there.accept()[0].close()
        assert client.recv(1) == b""
    connections.close()


def test_a_client_that_no_target_takes_is_closed() -> None:
    connections = Connections()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = _target(gone)
    with _passed_on(connections, nobody) as client:
        assert client.recv(1) == b""
    connections.close()


def test_more_than_there_may_be_are_closed() -> None:
    connections = Connections(most=1)
    with socket.create_server(("127.0.0.1", 0)) as there, _passed_on(connections, _target(there)):
        with there.accept()[0], _passed_on(connections, _target(there)) as second:
            assert second.recv(1) == b""
    connections.close()


@pytest.mark.parametrize("side", ["server", "client"])
def test_a_side_that_reads_nothing_does_not_keep_a_connection(side: str) -> None:
    connections = Connections()
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as there, _passed_on(connections, _target(there)) as client:
        with there.accept()[0] as server:
            one = client if side == "server" else server
            one.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    one.send(bytes(65536))
            _close(connections)
            assert threading.active_count() == threads


def test_one_that_still_connects_ends_with_the_others() -> None:
    """And tries no further target."""
    connections = Connections()
    threads = threading.active_count()
    with _silent() as silent, socket.create_server(("127.0.0.1", 0)) as next_one:
        with _passed_on(connections, silent, _target(next_one)) as client:
            _wait_connecting(silent, 2)
            _close(connections)
            assert threading.active_count() == threads
            assert client.recv(1) == b""
            next_one.setblocking(False)
            with pytest.raises(BlockingIOError):
                next_one.accept()


def test_none_is_passed_on_once_they_are_broken_off() -> None:
    connections = Connections()
    connections.close()
    with socket.create_server(("127.0.0.1", 0)) as there, _passed_on(connections, _target(there)) as client:
        assert client.recv(1) == b""
