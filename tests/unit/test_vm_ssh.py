"""The connection to a guest: what ssh is told, by a stand-in of it, and by itself, which shows what it has read."""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from postroj.deadline import NEVER
from postroj.errors import HostError
from postroj.vm.ssh import _LONGEST_PATH, Connection, Login

_STAND_IN = """#!/bin/sh
printf '%s\\n' "$PWD" "$@" >"$HOME/told"
echo connected
exec sleep 600
"""


def _login(top: Path) -> Login:
    return Login("192.0.2.1", 22, f"{top}/key", f"{top}/known_hosts", f"{top}/ssh")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stand-in of ssh was told: its directory, and its words."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(_STAND_IN)
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "told"


def _read_by_ssh(words: list[str]) -> dict[str, str]:
    """Return the settings that ssh has read from its options."""
    if not os.path.exists("/usr/bin/ssh"):
        pytest.skip("there is no ssh")
    options = [word for word in words if word.startswith(("-o", "-L"))]
    shown = subprocess.run(
        ["/usr/bin/ssh", "-F", "none", "-G", *options, "guest"], capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split(" ", 1) for line in shown.splitlines() if " " in line)


@pytest.mark.parametrize("name", ["plain", "a b", "100%", "%d %h", "a:b=c", "é", "$x ~", "#"])
def test_a_path_reaches_ssh_as_it_is(name: str, told: Path, tmp_path: Path) -> None:
    top = tmp_path / name
    top.mkdir()
    connection = Connection(_login(top), forward=["/run/bus"], deadline=NEVER)
    try:
        where, *words = told.read_text().splitlines()
        assert (where, connection.path_of("/run/bus")) == (f"{top}/ssh", f"{top}/ssh/0")
        read = _read_by_ssh(words)
        assert read["identityfile"].replace("%%", "%") == f"{top}/key"  # it is expanded as the file is read
        assert (read["userknownhostsfile"], read["controlpath"]) == (f"{top}/known_hosts", f"{top}/ssh/control")
        assert read["localforward"] == "./0 /run/bus"
        read = _read_by_ssh(connection.argv(["true"], terminal=True))
        assert (read["controlpath"], read["escapechar"]) == (f"{top}/ssh/control", "none")
    finally:
        connection.close()


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "${HOME}"])
def test_a_path_that_ssh_does_not_take(name: str) -> None:
    with TemporaryDirectory() as short, pytest.raises(HostError, match="ssh cannot use the path"):
        Connection(_login(Path(short, name)), deadline=NEVER)


def test_a_path_is_measured_in_bytes(tmp_path: Path) -> None:
    path = f"/{'é' * (_LONGEST_PATH - 10)}"
    with pytest.raises(HostError, match="too long for sockets"):
        Connection(Login("192.0.2.1", 22, "key", "known_hosts", path), deadline=NEVER)
