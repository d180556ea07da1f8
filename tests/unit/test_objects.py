"""What an error is about that does not name it."""

from collections.abc import Collection, Sequence

import pytest

from postroj.contract import Change, Changes, Completed, Listener, Running, UnitFacts
from postroj.probe import evidence, holders, tmpfiles, traceback
from postroj.probe.objects import Error
from postroj.probe.unitfile import parse

from .fakes import FakeMachine

_TRACEBACK = """Traceback (most recent call last):
  File "/usr/bin/web", line 7, in <module>
    server = HTTPServer(("{address}", {port}), Handler)
  File "/usr/lib/python3.11/socketserver.py", line 456, in __init__
    self.server_bind()
    ^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/socketserver.py", line 472, in server_bind
    self.socket.bind(self.server_address)
OSError: [Errno 98] Address already in use"""
_ROUTES = "  |-- 10.1.0.2\n      /32 host LOCAL\n"
_IN_USE = "OSError: [Errno 98] Address already in use"
_USER = UnitFacts(user="web")


def _machine(*answers: tuple[str, str]) -> FakeMachine:
    """Return a machine in which webfs listens on port 8000; a command is answered by the first word that it has."""

    def answer(argv: Sequence[str]) -> Completed:
        return Completed(0, next((text for word, text in answers if word in argv), ""))

    machine = FakeMachine(answer)
    machine.sockets = [Listener("tcp", "0.0.0.0", 8000, 1), Listener("udp", "0.0.0.0", 53, 2)]
    machine.running = [Running(9, "webfsd", 33, "webfs.service", frozenset({1}))]
    return machine


def _brought(machine: FakeMachine, *paths: str) -> FakeMachine:
    """Return a machine that has these files over its image."""
    machine.changed = Changes({path: Change("added", "file", 0o644, 0, 0, 1, 0) for path in paths})
    return machine


def _clause(
    line: str,
    words: str = "",
    file: str = "",
    *,
    machine: FakeMachine | None = None,
    ports: Collection[int] = (),
) -> str:
    machine = machine or _machine(("/proc/net/fib_trie", _ROUTES))
    return Error(machine, "web.service", line, words or line, _USER, parse(f"[Service]\n{file}"), ports).clause()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (_IN_USE, True),
        ("PermissionError: [Errno 13] Permission denied", True),
        ("MemoryError", True),
        ("ConnectionRefusedError", True),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/etc/x'", False),
        ("bind 80: Address already in use", False),
        ("ValueError: no port", False),
    ],
)
def test_an_error_without_an_object(line: str, told: bool) -> None:
    assert traceback.is_bare(line) is told


def test_the_line_of_the_program_itself_is_shown() -> None:
    words = "starting\n" + _TRACEBACK.format(address="0.0.0.0", port=8000)
    error = Error(_machine(), "web.service", _IN_USE, words, _USER, parse(""), ())
    assert error.shown == f'{_IN_USE}, at: server = HTTPServer(("0.0.0.0", 8000), Handler) (/usr/bin/web:7)'
    assert ".bind(" in error.text
    assert Error(_machine(), "web.service", "no port", words, _USER, parse(""), ()).shown == "no port"


_HELD = "8000 is held by webfsd of webfs.service"


def test_who_holds_a_port() -> None:
    machine = _machine()
    assert _clause(_IN_USE, _TRACEBACK.format(address="", port=8000)) == _HELD
    assert _clause("bind to port 8000 failed: Address already in use") == _HELD
    assert _clause(_IN_USE) == _HELD  # the only one that is taken
    assert _clause("bind /run/web.sock: Address already in use") == ""
    machine.sockets.append(Listener("tcp", "::", 9000, 3))
    machine.running.append(Running(8, "other", 33, "other.service", frozenset({3})))
    assert _clause(_IN_USE, machine=machine) == ""
    assert _clause(_IN_USE, machine=machine, ports={9000}) == "9000 is held by other of other.service"
    assert _clause(_IN_USE, file="ExecStart=/usr/bin/web --listen=:8000", machine=machine) == _HELD
    assert _clause("bind :53: Address already in use", machine=machine) == ""
    machine.running.append(Running(7, "resolved", 33, "resolved.service", frozenset({2})))
    assert _clause("bind :53: Address already in use", machine=machine) == "53 is held by resolved of resolved.service"
    machine.running = [Running(9, "web", 33, "web.service", frozenset({1, 3}))]
    assert _clause(_IN_USE, machine=machine) == ""


