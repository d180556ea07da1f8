"""Checks as they are written, and their names."""

import pytest

from postroj.errors import UsageError
from postroj.probe import patterns
from postroj.probe.check import Setting, build, keys, model_of, name_of, read
from postroj.probe.kinds import KINDS
from postroj.probe.kinds.command import Command
from postroj.probe.kinds.http import Http
from postroj.probe.kinds.listen import Listen, Port
from postroj.probe.kinds.unit import Unit
from postroj.probe.network import parse
from postroj.probe.values import Named, Numbers, Text


def test_what_is_written_is_the_model() -> None:
    assert read("unit webfs") == Unit("webfs.service")
    assert read("unit webfs.socket active=no timeout=5") == Unit("webfs.socket", active=False, timeout=5)
    assert read("tcp localhost:80") == read("tcp tcp://localhost:80")
    assert read("listen 53/udp") == Listen(Port(53, "udp"))
    assert read("command 'nginx -t' output~=ok output!~='a b'") == Command(
        ("nginx", "-t"), output=(Text("~=", "ok"), Text("!~=", "a b"))
    )
    assert read("http https://localhost/health status=200,300-399 header!=Server=x verify=yes") == Http(
        parse("https://localhost/health"),
        status=Numbers("=", "200,300-399", ((200, 200), (300, 399))),
        header=(Named("Server", Text("!=", "x")),),
        verify="yes",
    )


def test_a_check_is_built_without_a_text() -> None:
    """As from a plan file, or from Python."""
    assert build("tcp", "localhost:80", [Setting("timeout", "=", "1.5")]) == read("tcp localhost:80 timeout=1.5")


@pytest.mark.parametrize(
    "text",
    [
        "unit webfs.service",
        "unit webfs.service active=no enabled=yes sub!=exited restarts=0-3",
        "tcp [::1]:80 send='PING\\r\\n' reply~=PONG",
        "udp localhost:53",
        "unix /run/x.sock",
        "http http://localhost:3000/?a=b status!=404 header~=Content-Type=^text body='' body!~='a b' http2=yes",
        "listen 53/udp process=named unit=named.service address=127.0.0.1,::1",
        "command \"sh -c 'exit 3'\" status=3 output~=^a+$",
        "file /etc/x type=file mode=0640 owner=root group!=0 content~=^a",
        "user x exists=no",
        "group x gid=1- member!=root",
        "package x version!=1.0",
        "journal all message~=a message!~=b",
        "process x user=root count=0",
        "sysctl net.ipv4.ip_forward value=1",
    ],
)
def test_the_name_of_a_check_is_a_check_again(text: str) -> None:
    check = read(text)
    assert name_of(check) == text
    assert read(name_of(check)) == check


