"""Snapshots, and what a guest has changed over its image."""

import hashlib
import os
import socket
import stat
from pathlib import Path

import pytest

from booted import add_unit, ask, booted, soon
from postroj.container import Container, Options
from postroj.container.options import Publish
from postroj.contract import Capabilities, Change
from postroj.errors import RebootError
from test_publish import free_port
from test_reboot import ENDLESS

pytestmark = pytest.mark.once


def changed(machine: Container) -> dict[str, Change]:
    """What it has changed, but for what systemd does by itself."""
    found = machine.changes()
    assert not found.is_cut
    return {path: change for path, change in found.files.items() if not path.startswith(("/var/log", "/var/tmp"))}


def test_restore_to_a_snapshot(bookworm: str) -> None:
    with booted(bookworm) as machine:
        assert machine.capabilities == Capabilities(reboot=True, snapshot=True, changes=True)
        ask(machine, "echo 1 >/root/file; rm /etc/issue; chmod 0751 /")
        assert machine.snapshot(deadline=soon()) == 1
        before = changed(machine)
        assert before["/etc/issue"].what == "removed"
        for _ in range(2):
            assert ask(machine, "cat /root/file; stat -c '%a %U' /; ls /etc/issue 2>&1 || true").startswith(
                "1\n751 root\n"
            )
            ask(
                machine,
                "echo 2 >/root/file; echo 3 >/root/other; echo new >/etc/issue; rm -r /etc/pam.d; touch /tmp/file",
            )
            assert set(changed(machine)) - set(before) == {"/root/other", "/etc/pam.d"}
            machine.restore(deadline=soon())
            assert changed(machine) == before
            assert ask(machine, '[ ! -e "$1" ]', "/tmp/file") == ""


def test_snapshots_over_each_other(bookworm: str) -> None:
    with booted(bookworm) as machine:
        clean = set(changed(machine))
        for number in (1, 2, 3):
            ask(machine, "echo $1 >>/root/file; mkdir -p /etc/skel; rm -r /etc/skel; echo $1 >/root/$1", number)
            assert machine.snapshot(deadline=soon()) == number
        assert ask(machine, "cat /root/file") == "1\n2\n3\n"
        machine.reboot(deadline=soon())
        machine.restore(2, deadline=soon())
        assert ask(machine, "cat /root/file; cd /root; ls") == "1\n2\n1\n2\nfile\n"
        assert machine.snapshot(deadline=soon()) == 3
        with pytest.raises(ValueError):
            machine.restore(4, deadline=soon())
        machine.restore(0, deadline=soon())
        assert set(changed(machine)) == clean
        assert ask(machine, "[ ! -e /root/file ] && ls /etc/skel/.profile") == "/etc/skel/.profile\n"
        assert machine.failed_units() == []


def test_restore_after_a_boot_that_failed(bookworm: str) -> None:
    with booted(bookworm) as machine:
        machine.snapshot(deadline=soon())
        add_unit(machine, "endless.service", ENDLESS)
        with pytest.raises(RebootError):
            machine.reboot(deadline=soon().sooner(10))
        machine.restore(deadline=soon())
        assert ask(machine, "systemctl is-system-running") == "running\n"


_WAITING_SOCKET = "[Socket]\nListenStream=80\nAccept=yes\n"
_WAITING = "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n"


def test_connections_to_a_guest_that_is_killed(bookworm: str) -> None:
    """They end, though nobody is left who could end them; and to its next boot there are others."""
    port = free_port()
    with booted(bookworm, options=Options(publish=(Publish("127.0.0.1", port, 80),))) as machine:
        add_unit(machine, "waiting@.service", _WAITING)
        add_unit(machine, "waiting.socket", _WAITING_SOCKET)
        machine.snapshot(deadline=soon())
        for _ in range(2):
            ask(machine, "systemctl start waiting.socket")
            with socket.create_connection(("127.0.0.1", port), 30) as connected:
                connected.sendall(b"echo")
                assert connected.recv(4) == b"echo"
                machine.restore(deadline=soon())
                assert connected.recv(4) == b""


