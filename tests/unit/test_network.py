"""Network addresses, as users write them, and whether something real answers there."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, MachineLostError, UsageError
from postroj.probe import Finding, Outcome
from postroj.probe.check import of_address
from postroj.probe.judge import Scene, judge
from postroj.probe.network import parse

from .fakes import FakeMachine


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tcp://localhost:22", ("tcp", "localhost", 22, "/")),
        ("tcp://10.0.0.1:5432/", ("tcp", "10.0.0.1", 5432, "/")),
        ("tcp://[::1]:22", ("tcp", "::1", 22, "/")),
        ("http://localhost", ("http", "localhost", 80, "/")),
        ("http://localhost:", ("http", "localhost", 80, "/")),
        ("http://localhost:8000", ("http", "localhost", 8000, "/")),
        ("https://example.org/a/b", ("https", "example.org", 443, "/a/b")),
        ("https://example.org:8443?x=1&y=%20", ("https", "example.org", 8443, "/?x=1&y=%20")),
        ("http://a_b.c-d/x?y#z", ("http", "a_b.c-d", 80, "/x?y")),
        ("HTTP://LOCALHOST/A", ("http", "localhost", 80, "/A")),
        ("tcp://h:65535", ("tcp", "h", 65535, "/")),
    ],
)
def test_addresses(text: str, parts: tuple[str, str, int, str]) -> None:
    assert tuple(parse(text)) == (text, *parts)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "scheme"), ("localhost", "scheme"), ("localhost:80", "scheme"), ("//localhost:80", "scheme"),
        ("http:/h", "scheme"),
        ("udp://localhost:53", "scheme"), ("file:///etc/passwd", "scheme"), ("://h", "scheme"),
        ("http://", "host"), ("http:///x", "host"), ("tcp://:22", "host"), ("http://-x/", "host"),
        ("http://a*b/", "host"),
        ("http://user@h/", "host"), ("http://user:word@h/", "host"), ("http://@h/", "host"), ("http://a%00b/", "host"),
        ("tcp://localhost", "port"), ("tcp://localhost:0", "port"), ("tcp://localhost:65536", "ort"),
        ("tcp://h:-1", "ort"),
        ("tcp://h:ssh", "ort"), ("http://h:99999999999/", "ort"),
        ("tcp://h:1/path", "path"), ("tcp://h:1?query", "path"),
        ("http://[::1", "address"), ("http://]/", "address"), ("http://[v1.x/", "address"),
        ("http://h/a b", "percent"), ("http://h/\r\nX: y", "percent"), ("http://h/é", "percent"),
        ("http://h/\0", "percent"),
        ("http://" + "x" * 300, "host"),
    ],
)  # fmt: skip
def test_no_addresses(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert told in caught.value.what
    assert (len(caught.value.what) < 400 and caught.value.what.isprintable()) or "percent" in told


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """Something real on this host that takes one connection after the other, reads a little and answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    if connection.recv(4096):
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def probe(text: str, machine: FakeMachine | None = None, seconds: float = 0.0, deadline: float = 100.0) -> Finding:
    """Judge an address as --check-network does."""
    scene = Scene(machine or FakeMachine(), 0.0, {})
    return judge(of_address(parse(text)), f"network {text}", scene, seconds=seconds, deadline=Deadline(deadline))


@pytest.mark.parametrize(
    "status", ["200 OK", "204 No Content", "301 Moved", "401 Unauthorized", "404 Not Found", "499 x"]
)
def test_an_http_answer_below_500_passes(status: str) -> None:
    with server(f"HTTP/1.0 {status}\r\n\r\n".encode()) as port:
        found = probe(f"http://127.0.0.1:{port}/x?y")
    assert found == Finding(f"network http://127.0.0.1:{port}/x?y", Outcome.PASSED, f"answers {status}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 500 Oh\r\n\r\n", "answered 500 Oh; expected a status below 500"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "answered 503 Busy; expected a status below 500"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the reply is not HTTP"),
        (b"\0" * 100, "the reply is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + b"\r\n", "the reply is not HTTP"),
        (b"HTTP/1.1 " + b"9" * 100_000, "the reply is not HTTP"),
    ],
)
def test_any_other_answer_fails(answer: bytes, reason: str) -> None:
    with server(answer) as port:
        found = probe(f"http://127.0.0.1:{port}", FakeMachine(listens=["127.0.0.1:1"]))
    assert not found.passed
    assert found.detail.startswith(reason) and "no answer" not in found.detail
    assert found.evidence == "the machine listens on: 127.0.0.1:1"