def test_a_name_is_in_one_order_and_without_what_does_not_matter() -> None:
    assert name_of(read("file /x owner=root timeout=3 mode=640 exists=yes")) == "file /x mode=0640 owner=root"
    assert name_of(read("unit webfs")) == "unit webfs.service"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not a check"),
        ("http", "is not a check"),
        ("http 'http://x", "is not a check"),
        ("smtp localhost:25", "'smtp' is an unknown kind of check"),
        ("units webfs", "did you mean unit?"),
        ("unit webfs state=active", "'state=active' is not a setting of a check of unit"),
        ("http http://localhost bodi=x", "'bodi=x' is not a setting of a check of http; did you mean body?"),
        ("http http://localhost status=200 status=201", "there are two of status"),
        ("http http://localhost status", "'status' is not a setting: KEY=VALUE"),
        ("http http://localhost status=", "is not an HTTP status"),
        ("http http://localhost status=20", "is not an HTTP status"),
        ("http http://localhost status=999", "is not an HTTP status"),
        ("http http://localhost status=300-200", "is not an HTTP status"),
        ("http http://localhost status=\u0662\u0660\u0660", "is not an HTTP status"),
        ("http http://localhost status~=2..", "status has no ~="),
        ("http http://localhost header=x", "is not NAME=VALUE"),
        ("http http://localhost verify=maybe", "is none of yes, no"),
        ("http tcp://localhost:80", "is not an address of http"),
        ("http http://localhost body~=(", "is not a regular expression: missing \\), unterminated subpattern"),
        ("http http://localhost body~=", "has an empty regular expression"),
        (f"http http://localhost body~={'a' * 1001}", "it has more than 1000 characters"),
        (f"http http://localhost body~={'(' * 500}", "is not a regular expression"),
        ("http http://localhost body~=a{99999999999999999999}", "is not a regular expression"),
        ("tcp localhost", "has no port"),
        ("tcp http://localhost", "is not HOST:PORT"),
        ("tcp localhost:80 send='\\q'", "has the unknown escape"),
        ("udp udp://localhost:53", "is not HOST:PORT"),
        ("unix run/x.sock", "is not an absolute path"),
        ("listen 0", "is not a port"),
        ("listen 70000", "is not a port"),
        ("listen 53/sctp", "is not a port of tcp or udp"),
        ("listen 53 address=localhost", "does not appear to be an IPv4 or IPv6 address"),
        ("unit @.service", "cannot be a unit's name"),
        ("unit x restarts=-1", "is not a number"),
        ("command ''", "names no command"),
        ("command '\"a'", "No closing quotation"),
        ("command true status=256", "is not an exit status"),
        ("file etc/x", "is not an absolute path"),
        ("file /x mode=999", "is not a mode"),
        ("file /x type=dir", "is none of file, directory"),
        ("file /x timeout=0", "is not a number of seconds"),
        ("user --help", "cannot be a user's name"),
        ("group a:b", "cannot be a group's name"),
        ("package *", "cannot be a package's name"),
        ("journal x", "a check of journal needs message"),
        ("journal x message=y", "message has no ="),
        ("process a/b", "cannot be a process's name"),
        ("sysctl ../../etc/passwd value=1", "cannot be a kernel setting's name"),
        ("sysctl net/../../etc value=1", "cannot be a kernel setting's name"),
        ("file /a\0b", "has a NUL character"),
    ],
)
def test_wrong_ones(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read(text)
    assert len(caught.value.what) < 500


def test_a_wrong_one_is_told_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        read("unit webfs status=active")
    assert caught.value.hint == "it takes active=, enabled=, sub=, sub!=, restarts=, restarts!=, timeout="
    with pytest.raises(UsageError) as caught:
        read("package x version")
    assert caught.value.hint == "it takes installed=, version=, version!=, version~=, version!~=, timeout="


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_how_it_is_written(kind: str) -> None:
    first, *others = keys(model_of(kind)).values()
    text = f"{first.example} {' '.join(key.example.split(' or ')[0] for key in others)}"
    assert name_of(read(text)).startswith(f"{kind} ")


# what cannot be broken off in a thread


def test_a_pattern_is_compiled_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postroj.process.run", None)
    read("http http://localhost body~=[[a]")  # of which Python warns
    assert patterns.check("(?i)" + "[\\x00-\U0010ffff]" * 100) == ""
    with pytest.raises(UsageError, match="is not a regular expression: nothing to repeat"):
        read("http http://localhost body~=*")


def test_a_pattern_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 1)
    with pytest.raises(patterns.PatternError, match=r"the regular expression '\(a\+\)\+\$' took more than 1 s"):
        patterns.found("(a+)+$", "a" * 100 + "b")


def test_a_pattern_that_takes_all_memory_is_ended() -> None:
    with pytest.raises(patterns.PatternError, match="or than 512 MiB"):
        patterns.found("(?:(a)|b)*c", "ab" * (1 << 22))


def test_the_text_is_long_and_any() -> None:
    text = "\ud800\0" + "x" * (1 << 20) + "\nok"
    assert patterns.found("^ok$", text)
    assert patterns.found("^[^x]", text)
    assert not patterns.found("y", text)


def test_numbers_and_texts() -> None:
    ports = read("process x count=2,5-")
    assert name_of(ports) == "process x count=2,5-"
    numbers = Numbers("=", "2,5-", ((2, 2), (5, 9)))
    assert [number for number in range(12) if numbers.fits(number)] == [2, 5, 6, 7, 8, 9]
    assert numbers.expected() == "2 or 5 or more"
    assert not numbers._replace(operator="!=").fits(2)
    for operator, fits in {"=": False, "!=": True, "~=": True, "!~=": False}.items():
        assert Text(operator, "b").fits("abc") is fits
