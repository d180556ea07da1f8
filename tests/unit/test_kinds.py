"""What each kind of check makes of what it finds. Sockets are real ones of this host; what a guest says is played."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from postroj.contract import Completed, Listener, Running
from postroj.deadline import Deadline
from postroj.errors import DeadlineError
from postroj.probe import Finding, Outcome
from postroj.probe.check import name_of, read
from postroj.probe.judge import Scene, judge

from .fakes import Answer, FakeMachine, state


def look(text: str, machine: FakeMachine, seconds: float = 0.0, deadline: float = 100) -> Finding:
    check = read(text)
    scene = Scene(machine, 1.5, {})
    return judge(check, name_of(check), scene, seconds=seconds, deadline=Deadline(deadline))


def answering(**answers: Completed) -> FakeMachine:
    """A machine whose commands are answered by their first words."""

    def answer(argv: Sequence[str]) -> Answer:
        return answers.get(argv[0], Completed(127, ""))

    return FakeMachine(answer)


Serve = Callable[[socket.socket], None]


@contextmanager
def served(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve connections on this host, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with suppress(OSError), connection:
                    connection.settimeout(20)
                    if context:
                        with context.wrap_socket(connection, server_side=True) as tls:
                            serve(tls)
                    else:
                        serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


def replying(answer: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        if connection.recv(4096):
            connection.sendall(answer)

    return serve


OK = b"HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\n\r\nok\n"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", ""),
        ("status=200", ""),
        ("status=204", "status: expected 204, got 200 OK"),
        ("status!=200-299", "status: expected not 200-299, got 200 OK"),
        ("body=ok body~=^o body!~=x body!=x", ""),
        ("body=OK", "body: expected OK, got ok"),
        ("body~=x.y", "body: expected a match of 'x.y', got ok"),
        ("body!~=k", "body: expected no match of 'k', got ok"),
        ("header=server=x", ""),
        ("header=Set-Cookie=b=2", ""),
        ("header~=Set-Cookie=c", "header Set-Cookie: expected a match of 'c', got a=1"),
        ("header!~=Set-Cookie=b", "header Set-Cookie: expected no match of 'b', got b=2"),
        ("header=X-Y=1", "header X-Y: expected 1, got no such header"),
        ("header!=X-Y=1", ""),
        ("status=201 body=x", "status: expected 201, got 200 OK; body: expected x, got ok"),
    ],
)
def test_http(settings: str, told: str) -> None:
    with served(replying(OK)) as port:
        found = look(f"http http://127.0.0.1:{port}/ {settings}", FakeMachine())
    assert found.passed is (not told)
    assert found.detail == (told or "answers 200 OK")


def test_an_error_of_the_server_is_told_beside_what_was_expected() -> None:
    with served(replying(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) as port:
        found = look(f"http http://127.0.0.1:{port}", FakeMachine())
        assert found.detail == "answered 503 Busy; expected a status below 500"


@pytest.mark.parametrize("kind", ["tcp ", "http http://"])
def test_what_else_there_is_to_say_is_found_out_after_the_last_look(kind: str) -> None:
    class Counting(FakeMachine):
        asked = 0

        def listening_sockets(self) -> list[str]:
            self.asked += 1
            return ["127.0.0.1:1"]

    machine = Counting()
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        found = look(f"{kind}127.0.0.1:{bound.getsockname()[1]}", machine, seconds=0.3)
    assert found.detail == "no answer within 0.3 s: Connection refused; the machine listens on: 127.0.0.1:1"
    assert machine.connections > 1 and machine.asked == 1


_ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000 + b"ok"


def _without_end(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(_ENDLESS)
    while True:
        connection.sendall(b"x" * 65536)


def _slowly_without_end(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(_ENDLESS)
    connection.recv(1)  # until the client has had enough


@pytest.mark.parametrize("serve", [_without_end, _slowly_without_end])
def test_a_body_without_end(serve: Serve) -> None:
    with served(serve) as port:
        url = f"http http://127.0.0.1:{port} timeout=1"
        assert look(f"{url} body~=ok", FakeMachine()).passed
        found = look(f"{url} body!~=y", FakeMachine())
        assert found.detail.startswith("body: expected no match of 'y', got one without an end")


def test_a_body_that_is_cut_off_is_not_whole() -> None:
    with served(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")) as port:
        assert look(f"http http://127.0.0.1:{port} body~=ok", FakeMachine()).passed
        assert not look(f"http http://127.0.0.1:{port} body=ok", FakeMachine()).passed
    with served(replying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")) as port:
        assert not look(f"http http://127.0.0.1:{port} body=", FakeMachine()).passed


def test_http2() -> None:
    def serve(connection: socket.socket) -> None:
        begin = connection.recv(4096)
        connection.sendall(b"\0\0\0\4\0\0\0\0\0" if begin.startswith(b"PRI * HTTP/2.0") else OK)

    with served(serve) as port:
        assert look(f"http http://127.0.0.1:{port} http2=yes", FakeMachine()).passed
    with served(replying(OK)) as port:
        found = look(f"http http://127.0.0.1:{port} http2=yes", FakeMachine())
        assert found.detail == "http2: expected yes, got no"


@pytest.mark.skipif(not shutil.which("openssl"), reason="a certificate is made by openssl")
def test_a_certificate_is_verified_by_those_of_the_guest(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=web"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    trusting = answering(sh=Completed(0, certificate.read_text()))
    with served(replying(OK), context) as port:
        url = f"http https://127.0.0.1:{port}"
        assert look(url, answering()).passed
        assert look(f"{url} verify=yes", trusting).passed
        assert trusting.commands[-1][-4] == "/etc/ssl/certs/ca-certificates.crt"
        assert look(f"{url} verify=/etc/ca.pem", trusting).passed
        cut = answering(sh=Completed(0, f"{certificate.read_text()}-----BEGIN CERTIFICATE-----\nMII"))
        assert look(f"{url} verify=yes", cut).passed
        assert trusting.commands[-1][-1] == "/etc/ca.pem"
        found = look(f"{url} http2=yes", trusting)
        assert found.detail == "http2: expected yes, got no"
        found = look(f"{url} verify=yes", answering(sh=Completed(0, "")))
        assert found.detail.startswith("no answer within 0 s: the machine has no certificates to trust")
        assert not look(f"{url} verify=yes", answering(sh=Completed(0, "nonsense"))).passed
        with served(replying(OK), context) as other:
            found = look(f"http https://localhost:{other} verify=yes", trusting)
            assert "TLS: Hostname mismatch" in found.detail


# sockets


def _redis(connection: socket.socket) -> None:
    connection.sendall(b"+PONG\r\n" if connection.recv(100) == b"PING\r\n\xff" else b"-ERR")
    connection.recv(1)  # until the client has had enough


def test_a_reply() -> None:
    with served(_redis) as port:
        assert look(f"tcp 127.0.0.1:{port}", FakeMachine()).detail == "accepts connections"
        found = look(f"tcp 127.0.0.1:{port} send='PING\\r\\n\\xff' reply~=PONG", FakeMachine())
        assert (found.outcome, found.detail) == (Outcome.PASSED, "replies +PONG")
        assert look(f"tcp 127.0.0.1:{port} send='PING\\r\\n\\xff' reply=+PONG", FakeMachine()).passed
        found = look(f"tcp 127.0.0.1:{port} send=x reply~=PONG", FakeMachine())
        assert found.detail == "reply: expected a match of 'PONG', got -ERR"


def test_a_reply_without_end() -> None:
    def serve(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    with served(serve) as port:
        assert not look(f"tcp 127.0.0.1:{port} reply!~=x", FakeMachine()).passed


def test_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

        def echo() -> None:
            while True:
                data, client = server.recvfrom(100)
                if data == b"end":
                    return
                if data:
                    server.sendto(data, client)

        thread = threading.Thread(target=echo, daemon=True)
        thread.start()
        assert look(f"udp 127.0.0.1:{port}", FakeMachine()).detail == "takes datagrams, no answer"
        assert look(f"udp 127.0.0.1:{port} send=x", FakeMachine()).detail == "answers"
        assert look(f"udp 127.0.0.1:{port} send=hello reply=hello", FakeMachine()).passed
        found = look(f"udp 127.0.0.1:{port} send=hello reply=x", FakeMachine())
        assert found.detail == "reply: expected x, got hello"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"end", ("127.0.0.1", port))
        thread.join(10)
    assert look(f"udp 127.0.0.1:{port}", FakeMachine()).detail == "no answer within 0 s: Connection refused"


def test_what_listens() -> None:
    machine = FakeMachine()
    machine.sockets = [
        Listener("tcp", "0.0.0.0", 80, 7),
        Listener("tcp", "::", 80, 8),
        Listener("tcp", "127.0.0.1", 81, 9),
        Listener("udp", "127.0.0.1", 53, 10),
    ]
    machine.running = [
        Running(5, "nginx", 33, "nginx.service", frozenset([7, 8])),
        Running(6, "a-very-long-nam", 0, "a.service", frozenset([9])),
    ]
    for good in (
        "80 process=nginx unit=nginx address=::,0.0.0.0", "81 process=a-very-long-name address!=0.0.0.0,::", "53/udp",
    ):  # fmt: skip
        assert look(f"listen {good}", machine).passed
    for bad, told in {
        "53": "nothing listens on port 53",
        "80/udp": "nothing listens on port 80/udp",
        "80 process=apache2 unit=apache2": "process: expected apache2, got nginx; "
        "unit: expected apache2.service, got nginx.service",
        "53/udp process=named": "process: expected named, got none",
        "80 address=127.0.0.1": "address: expected 127.0.0.1, got 0.0.0.0,::",
        "80 address!=0.0.0.0": "address: expected not 0.0.0.0, got 0.0.0.0,::",
    }.items():
        assert look(f"listen {bad}", machine).detail == told


# what the guest's programs say


def test_processes() -> None:
    passwd = "www-data:x:33:33::/:/bin/false\nroot:x:0:0::/:/bin/sh\n"
    machine = answering(getent=Completed(0, passwd))
    machine.running = [
        Running(1, "systemd", 0, "init.scope", frozenset()),
        Running(5, "nginx", 0, "nginx.service", frozenset()),
        Running(6, "nginx", 33, "nginx.service", frozenset()),
    ]
    assert look("process nginx", machine).detail == "2 of them"
    assert look("process nginx count=2-3", machine).passed
    assert look("process systemd user=0", machine).passed
    assert look("process nginx user=www-data", machine).detail == "user: expected www-data, got root, www-data"
    assert look("process nginx user=0", machine).detail == "user: expected 0, got 0, 33"
    assert look("process nginx user=other", machine).detail == "user: expected other, which does not exist"
    assert look("process apache2", machine).detail == "count: expected 1 or more, got 0"
    assert look("process systemd count=0", machine).detail == "count: expected 0, got 1"


def test_a_command() -> None:
    machine = answering(a=Completed(3, "one\ntwo\n"), yes=Completed(0, "y\n", is_cut=True))
    assert look("command a status=3 output~=^two$ output='one\ntwo'", machine).passed
    assert look("command a", machine).detail == "status: expected 0, got 3"
    assert look("command nothing", machine).detail == "status: expected 0, got 127"
    assert look("command yes output~=y", machine).passed
    for unknown in ("output!~=z", "output~=z"):
        assert look(f"command yes {unknown}", machine).outcome is Outcome.UNKNOWN
    assert look("command yes output!~=y", machine).outcome is Outcome.FAILED
    slow = FakeMachine(lambda argv: DeadlineError("slow", why="half"))
    found = look("command a timeout=1", slow)
    assert (found.detail, found.evidence) == ("did not end within 1 s", "half")


def test_a_file() -> None:
    stat = Completed(0, "81a0 0 root 4 adm 9\n")  # a plain file with the mode 0640
    machine = answering(stat=stat, head=Completed(0, "port = 1\n"))
    assert look("file /x type=file mode=640 owner=root group=4 content~='^port = [0-9]+$'", machine).passed
    assert machine.commands[0] == ["stat", "-L", "-c", "%f %u %U %g %G %s", "--", "/x"]
    found = look("file /x type=directory mode=0644 owner=grafana group!=adm content=x", machine)
    assert found.detail.split("; ") == [
        "type: expected directory, got file",
        "mode: expected 0644, got 0640",
        "owner: expected grafana, got root",
        "group: expected not adm, got adm",
        "content: expected x, got port = 1",
    ]
    assert look("file /x exists=no", machine).detail == "exists: expected no, got yes"
    long = answering(stat=Completed(0, "81a0 0 root 4 adm 300000\n"), head=Completed(0, "port = 1\n"))
    assert look("file /x content~=^port", long).passed
    assert look("file /x content~=end", long).outcome is Outcome.UNKNOWN
    link = answering(stat=Completed(0, "a1ff 0 root 0 root 9\n"))
    assert look("file /x type=symlink", link).passed
    assert "-L" not in link.commands[0]
    absent = answering(stat=Completed(1, "stat: cannot stat '/x': No such file or directory\n"))
    assert look("file /x", absent).detail == "does not exist"
    assert look("file /x exists=no", absent).passed
    closed = answering(stat=Completed(1, "stat: cannot stat '/x': Input/output error\n"))
    assert not look("file /x exists=no", closed).passed
    assert not look("file /x", answering()).passed
    assert not look("file /x", answering(stat=Completed(0, "a lie"))).passed


def test_a_user_and_a_group() -> None:
    machine = answering(
        getent=Completed(0, "x:x:107:113:,,:/var/lib/x:/usr/sbin/nologin\n"), id=Completed(0, "x adm\n")
    )
    assert look("user x uid=100-999 home=/var/lib/x shell~=nologin$ member=adm member!=root", machine).passed
    found = look("user x uid=1000- home=/ shell=/bin/sh group=y member=root", machine)
    assert found.detail.split("; ") == [
        "uid: expected 1000 or more, got 107",
        "home: expected /, got /var/lib/x",
        "shell: expected /bin/sh, got /usr/sbin/nologin",
        "group: expected y, got x adm",
        "member: expected root, got x, adm",
    ]
    assert look("user x exists=no", machine).detail == "exists: expected no, got yes"
    group = answering(getent=Completed(0, "x:x:113:a,b\n"))
    assert look("group x gid=113 member=a member!=c", group).passed
    assert look("group x member=c", group).detail == "member: expected c, got a, b"
    absent = answering(getent=Completed(2, ""))
    for kind in ("user", "group"):
        assert look(f"{kind} x", absent).detail == "does not exist"
        assert look(f"{kind} x exists=no", absent).passed
        assert not look(f"{kind} x exists=no", answering()).passed
        assert not look(f"{kind} x", answering(getent=Completed(0, "a lie"))).passed
    number = "9" * 5000  # of which Python makes no int
    for kind, entry in (("user x uid=1", f"x:x:{number}:1:::"), ("group x gid=1", f"x:x:{number}:")):
        assert look(kind, answering(getent=Completed(0, entry))).outcome is Outcome.UNKNOWN


def test_a_package() -> None:
    debian = answering(**{"dpkg-query": Completed(0, "installed 1:1.0-2\n")})
    fedora = answering(rpm=Completed(0, "installed 1:1.0-2.fc43\n"))
    arch = answering(pacman=Completed(0, "x 1:1.0-2\n"))
    for machine in (debian, fedora, arch):
        assert look("package x version~=^1:1.0-2", machine).passed
        assert look("package x version!~=^2", machine).passed
        assert look("package x version=2", machine).detail.startswith("version: expected 2, got 1:1.0-2")
        assert look("package x installed=no", machine).detail.startswith("installed: expected no, got 1:1.0-2")
    removed = answering(**{"dpkg-query": Completed(0, "config-files 1.0\n")})
    for machine in (removed, answering(rpm=Completed(1, "package x is not installed\n"))):
        assert look("package x", machine).detail == "installed: expected yes, got not installed"
        assert look("package x installed=no", machine).passed
    assert look("package x installed=no", answering()).detail == "the machine has none of dpkg, rpm and pacman"


def test_the_journal() -> None:
    lines = "Started A command of postroj's.\nready\npanic: no table\n"
    machine = answering(journalctl=Completed(0, lines))
    assert look("journal x message~=^ready$ message!~=postroj", machine).detail == "as expected, in 2 lines"
    assert machine.commands[-1][-2:] == ["--since=@1.500000", "--unit=x.service"]
    assert not look("journal all message~=no.such", machine).passed
    assert machine.commands[-1][-1] == "--since=@1.500000"
    found = look("journal x message!~=panic message~=done", machine)
    assert found.detail.split("; ") == [
        "message: expected no match of 'panic', got 'panic: no table'",
        "message: expected a match of 'done', got none in 2 lines",
    ]
    cut = answering(journalctl=Completed(0, lines, is_cut=True))
    assert look("journal x message~=ready", cut).passed
    assert look("journal x message!~=x", cut).outcome is Outcome.UNKNOWN
    assert not look("journal x message!~=x", answering()).passed


def test_a_kernel_setting() -> None:
    machine = answering(cat=Completed(0, "32768\t60999\n"))
    assert look("sysctl net.ipv4.ip_local_port_range value='32768 60999'", machine).passed
    assert machine.commands[-1] == ["cat", "--", "/proc/sys/net/ipv4/ip_local_port_range"]
    assert look("sysctl net/ipv4/conf/eth0.1/x value=1", machine).detail == "value: expected 1, got 32768 60999"
    assert machine.commands[-1][-1] == "/proc/sys/net/ipv4/conf/eth0.1/x"
    look("sysctl net.ipv4.conf.eth0/1.x value=1", machine)
    assert machine.commands[-1][-1] == "/proc/sys/net/ipv4/conf/eth0.1/x"
    absent = answering(cat=Completed(1, "cat: /proc/sys/x: No such file or directory\n"))
    assert look("sysctl x value!=1", absent).detail == "cannot be read: No such file or directory"


def test_a_unit() -> None:
    machine = FakeMachine(states=[state("active", "running", restarts=2)])
    assert look("unit webfs enabled=no sub=running restarts=1-3", machine).passed
    found = look("unit webfs active=no enabled=yes sub=exited restarts=0", machine)
    assert found.detail.split("; ") == [
        "active: expected no, got active",
        "enabled: expected yes, got no unit file",
        "sub: expected exited, got running",
        "restarts: expected 0, got 2",
    ]


def test_a_unit_is_waited_for_by_its_signals() -> None:
    machine = FakeMachine(states=[state("activating", "start"), state("active", "running")])
    assert look("unit webfs sub=running timeout=30", machine).passed
    assert len(machine.fake_watch.waits) == 1


# time


def test_a_check_that_comes_true_later() -> None:
    answers = [Completed(1, ""), Completed(1, ""), Completed(0, "")]
    machine = FakeMachine(lambda argv: answers.pop(0))
    assert look("command x timeout=30", machine).passed


def test_a_pattern_that_takes_too_long_gives_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    from postroj.probe import patterns

    check = read("command x output~=(a+)+$")
    monkeypatch.setattr(patterns, "SECONDS", 1)
    machine = answering(x=Completed(0, "a" * 100 + "b"))
    found = judge(check, "name", Scene(machine, 0, {}), seconds=0, deadline=Deadline(100))
    assert found.outcome is Outcome.UNKNOWN


def test_the_time_for_all_of_it() -> None:
    with pytest.raises(DeadlineError, match=r"command x was not tried to the end: --timeout expired"):
        look("command x", answering(x=Completed(1, "")), deadline=0)