@pytest.mark.parametrize(
    ("line", "words", "file", "told"),
    [
        ("OSError: [Errno 99] Cannot assign requested address", _TRACEBACK.replace(_IN_USE, "").format(
            address="192.168.1.10", port=80), "", "192.168.1.10 is not an address of this machine"),
        ("bind 10.1.0.2: Cannot assign requested address", "", "", ""),
        ("bind 0.0.0.0: Cannot assign requested address", "", "ExecStart=/x 127.0.0.1 10.9.9.9",
         "10.9.9.9 is not an address of this machine"),
        ("connect to localhost:6379: Connection refused", "", "", "nothing listens on port 6379"),
        ("connect('localhost', 6379, timeout=3000) on port: [Errno 111] Connection refused", "", "",
         "nothing listens on port 6379"),
        ("connect to localhost:8000: Connection refused", "", "", ""),
        ("connect to db.example.org:6379: Connection refused", "", "", ""),
        ("all is well", "", "", ""),
    ],
)  # fmt: skip
def test_addresses(line: str, words: str, file: str, told: str) -> None:
    assert _clause(line, words, file) == told


@pytest.mark.parametrize(
    ("error", "absent", "told"),
    [
        (
            "bind failed: No such file or directory",
            "/run/web",
            "/run/web does not exist: /usr/lib/tmpfiles.d/web.conf was",
        ),
        ("/run/web/ctl: No such file or directory", "/run/web", "/run/web does not exist: "),
        ("/etc/web.conf: No such file or directory", "/run/web", ""),
        ("bind failed: No such file or directory", "", ""),
    ],
)
def test_a_path_that_nobody_has_made(error: str, absent: str, told: str) -> None:
    files = "/usr/lib/tmpfiles.d/web.conf\n/usr/lib/tmpfiles.d/x.conf\n"
    lines = "/usr/lib/tmpfiles.d/web.conf:d /run/web 0755 root root -\n/usr/lib/tmpfiles.d/web.conf:d\n"
    machine = _brought(_machine(("find", files), ("grep", lines), ("sh", absent)), "/usr/lib/tmpfiles.d/web.conf")
    found = tmpfiles.not_applied(machine, error)
    assert found.startswith(told) and bool(found) is bool(told)


def test_a_file_of_the_image_is_none_that_a_package_has_brought() -> None:
    """Whatever its times are."""
    machine = _machine(("find", "/usr/lib/tmpfiles.d/web.conf"), ("grep", "/usr/lib/tmpfiles.d/web.conf:d /run/web -"))
    assert not tmpfiles.not_applied(machine, "bind failed: No such file or directory")
    assert evidence.brought(_brought(_machine(), "/etc/a"), ["/etc/a", "/etc/b"]) == ["/etc/a"]
    linked = _brought(_machine(("readlink", "/usr/lib")), "/usr/lib/a")
    assert evidence.brought(linked, ["/lib/a", "/lib/b"]) == ["/lib/a"]


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_machine_that_does_not_know_all_its_changes_is_asked_for_times(is_cut: bool) -> None:
    machine = _machine(("-newercm", "/etc/a\n"))
    machine.changed = machine.changed._replace(is_cut=is_cut)
    machine.capabilities = machine.capabilities._replace(changes=is_cut)
    assert evidence.brought(machine, ["/etc/a", "/etc/b"]) == ["/etc/a"]


@pytest.mark.parametrize(
    ("units", "told"),
    [
        (["web.service"], "webfsd of webfs.service"),
        (["web.service", "webfs.service"], ""),
        (["web.socket"], ""),
        ([], ""),
    ],
)
def test_who_answers_instead(units: list[str], told: str) -> None:
    assert holders.foreign(_machine(), 8000, units) == told
    assert holders.foreign(_machine(), 8001, units) == ""


@pytest.mark.parametrize(
    ("path", "near", "elsewhere", "meant"),
    [
        ("/etc/default/webd", "/etc/default/web", "", "/etc/default/web"),
        ("/etc/web/web.conf", "", "/etc/web/web.conf\n/etc/web.conf\n/x", "/etc/web.conf"),
        ("/etc/web/web.conf", "/etc/web/other", "", ""),
        ("relative", "", "/etc/relative", ""),
    ],
)
def test_the_file_that_is_meant(path: str, near: str, elsewhere: str, meant: str) -> None:
    there = [*near.splitlines(), *elsewhere.splitlines()]
    assert evidence.like(_brought(_machine(("-maxdepth", near), ("/", elsewhere)), *there), path) == meant
    assert not evidence.like(_machine(("-maxdepth", near), ("/", elsewhere)), path)
    machine = _brought(_machine(("-maxdepth", near)), *there)
    assert _clause(f"open {path}: No such file or directory", machine=machine) == (
        f"there is {meant}" if near and meant else ""
    )


def test_a_library_where_the_loader_does_not_look() -> None:
    line = "web: error while loading shared libraries: libx.so.1: cannot open shared object file: No such file or"
    line += " directory"
    machine = _machine(("libx.so.1", "/usr/lib/web/libx.so.1"))
    assert _clause(line, machine=machine) == "/usr/lib/web/libx.so.1 is where the loader does not look"
    assert _clause(line) == ""


def test_a_traceback_without_end_takes_no_time() -> None:
    source = "port /home /proc " * 2800
    frames = traceback.frames(
        ["Traceback (most recent call last):", f'  File "/x.py", line {"9" * 5000}, in x', f"    {source}", "OSError"]
    )
    assert frames == [traceback.Frame("/x.py", 999_999_999, source[:200])]