def test_no_answer_at_all_fails() -> None:
    with server(b"") as port:
        assert not probe(f"http://127.0.0.1:{port}").passed


def test_an_answer_until_the_deadline() -> None:
    with server(b"HTTP/1.0 503 Busy\r\n\r\n") as port:
        found = probe(f"http://127.0.0.1:{port}", seconds=0.1)
    assert found.detail == "answered 503 Busy until the deadline (0.1 s); expected a status below 500"


def test_https_to_a_port_of_plain_http() -> None:
    with server(b"HTTP/1.0 200 OK\r\n\r\n") as port:
        found = probe(f"https://127.0.0.1:{port}/x")
    assert not found.passed
    assert found.detail.endswith(f"; the port speaks plain HTTP, not TLS: http://127.0.0.1:{port}/x")


@pytest.mark.parametrize("url", ["http", "https"])
def test_what_speaks_neither(url: str) -> None:
    with server(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        found = probe(f"{url}://127.0.0.1:{port}")
    assert not found.passed and "the port speaks" not in found.detail


@contextmanager
def tls_server(to_plain_http: bytes) -> Iterator[int]:
    """A port that speaks TLS, without a certificate; what does not is answered with `to_plain_http`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.settimeout(5)
                    with connection, suppress(OSError):
                        if connection.recv(1, socket.MSG_PEEK) != b"\x16":
                            connection.recv(4096)
                            connection.sendall(to_plain_http)
                            continue
                        with context.wrap_socket(connection, server_side=True) as wrapped:
                            wrapped.recv(4096)
                            wrapped.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


@pytest.mark.parametrize(
    ("to_plain_http", "passes"), [(b"", False), (b"\x15\x03\x01", False), (b"HTTP/1.0 400 Bad Request\r\n\r\n", True)]
)
def test_plain_http_to_a_port_of_tls(to_plain_http: bytes, passes: bool) -> None:
    with tls_server(to_plain_http) as port:
        assert probe(f"https://127.0.0.1:{port}").detail == "answers 200 OK"
        found = probe(f"http://127.0.0.1:{port}/x")
    assert found.passed is passes
    assert found.detail.endswith(f"; the port speaks TLS, not plain HTTP: https://127.0.0.1:{port}/x")


def test_a_bad_request_of_plain_http() -> None:
    with server(b"HTTP/1.0 400 Bad Request\r\n\r\n") as port:
        assert probe(f"http://127.0.0.1:{port}").detail == "answers 400 Bad Request"


def test_a_byte_now_and_then_does_not_hold_up_tls() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB
                while not done.wait(0.1):
                    connection.sendall(b"\x00")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert not probe(f"https://127.0.0.1:{listener.getsockname()[1]}", seconds=0.1).passed
        finally:
            done.set()
            thread.join()


def test_tcp_needs_a_connection_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = probe(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    assert found.passed and found.detail == "accepts connections"


def test_where_nothing_listens_one_attempt_is_made() -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else can have the port
        bound.bind(("127.0.0.1", 0))
        machine = FakeMachine()
        found = probe(f"tcp://127.0.0.1:{bound.getsockname()[1]}", machine)
    assert not found.passed and "refused" in found.detail
    assert found.evidence == "nothing in the machine listens on TCP"
    assert machine.connections == 1


def test_a_port_that_opens_later_is_found() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))

        class Later(FakeMachine):
            def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
                if self.connections == 1:
                    bound.listen()
                return super().connect(host, port, timeout)

        machine = Later()
        assert probe(f"tcp://127.0.0.1:{bound.getsockname()[1]}", machine, seconds=30).passed
    assert machine.connections == 2


def test_where_the_time_for_all_of_it_is_up_there_is_no_verdict() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(DeadlineError, match=r"network tcp://.* was not tried to the end"):
            probe(f"tcp://127.0.0.1:{bound.getsockname()[1]}", seconds=30, deadline=0)


def test_a_failure_stands_without_its_evidence() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = probe(f"tcp://127.0.0.1:{bound.getsockname()[1]}", FakeMachine(listens=MachineLostError("gone")))
    assert not found.passed and "gone" in found.evidence


def test_a_guest_that_goes_away_is_no_finding() -> None:
    class Lost(FakeMachine):
        def connect(self, host: str, port: int, timeout: float, *, udp: bool = False) -> int:
            raise MachineLostError("gone")

    with pytest.raises(MachineLostError):
        probe("tcp://127.0.0.1:1", Lost())
