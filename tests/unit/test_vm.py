"""Virtual machines: what needs none. Whole ones are booted by tests/integration/test_vm.py."""

import argparse
import errno
import json
import shlex
from pathlib import Path

import pytest

from postroj import process
from postroj.cli import machine_options, vm_options
from postroj.errors import HostError, MissingToolError, ToolError, UsageError
from postroj.systemd import command
from postroj.vm import connecting, machine, vagrant, warm
from postroj.vm.ssh import Connection

_PROCESS = """12
Name:\tnginx
Uid:\t33\t33\t33\t33
0::/system.slice/nginx.service/worker
socket:[1001]
socket:[1002]
"""


def test_a_process_as_the_guest_prints_it() -> None:
    found = machine._running(_PROCESS)
    assert (found.pid, found.name, found.uid, found.unit) == (12, "nginx", 33, "nginx.service")
    assert found.sockets == {1001, 1002}
    assert machine._running("1\n").unit == ""


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (["bash: connect: Connection refused", "bash: line 1: /dev/tcp/localhost/1: Connection refused"],
         errno.ECONNREFUSED, "Connection refused"),
        (["bash: connect: No route to host"], errno.EHOSTUNREACH, "No route to host"),
        (["bash: nowhere: Name or service not known"], None, "nowhere: Name or service not known"),
        ([], None, "the connection was refused"),
    ],
)  # fmt: skip
def test_why_a_connection_failed(said: list[str], code: int | None, text: str) -> None:
    error = connecting._error(said)
    assert (error.errno, error.strerror or str(error)) == (code, text)


def test_words_reach_the_guest_as_they_are() -> None:
    """A shell reads the one text that sshd gives to it; systemd expands variables."""
    connection = Connection.__new__(Connection)
    connection._control = "/tmp/control"
    words = ["sh", "-c", 'echo "$@"', "", "a  b", "$HOME", "'", "\n", "`x`", "\\"]
    assert shlex.split(connection.argv(words)[-1]) == words
    assert command.literal("$HOME", "a$$") == ["$$HOME", "a$$$$"]


def _options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    machine_options.add(parser)
    vm_options.add(parser)
    return parser.parse_args(["--vm", *words])


def test_what_does_not_go_with_a_vm() -> None:
    vm_options.check(_options(), keep=None, shell=None, bind=[])
    for words, named in (
        (["--memory=1G"], "--memory"),
        (["--network=none"], "--network"),
        (["--privileged"], "--priv"),
    ):
        with pytest.raises(UsageError, match=f"--vm does not go with {named}"):
            vm_options.check(_options(*words))
    with pytest.raises(UsageError, match="--vm does not go with --keep, --no-boot"):
        vm_options.check(_options(), keep="always", no_boot=True)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"box": "other"}', '{"box": "mine", "address": "x"}', "null"])
def test_a_vm_that_is_not_ready_is_made_anew(tmp_path: Path, text: str) -> None:
    project = vagrant.Project(str(tmp_path), "mine")
    assert warm._login(project) is None
    (tmp_path / "ready").write_text(text)
    assert warm._login(project) is None
    (tmp_path / "ready").write_text(json.dumps({"box": "mine", "address": "192.0.2.1", "port": 22}))
    login = warm._login(project)
    assert login and (login.address, login.port, login.key) == ("192.0.2.1", 22, str(tmp_path / "key"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("x\nFailed to connect socket to '/var/run/libvirt/libvirt-sock': No such file", "libvirt does not run"),
        ("The provider 'libvirt' could not be found, but was requested", "Vagrant lacks its plugin for libvirt"),
        ("write: No space left on device", "the disk is full"),
        ("something else", "vagrant failed"),
    ],
)
def test_why_vagrant_failed(said: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "require", lambda *tools: None)

    def fail() -> None:
        raise ToolError("vagrant failed with status 1", why=said)

    with pytest.raises(HostError, match=told):
        vagrant.with_hint(fail)


def test_without_vagrant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find", lambda tool: None)
    with pytest.raises(MissingToolError, match="vagrant is missing on this host"):
        vagrant.boxes()


def test_vms_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path))
    assert warm.kept() == []
    (tmp_path / "vms/debian-bookworm-2").mkdir(parents=True)
    (tmp_path / "vms/.vagrant").mkdir()
    assert warm.kept() == [warm.Kept("debian-bookworm-2", "debian-bookworm", False, 0)]
    assert warm.remove("debian-bookworm-2")
    assert warm.kept() == []
