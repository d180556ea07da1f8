"""Virtual machines: what needs none. Whole ones are booted by tests/integration/test_vm.py."""

import argparse
import errno
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from postroj import process
from postroj.cli import machine_options, vm_options
from postroj.errors import HostError, MissingToolError, ToolError, UsageError
from postroj.systemd import command
from postroj.vm import boxes, connecting, machine, vagrant, warm
from postroj.vm.box import Box
from postroj.vm.ssh import Connection
from postroj.vm.takeover import Reached

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
    box = Box("image", "mine", "libvirt")
    project = vagrant.Project(str(tmp_path), box)
    assert warm._reached(project, box) is None
    (tmp_path / "ready").write_text(text)
    assert warm._reached(project, box) is None
    reached = Reached("linux", "ssh", "192.0.2.1", 22, "root")
    (tmp_path / "ready").write_text(json.dumps({"box": box.identity, "reached": reached._asdict()}))
    assert warm._reached(project, box) == reached
    assert warm._reached(project, box._replace(provider="virtualbox")) is None


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


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The box you're attempting to add doesn't support the provider\nyou requested.", "a/b is not there for the p"),
        ("The box you're attempting to add has no available version that", "a/b is not there in the version 1.2"),
        ("The box 'a/b' could not be found or\ncould not be accessed in the remote catalog. If", "there is no box a/b"),
        (
            "The box 'a/b' could not be found or\ncould not be accessed in the remote catalog.\n\nURL: x\n"
            "Error: Could not resolve host: x.example",
            "a/b cannot be downloaded: Could not resolve host: x.example",
        ),
        ("The box failed to unpackage properly. Please verify that the box", "a/b is not a box of Vagrant"),
        (
            "The provider 'parallels' could not be found, but was requested",
            "lacks its plugin for the provider parallels",
        ),
    ],
)
def test_why_a_box_cannot_be_had(said: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "require", lambda *tools: None)

    def fail() -> None:
        raise ToolError("vagrant failed with status 1", why=said)

    with pytest.raises(HostError, match=told):
        vagrant.with_hint(fail, Box("image", "a/b", "virtualbox", version="1.2"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "There was an error loading a Vagrantfile. The file being loaded\nand the error message are shown below. "
            "This is\n\nPath: /x/Vagrantfile\nLine number: 2\nMessage: NameError: undefined local variable",
            "line 2: NameError: undefined local variable",
        ),
        (
            "There are errors in the configuration of this machine. Please fix\nthe following errors and try again:\n\n"
            "vm:\n* A box must be specified.\n\n",
            "vm: * A box must be specified.",
        ),
        (
            "There is a syntax error in the following Vagrantfile. The syntax error\nmessage is reproduced below for "
            "convenience:\n\n/x/Vagrantfile:3: unterminated string\nmore",
            "/x/Vagrantfile:3: unterminated string",
        ),
    ],
)
def test_a_mistake_in_a_vagrantfile_of_the_users(said: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "require", lambda *tools: None)

    def fail() -> None:
        raise ToolError("vagrant failed with status 1", why=said)

    with pytest.raises(UsageError, match=re.escape(f"the Vagrantfile in /home/me/x has a mistake: {told}")):
        vagrant.with_hint(fail, Box("image", "", "libvirt", directory="/home/me/x"))


def test_the_directory_of_a_vagrantfile_is_copied_and_left_as_it_is(tmp_path: Path) -> None:
    users, vm = tmp_path / "users", tmp_path / "vm"
    (users / ".vagrant/machines").mkdir(parents=True)
    (users / "Vagrantfile").write_text("theirs")
    (users / "setup.sh").write_text("x")
    vm.mkdir()
    (vm / "key").touch()
    project = vagrant.Project(str(vm), Box("image", "", "libvirt", directory=str(users)))
    project.create()
    assert not project.is_there, "no VM is made yet"
    assert sorted(os.listdir(users)) == [".vagrant", "Vagrantfile", "setup.sh"]
    assert sorted(os.listdir(vm / "user")) == ["Vagrantfile", "postroj.Vagrantfile", "setup.sh"]
    assert (vm / "user/Vagrantfile").read_text() == "theirs"


def test_a_directory_that_is_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vagrant, "_MOST_BYTES", 10)
    (tmp_path / "users").mkdir()
    (tmp_path / "users/Vagrantfile").write_text("more than ten bytes")
    with pytest.raises(UsageError, match="has more than 1 GiB of files"):
        vagrant._copy(str(tmp_path / "users"), str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("text", "guest", "communicator"),
    [
        ("", "linux", "ssh"),
        ("  config.vm.communicator = 'winrm'\n", "windows", "winrm"),
        ('  c.vm.communicator = "winssh"\n', "windows", "winssh"),
        ("  config.vm.guest = :windows\n", "windows", "winrm"),
        ("  config.vm.guest = :freebsd\n", "freebsd", "ssh"),
        ("  # config.vm.guest = :freebsd\n", "linux", "ssh"),
    ],
)
def test_what_a_box_says_of_its_guest(
    text: str, guest: str, communicator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path))
    place = tmp_path / "vms/.vagrant/boxes/a-VAGRANTSLASH-b/1.0/amd64/libvirt"
    place.mkdir(parents=True)
    (place / "Vagrantfile").write_text(text)
    found = boxes.learn(Box("image", "a/b", "libvirt"))
    assert (found.guest, found.communicator) == (guest, communicator)
    users = tmp_path / "users"
    users.mkdir()
    (users / "Vagrantfile").write_text('config.vm.box = "a/b"\n')
    found = boxes.learn(Box("image", "", "libvirt", directory=str(users)))
    assert (found.guest, found.communicator) == (guest, communicator)
    known = Box("image", "a/b", "libvirt", guest="openbsd", communicator="ssh")
    assert boxes.learn(known) == known


def test_a_box_that_is_there_is_not_added_again(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "a/b   (libvirt, 1.0, (amd64))\na/b   (libvirt, 2.0)\na/c   (virtualbox, 0)\n"
    added: list[list[str]] = []
    monkeypatch.setattr(process, "require", lambda *tools: None)
    monkeypatch.setattr(process, "run", lambda argv, **_: listed)
    monkeypatch.setattr(process, "follow", lambda argv, **_: added.append(list(argv)))
    boxes.add(Box("image", "a/b", "libvirt"))
    boxes.add(Box("image", "a/b", "libvirt", version="1.0"))
    boxes.add(Box("image", "", "libvirt", directory="/x"))
    assert added == []
    boxes.add(Box("image", "a/b", "libvirt", version="3.0"))
    boxes.add(Box("image", "a/c", "libvirt"))
    boxes.add(Box("image", "mine", "libvirt", file="/x.box"))
    add = ["vagrant", "box", "add", "--force", "--provider=libvirt"]
    assert added == [[*add, "--box-version=3.0", "a/b"], [*add, "a/c"], [*add, "--name", "mine", "/x.box"]]


def test_without_vagrant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find", lambda tool: None)
    with pytest.raises(MissingToolError, match="vagrant is missing on this host"):
        boxes.add(Box("x", "x", "libvirt"))


def test_vms_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path))
    assert warm.kept() == []
    (tmp_path / "vms/debian-bookworm-2").mkdir(parents=True)
    (tmp_path / "vms/.vagrant").mkdir()
    assert warm.kept() == [warm.Kept("debian-bookworm-2", "debian-bookworm", False, 0)]
    assert warm.remove("debian-bookworm-2")
    assert warm.kept() == []
