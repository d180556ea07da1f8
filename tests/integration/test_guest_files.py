"""Files to and from a guest, and commands that go on, by the machine's contract."""

import io
import os
import signal
import tarfile
from pathlib import Path

import pytest

from booted import ask, booted, soon
from moments import until
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, GuestSetupError, HostError

pytestmark = pytest.mark.once


def test_push_and_pull(bookworm: str, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(5 << 20))
    with booted(bookworm) as machine:
        with big.open("rb") as file:
            machine.push("/srv/new/big", file)
        machine.push("/srv/small", b"text")
        assert ask(machine, "stat -c '%s %U %a' /srv/new/big /srv/small") == f"{5 << 20} root 644\n4 root 644\n"
        with (tmp_path / "back").open("wb") as file:
            assert machine.pull("/srv/new/big", file)
        assert (tmp_path / "back").read_bytes() == big.read_bytes()
        for most, text, is_all in ((3, b"tex", False), (4, b"text", True), (0, b"", False), (9, b"text", True)):
            into = io.BytesIO()
            assert machine.pull("/srv/small", into, most=most) == is_all
            assert into.getvalue() == text
        # what no user but the guest's root may read, and links as the guest follows them
        ask(machine, "cd /srv; chmod 0 small; ln -s /srv/small absolute; ln -s ../../../../srv/small relative")
        ask(machine, "echo run >/run/file; ln -s /run /srv/run")
        for path, text in (("absolute", b"text"), ("relative", b"text"), ("run/file", b"run\n")):
            into = io.BytesIO()
            assert machine.pull(f"/srv/{path}", into)
            assert into.getvalue() == text


@pytest.mark.parametrize(
    ("make", "why"),
    [
        ("true", "No such file or directory"),
        ("mkdir /srv/it", "Is a directory"),
        ("mkfifo /srv/it", "it is neither a file nor a directory"),
        ("ln -s /dev/zero /srv/it", "it is neither a file nor a directory"),
        ("ln -s it /srv/it", "Too many levels of symbolic links"),
        ("ln -s {host_only} /srv/it", "No such file or directory"),
        ("ln -s /proc/1/root/etc/hostname /srv/it", "Invalid cross-device link"),
    ],
)
def test_what_cannot_be_pulled(make: str, why: str, bookworm: str, tmp_path: Path) -> None:
    host_only = tmp_path / "only-on-the-host"
    host_only.touch()
    with booted(bookworm) as machine:
        ask(machine, make.format(host_only=host_only))
        into = io.BytesIO()
        with pytest.raises(HostError) as caught:
            machine.pull("/srv/it", into)
        assert str(caught.value) == f"/srv/it cannot be read in the machine booted: {why}"
        assert into.getvalue() == b""


def test_directory(bookworm: str) -> None:
    with booted(bookworm) as machine:
        ask(
            machine,
            "mkdir -p /srv/tree/sub/empty; cd /srv/tree; echo text >sub/file; chmod 0640 sub/file; chown 5:6 sub/file",
        )
        ask(
            machine,
            "cd /srv/tree; ln -s /etc/passwd link; mkfifo fifo; truncate -s 3G sparse; "
            "perl -e 'open(my $odd, q(>), qq(odd\\xff\\n)) or die; print $odd q(x)'",
        )
        ask(machine, "mkdir /srv/tree/mounted; mount -t tmpfs tmpfs /srv/tree/mounted; touch /srv/tree/mounted/file")
        into = io.BytesIO()
        assert not machine.pull_tree("/srv/tree", into, most=1 << 20)  # the sparse file lacks
        into.seek(0)
        with tarfile.open(fileobj=into) as archive:
            found = {each.name: each for each in archive.getmembers()}
            assert set(found) == {"sub", "sub/empty", "sub/file", "link", "odd\udcff\n"}
            file = found["sub/file"]
            assert (file.mode, file.uid, file.gid, file.size) == (0o640, 5, 6, 5)
            content = archive.extractfile(file)
            assert content and content.read() == b"text\n"
            assert found["link"].linkname == "/etc/passwd"
        with pytest.raises(HostError, match="Not a directory"):
            machine.pull_tree("/etc/passwd", io.BytesIO(), most=1)
        ask(machine, "rm /srv/tree/sparse")
        assert machine.pull_tree("/srv/tree", io.BytesIO(), most=1 << 20)


def test_tree_that_changes_meanwhile(bookworm: str) -> None:
    """The archive can be read whatever the guest does: files that grow, shrink and vanish."""
    busy = (
        "cd /srv; i=0; while i=$((i + 1)); do "
        "head -c $((i % 9000)) /dev/zero >f$((i % 50)); rm -f f$((i * 7 % 50)); done"
    )
    with booted(bookworm) as machine, machine.popen(["sh", "-c", busy], deadline=soon()):
        for _ in range(50):
            into = io.BytesIO()
            machine.pull_tree("/srv", into, most=1 << 30)
            into.seek(0)
            with tarfile.open(fileobj=into) as archive:
                archive.getmembers()


def test_command_that_goes_on(bookworm: str) -> None:
    with booted(bookworm) as machine:
        theirs, ours = os.pipe()
        back, out = os.pipe()
        with open(ours, "wb", buffering=0) as into, open(back, "rb", buffering=0) as said:
            with machine.popen(["cat"], stdin=theirs, stdout=out, deadline=soon()) as command:
                os.close(theirs)
                os.close(out)
                into.write(b"one\n")
                assert said.read(4) == b"one\n"
                with pytest.raises(DeadlineError):
                    command.wait(Deadline(0.1))
                assert ask(machine, "echo beside") == "beside\n"
                into.write(b"two\n")
                assert said.read(4) == b"two\n"
                into.close()
                assert command.wait(soon()) == 0
                assert command.wait(soon()) == 0
                command.send_signal(signal.SIGTERM)  # it has ended
            assert said.read() == b""


def test_command_is_ended(bookworm: str) -> None:
    with booted(bookworm) as machine:
        with machine.popen(["sh", "-c", "while :; do sleep 0.1; done"], deadline=soon()) as command:
            command.send_signal(signal.SIGKILL)
            assert command.wait(soon()) == 128 + 9
        with machine.popen(["sleep", "31425"], deadline=soon()):
            assert any(one.name == "sleep" for one in machine.processes())
        until(lambda: not any(one.name == "sleep" for one in machine.processes()), "it is killed")
        with pytest.raises(ZeroDivisionError), machine.popen(["sleep", "31426"], deadline=soon()):
            raise ZeroDivisionError
        until(lambda: not any(one.name == "sleep" for one in machine.processes()), "it is killed")
        assert machine.failed_units() == []
        with pytest.raises(GuestSetupError), machine.popen(["true"], deadline=soon(), user="nobody-there"):
            pass
        with machine.popen(["no-such-command"], deadline=soon()) as command:
            assert command.wait(soon()) == 127
