"""The first boot of a VM, which becomes ours: what is asked of Vagrant and of the guest, and how it is reached then."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.streams import Streams
from postroj.vm.box import Box
from postroj.vm.records import Ready
from postroj.vm.ssh import Connection
from postroj.vm.takeover import _UNIX, take_over
from postroj.vm.windows import winrm
from postroj.vm.windows.shell import SshShell

from .winguest import script_of
from .wsman import PASSWORD, USER, Answer, Endpoint, serving

ANY = Deadline(600)
_HOST_KEY = "ssh-ed25519 AAAAGUEST root@guest\r\n"
_AT = {
    "ssh-config": {"HostName": "192.0.2.1", "Port": "2222", "User": "vagrant"},
    "winrm-config": {"HostName": "192.0.2.2", "Port": "5985", "User": USER, "Password": PASSWORD},
}


class _Project:
    """A VM of Vagrant's that answers."""

    name = "image-1"

    def __init__(self, path: Path, box: Box, answer: str) -> None:
        self.path, self.box, self.key = str(path), box, str(path / "key")
        (path / "key.pub").write_text("ssh-ed25519 AAAAOURS postroj\n")
        self._answer = answer
        self.asked: list[tuple[list[str], str]] = []

    def ask(self, words: Sequence[str], *, stdin: str = "", deadline: Deadline) -> str:
        self.asked.append((list(words), stdin))
        return self._answer

    def told(self, command: str, deadline: Deadline) -> dict[str, str]:
        return _AT[command]

    @property
    def trusted(self) -> str:
        return Path(self.path, "known_hosts").read_text()


def _take(project: _Project) -> Ready:
    taking: Callable[[Any, Deadline], Ready] = take_over
    return taking(project, ANY)


def test_a_unix(tmp_path: Path) -> None:
    project = _Project(tmp_path, Box("image", "a/b", "libvirt", guest="freebsd", communicator="ssh"), _HOST_KEY)
    assert _take(project) == Ready("", "192.0.2.1", 2222, "freebsd", "ssh", "root")
    ((words, script),) = project.asked
    assert words == ["ssh", "--no-tty", "-c", "sudo sh -s -- 'ssh-ed25519 AAAAOURS postroj'"]
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert project.trusted == "guest ssh-ed25519 AAAAGUEST\n"


_STUBS = {
    "getent": 'echo "$2:x:0:0::$TOP/home/$2:/bin/sh"',
    "sshd": 'echo "permitrootlogin $ROOT_LOGIN"',
    "ssh-keygen": 'echo "ssh-ed25519 AAAA root@guest" >"$TOP/ssh/ssh_host_ed25519_key.pub"',
    "systemctl": 'echo "$*" >>"$TOP/called"',
}


@pytest.mark.parametrize(
    ("has_file", "login", "added"),
    [
        (True, "no", ["PermitRootLogin prohibit-password"]), (True, "without-password", []), (False, "yes", []),
    ],
)  # fmt: skip
def test_no_password_is_taken(has_file: bool, login: str, added: list[str], tmp_path: Path) -> None:
    """Of two settings sshd takes the first. A box of another's has a user whose password all know."""
    for name, script in _STUBS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    for directory in ("ssh", "home/root", "home/vagrant/.ssh"):
        (tmp_path / directory).mkdir(parents=True)
    config = tmp_path / "ssh/sshd_config"
    if has_file:
        config.write_text("PasswordAuthentication yes\n")
    script = _UNIX.replace("/etc/ssh", str(tmp_path / "ssh"))
    assert "/etc/" not in script
    done = subprocess.run(
        ["sh", "-s", "--", "ssh-ed25519 AAAAOURS postroj"], input=script, capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "TOP": str(tmp_path), "ROOT_LOGIN": login},
    )  # fmt: skip
    assert done.stdout == "ssh-ed25519 AAAA root@guest\n"
    written = config if has_file else tmp_path / "ssh/sshd_config.d/00-postroj.conf"
    assert written.read_text().splitlines() == [
        "PasswordAuthentication no",
        "ChallengeResponseAuthentication no",
        *added,
        *(["PasswordAuthentication yes"] if has_file else []),
    ]
    assert written.stat().st_mode & 0o777 == 0o644 and not list(tmp_path.rglob("*.postroj"))
    assert (tmp_path / "called").read_text() == "restart ssh.service\n"


