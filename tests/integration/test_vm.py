"""Virtual machines: one whole life of a VM that is built, booted once, and restored for each run after that."""

import json
import subprocess
from pathlib import Path

import pytest

import debs
from moments import started, until
from support import POSTROJ
from typist import at_terminal
from vm_host import VmHost, missing
from vms import Vms, guards

pytestmark = [pytest.mark.vm, pytest.mark.skipif(bool(missing()), reason=missing())]

_GUEST = """
sshd -T | grep -i ^permitrootlogin
systemctl is-active ssh systemd-resolved
uname -v
findmnt --noheadings --raw --output=SOURCE,FSTYPE /
systemctl is-system-running --wait
systemctl list-units --failed --plain --no-legend
"""


@pytest.fixture
def vms(vm_host: VmHost) -> Vms:
    return Vms(vm_host)


def test_a_life(bookworm: str, vms: Vms, tmp_path: Path) -> None:
    """All of it in one test: the VM of the first run is that of the others."""
    # the first run makes the VM
    ended = vms.postroj("run", "--vm", bookworm, "sh", "-c", 'echo "$0 $1"; echo bad >&2; exit 7', "a  b", "$HOME'\"")
    assert (ended.status, ended.out) == (7, "a  b $HOME'\"\n"), ended
    assert "bad" in ended.err.splitlines()
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}

    # the next one restores it
    ended = vms.postroj("run", "--vm", "--interactive", bookworm, "sh", "-c", "cat; uname -r; ls /root/x", stdin="hi\n")
    assert ended.status == 2, ended
    assert ended.out.startswith("hi\n") and "cloud" in ended.out
    assert "restoring the VM" in ended.err

    # what is in it
    ended = vms.postroj("run", "--vm", bookworm, "sh", "-c", _GUEST)
    assert ended.status == 0, ended
    login, *active, kernel, root, state = ended.out.splitlines()
    assert (login, active) == ("permitrootlogin without-password", ["active", "active"])
    assert "Debian" in kernel and (root, state) == ("/dev/vda1 ext4", "running")

    # a package with a service
    package = debs.build(
        tmp_path,
        "case",
        service="exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new("
        "LocalPort => 8080, Listen => 1, ReuseAddr => 1); while (my $c = $s->accept) { <$c>; print $c "
        '"HTTP/1.0 200 OK\\r\\n\\r\\nhi"; close $c }\'',
    )
    words = ["--vm", f"--image={bookworm}", f"--package={package}", "--check-unit=case"]
    phases = [f"--phase={phase}" for phase in ("install", "check", "reboot")]
    ended = vms.postroj("pkgprobe", *words, "--check-network=http://localhost:8080", *phases)
    assert ended.status == 0, ended
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}


def test_kept(bookworm: str, vms: Vms, tmp_path: Path) -> None:
    """A package that no container can tell of; other commands enter the VM, which its process keeps."""
    words = ["--vm", f"--image={bookworm}", "--package=chrony", "--check-unit=chrony"]
    words += ["--check=udp localhost:323", "--check=unix /run/dbus/system_bus_socket"]
    ended = vms.postroj("pkgprobe", *words, "--phase=install", "--phase=check", "--keep")
    assert ended.status == 0, ended
    name = f"{bookworm}-1"
    assert f"the machine {name} is kept until " in ended.err
    try:
        (row,) = json.loads(vms.postroj("ps", "--format=json").out)
        assert (row["name"], row["kind"], row["reason"]) == (name, "vm", "it has passed")
        ended = vms.postroj("exec", "--interactive", name, "sh", "-c", "cat; exit 7", stdin="hi\n")
        assert (ended.status, ended.out) == (7, "hi\n"), ended
        with at_terminal([POSTROJ, "exec", "-it", name, "sh", "-c", "tty; stty size; exit 42"], vms.env) as typist:
            typist.read_until(r"/dev/pts/\d+\r\n31 97\r\n")
            assert typist.end() == 42
        (tmp_path / "file").write_text("one\n")
        assert vms.postroj("cp", str(tmp_path / "file"), f"{name}:/root/").status == 0
        ended = vms.postroj("cp", f"{name}:/root/.", str(tmp_path / "copied"))
        assert ended.status == 0, ended
        assert (tmp_path / "copied/file").read_text() == "one\n"
        assert vms.postroj("logs", "--tail=1", name).out.count("\n") == 1
        assert vms.postroj("stop", name).out == f"{name}\n"
    finally:
        vms.postroj("stop", "--all")
    ended = vms.postroj("exec", name, "true")
    assert ended.status == 125
    assert f"the VM {name} is not in use" in ended.err