# All that an overlay has ways of its own for.
_WORK = r"""
set -e
cd /srv
mkdir -p new/deep/er; echo a >new/deep/er/file; ln -s nowhere new/link; mkfifo new/fifo
ln /etc/debian_version /etc/hard; ln -s /etc/passwd /etc/soft
rm /etc/issue.net; rm -r /etc/cron.daily
rm -r /etc/skel; mkdir /etc/skel; cp -p /etc/motd /etc/skel/.profile
mv /etc/logrotate.d /etc/logrotate.moved
mv /etc/profile /etc/profile.moved; mkdir /etc/profile; touch /etc/profile/in
rm -r /etc/opt; touch /etc/opt
: >>/etc/passwd; cat /etc/group >/tmp/group; cat /tmp/group >/etc/group
chown 33:44 /etc/shells; chmod 0600 /etc/login.defs; truncate -s 100M /srv/sparse
perl -e 'open(my $odd, q(>), qq(odd\xff\n)) or die; print $odd q(x)'
mknod /srv/null c 1 3 2>/dev/null || true
rm -r /usr/share/doc; mkdir -p /usr/share/doc/again
perl -e 'use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un("/srv/socket")) or die'
"""


@pytest.mark.parametrize("layers", [1, 2])
def test_changes_are_those_that_the_guest_sees(layers: int, bookworm: str) -> None:
    """By comparing all files of the image with all that the guest has."""
    with booted(bookworm) as machine:
        ask(machine, _WORK)
        if layers == 2:
            machine.snapshot(deadline=soon())
            ask(
                machine,
                "set -e; rm /etc/hard; mkdir /etc/cron.daily; echo b >/srv/new/deep/er/file; rm -r /srv/new/deep",
            )
            ask(machine, "set -e; rm /etc/opt; mkdir /etc/opt; rm -r /etc/profile; mv /etc/profile.moved /etc/profile")
        ask(
            machine,
            "systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald 2>/dev/null",
        )
        found = {path: change.what for path, change in machine.changes().files.items()}
        image = all_files(Path(machine._root), 0)
        guest = all_files(Path(f"/proc/{machine._leader}/root"), machine._root_uid)
        expected = {
            path: "added" if path not in image else "changed" for path in guest if guest[path] != image.get(path)
        }
        removed = image.keys() - guest.keys()
        expected |= dict.fromkeys(
            (path for path in removed if not is_below(path, removed | found.keys() - guest_directories(guest))),
            "removed",
        )
        assert found == expected


_MOUNTED = ("/proc", "/sys", "/dev", "/run", "/tmp")


def all_files(root: Path, root_uid: int) -> dict[str, tuple[object, ...]]:
    """What there is to see of each file below a directory; nothing of what is mounted there."""
    found = {}
    for directory, directories, files in os.walk(root):
        here = directory[len(str(root)) :]
        for name in [*directories, *files]:
            path = f"{here}/{name}"
            if path.startswith(tuple(f"{each}/" for each in _MOUNTED)) or path in _MOUNTED:
                continue
            found[path] = _look(f"{directory}/{name}", root_uid)
        directories[:] = [name for name in directories if f"{here}/{name}" not in _MOUNTED]
    return found


def _look(path: str, root_uid: int) -> tuple[object, ...]:
    status = os.lstat(path)
    content: object = ""
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    return status.st_mode, status.st_uid - root_uid, status.st_gid - root_uid, content, status.st_rdev


def guest_directories(guest: dict[str, tuple[object, ...]]) -> set[str]:
    return {path for path, (mode, *_) in guest.items() if isinstance(mode, int) and stat.S_ISDIR(mode)}


def is_below(path: str, others: set[str]) -> bool:
    """Whether a directory above it is removed, or is no directory any more."""
    parts = path.split("/")
    return any("/".join(parts[:count]) in others for count in range(2, len(parts)))
