"""Connections that bash opens, as in a guest, but without ssh in between."""

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from postroj.contract import Capabilities, Listener
from postroj.deadline import Deadline
from postroj.errors import MissingToolError
from postroj.probe.check import read
from postroj.probe.judge import CannotTellError, Scene
from postroj.probe.kinds.udp import Udp
from postroj.vm import connecting
from postroj.vm.connecting import Dialled
from postroj.vm.ssh import Connection

from .fakes import FakeMachine


class Here(Connection):
    """One that runs the words on this host."""

    def __init__(self) -> None:
        pass

    def argv(self, words: Sequence[str], *, terminal: bool = False) -> list[str]:
        return list(words)


class InVm(FakeMachine):
    """A machine with a kernel of its own, whose connections are copies of one."""

    capabilities = Capabilities(reboot=True, snapshot=True, changes=True, own_kernel=True)

    def __init__(self, connection: socket.socket | None = None) -> None:
        super().__init__()
        self._connection = connection

    def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
        assert self._connection
        return os.dup(self._connection.fileno())


def _address(one: socket.socket) -> tuple[str, int]:
    host, port = one.getsockname()
    return host, port


@contextmanager
def opened(dialled: Dialled) -> Iterator[socket.socket]:
    fd, process = dialled
    with socket.socket(fileno=fd) as connection, process:
        connection.settimeout(20)
        yield connection
        connection.close()
        process.kill()
        assert process.stderr
        process.stderr.close()


def test_the_end_of_the_peer_is_seen() -> None:
    """HTTP/1.0 ends a body so."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as one:
                one.sendall(b"got " + one.recv(100))

        thread = threading.Thread(target=answer)
        thread.start()
        with opened(connecting.connect_to(Here(), *_address(server), 20)) as connection:
            connection.sendall(b"it")
            assert b"".join(iter(lambda: connection.recv(100), b"")) == b"got it"
        thread.join()


@pytest.mark.parametrize("number", range(10))
def test_the_peer_sees_our_end(number: int) -> None:
    """A server that reads from one client at a time has no time for others until then; however early our end comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialled = connecting.connect_to(Here(), *_address(server), 20)
        with server.accept()[0] as one:
            one.settimeout(20)
            socket.socket(fileno=dialled[0]).close()
            assert one.recv(100) == b""
        with dialled[1] as process:
            assert process.wait(20) is not None


def test_a_datagram_and_its_answer() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        with opened(connecting.connect_to(Here(), *_address(server), 20, udp=True)) as connection:
            connection.send(b"ping")
            asked, client = server.recvfrom(100)
            server.sendto(b"pong", client)
            assert (asked, connection.recv(100)) == (b"ping", b"pong")


def test_the_time_that_ssh_takes_is_not_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that is emulated, and works, takes longer than a check may."""
    monkeypatch.setattr(connecting, "_CONNECT", f"sleep 1\n{connecting._CONNECT}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        with opened(connecting.connect_to(Here(), *_address(server), 0.5)):
            pass


def test_what_cannot_be_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            connecting.connect_to(Here(), *_address(bound), 20)
    monkeypatch.setattr(connecting, "_CONNECT_PATH", connecting._CONNECT_PATH.replace("command -v", "command -V /no/"))
    with pytest.raises(MissingToolError, match="socat is missing in the guest"):
        connecting.connect_path(Here(), "/run/x", 20)


@pytest.mark.parametrize(
    ("check", "sockets", "passed"),
    [
        ("udp localhost:53", [], False),
        ("udp 127.0.0.1:53", [("tcp", "0.0.0.0", 53), ("udp", "192.0.2.1", 53), ("udp", "0.0.0.0", 54)], False),
        ("udp localhost:53", [("udp", "::", 53)], True),
        ("udp 127.0.0.1:53 send=x", [("udp", "127.0.0.1", 53)], True),
    ],
)
def test_a_port_that_takes_no_datagram_in_a_vm(
    check: str, sockets: Sequence[tuple[str, str, int]], passed: bool
) -> None:
    """A refusal does not come through, nor does an empty datagram: what listens is looked at."""
    own, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    with own, theirs:
        machine = InVm(own)
        machine.sockets = [Listener(*one, 0) for one in sockets]
        wanted = read(check)
        assert isinstance(wanted, Udp)
        seen = wanted.look(Scene(machine, 0.0, {}), Deadline(0.05))
    detail = "takes datagrams, no answer" if passed else "nothing listens on port 53/udp"
    assert (seen.passed, seen.detail) == (passed, detail)


def test_a_datagram_to_another_host_from_a_vm() -> None:
    wanted = read("udp 192.0.2.1:53")
    assert isinstance(wanted, Udp)
    with pytest.raises(CannotTellError, match=r"192.0.2.1:53 refuses no datagram .* from a virtual machine"):
        wanted.look(Scene(InVm(), 0.0, {}), Deadline(1))