def test_a_guest_that_tells_no_host_key(tmp_path: Path) -> None:
    project = _Project(tmp_path, Box("image", "a/b", "libvirt", guest="linux", communicator="ssh"), "sudo: a password")
    with pytest.raises(HostError, match="the VM image-1 has told no host key"):
        _take(project)


def test_windows_by_openssh(tmp_path: Path) -> None:
    box = Box("image", "a/b", "virtualbox", guest="windows", communicator="winssh")
    project = _Project(tmp_path, box, f"#< CLIXML\r\n{_HOST_KEY}")
    assert _take(project) == Ready("", "192.0.2.1", 2222, "windows", "ssh", "vagrant")
    ((words, _),) = project.asked
    script = base64.b64decode(words[-1].rpartition(" ")[2]).decode("utf-16-le")
    assert "'ssh-ed25519 AAAAOURS postroj'" in script and "administrators_authorized_keys" in script
    assert project.trusted == "guest ssh-ed25519 AAAAGUEST\n"


@contextmanager
def _by_winrm(monkeypatch: pytest.MonkeyPatch, said: str) -> Iterator[Endpoint]:
    with serving({}) as endpoint:
        endpoint.on_command = lambda line, _: [Answer(said.encode(), b"", 0)]
        monkeypatch.setattr(winrm, "endpoint", lambda address, port: endpoint.url)
        monkeypatch.setattr(winrm, "Session", partial(winrm.Session, transport="basic"))
        yield endpoint


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        (_HOST_KEY, Ready("", "192.0.2.1", 2222, "windows", "ssh", USER)),
        ("", Ready("", "192.0.2.2", 5985, "windows", "winrm", USER, PASSWORD)),
    ],
    ids=["with OpenSSH", "with WinRM only"],
)
def test_windows_by_winrm(said: str, ready: Ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = _Project(tmp_path, Box("image", "a/b", "virtualbox", guest="windows", communicator="winrm"), "")
    with _by_winrm(monkeypatch, said) as endpoint:
        assert _take(project) == ready
        assert "Get-Service sshd" in script_of(endpoint.lines[0])
        assert (endpoint.open_shells, project.asked) == (0, [])


def test_the_endpoint_of_winrm() -> None:
    assert winrm.endpoint("127.0.0.1", 55985) == "http://127.0.0.1:55985/wsman"
    assert winrm.endpoint("192.0.2.1", 5986) == "https://192.0.2.1:5986/wsman"


def test_lines_and_relays_by_ssh() -> None:
    connection = Connection.__new__(Connection)
    connection._control = "/x/control"
    assert connection.argv_of_line('a & "b" c')[-4:] == ["-T", "guest", "--", 'a & "b" c']
    assert connection.argv_of_line("a", terminal=True)[-4:] == ["-tt", "guest", "--", "a"]
    assert connection.argv_of_relay("localhost", 80)[-4:] == ["-T", "-W", "localhost:80", "guest"]
    assert connection.argv_of_relay("::1", 80)[-2:] == ["[::1]:80", "guest"]


class _Connection:
    """A connection whose guest is this host."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.lines: list[str] = []

    def argv_of_line(self, line: str, *, terminal: bool = False) -> list[str]:
        self.lines.append(line)
        return [sys.executable, "-c", self.script]

    def is_lost(self, status: int) -> bool:
        return False


def test_a_command_line_by_ssh_has_its_streams_and_its_status(tmp_path: Path) -> None:
    connection: Any = _Connection(
        "import sys; print(sys.stdin.read(), end=''); print('bad', file=sys.stderr); sys.exit(7)"
    )
    out, err = (os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("out", "err"))
    try:
        status = SshShell(connection).run("ver", Streams(None, out, err), deadline=ANY, source=[b"one\n", b"two\n"])
    finally:
        os.close(out)
        os.close(err)
    assert (status, (tmp_path / "out").read_text(), (tmp_path / "err").read_text()) == (7, "one\ntwo\n", "bad\n")
    (line,) = connection.lines
    assert line.startswith("ver & if errorlevel 256 (exit 255)")


def test_a_command_line_by_ssh_that_does_not_end() -> None:
    connection: Any = _Connection("import time; time.sleep(600)")
    with pytest.raises(DeadlineError):
        SshShell(connection).run("ver", Streams(), deadline=Deadline(0.1))