def test_two_at_once_and_one_that_waits(bookworm: str, vms: Vms) -> None:
    words = [POSTROJ, "run", "--vm", "--interactive", bookworm]
    with started([*words, "sh", "-c", "echo up; cat"], vms.env, stdin=subprocess.PIPE) as first:
        assert first.stdin and first.stdout and first.stdout.readline() == b"up\n"
        (row,) = json.loads(vms.postroj("ps", "--format=json").out)
        assert (row["name"], row["image"], row["kind"]) == (f"{bookworm}-1", bookworm, "vm")
        assert vms.listed() == {f"{bookworm}-1": f"used by {first.pid}"}
        refused = vms.postroj("vm", "rm", f"{bookworm}-1")
        assert refused.status == 2 and f"is used by process {first.pid}" in refused.err

        second = vms.postroj("run", "--vm", bookworm, "echo", "two")
        assert (second.status, second.out) == (0, "two\n"), second
        assert vms.listed() == {f"{bookworm}-1": f"used by {first.pid}", f"{bookworm}-2": "off"}

        removed = vms.postroj("vm", "rm", f"{bookworm}-2")
        assert (removed.status, removed.out) == (0, f"removed {bookworm}-2\n"), removed
        with started([*words[:-2], "--vm-wait", bookworm, "echo", "three"], vms.env) as third:
            assert third.stderr is not None
            said = third.stderr.readline().decode()
            assert said == f"{bookworm}: waiting for a VM of it that is used: {bookworm}-1\n"
            stopped = vms.postroj("stop", f"{bookworm}-1")
            assert (stopped.status, stopped.out) == (0, f"{bookworm}-1\n"), stopped
            out, err = third.communicate(timeout=600)
        assert (third.returncode, out) == (0, b"three\n"), err
        assert first.wait(60) == 143
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}


def test_a_run_that_is_killed_ends_its_vm(bookworm: str, vms: Vms) -> None:
    """And the next run waits for that end in place of making another VM."""
    with started([POSTROJ, "run", "--vm", bookworm, "sh", "-c", "echo up; sleep 1000"], vms.env) as process:
        assert process.stdout and process.stdout.readline() == b"up\n"
        process.kill()
        process.wait()
        ended = vms.postroj("run", "--vm", bookworm, "echo", "next")
    assert (ended.status, ended.out) == (0, "next\n"), ended
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}


def test_a_vm_that_runs_for_nobody(bookworm: str, vms: Vms) -> None:
    """Of a postroj that was killed together with its guard: the next command powers it off."""
    with started([POSTROJ, "run", "--vm", bookworm, "sh", "-c", "echo up; sleep 1000"], vms.env) as process:
        assert process.stdout and process.stdout.readline() == b"up\n"
        guard = next(guards())
        subprocess.run(["kill", "-STOP", str(guard)], check=True)
        process.kill()
        process.wait()
        subprocess.run(["kill", "-KILL", str(guard)], check=True)
        until(lambda: not list(guards()), "the guard is gone")
    assert len(vms.domains()) == 1
    ended = vms.postroj("gc")
    assert ended.out == f"removed the running VM {bookworm}-1: it is off\n", ended
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}
