"""What goes wrong around VMs: one clear sentence each, and nothing is left."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moments import started
from namespaces import privately, with_small_disk, without_tool
from scratch import scratch_state
from support import POSTROJ
from vm_host import VmHost, long, missing
from vms import Vms

pytestmark = [pytest.mark.vm, long, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture
def vms(vm_host: VmHost) -> Vms:
    return Vms(vm_host)


@contextmanager
def _no_vms(vms: Vms) -> Iterator[dict[str, str]]:
    """The environment of a postroj that has no VM; it must have none afterwards."""
    with scratch_state() as state:
        yield {**vms.env, "POSTROJ_STATE_DIR": str(state)}
        left = [path for path in (state / "vms").rglob("*") if path.name not in (".boxes", ".pool")]
        assert left == []
        known = subprocess.run(["virsh", "list", "--all", "--name"], capture_output=True, text=True, check=True).stdout
        assert sorted(known.split()) == sorted(vms.domains("--all"))


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the sentence of a run that has failed."""
    assert done.returncode == 125, done.stderr
    return next(line for line in done.stderr.splitlines() if line.startswith("postroj: ")).removeprefix("postroj: ")


def test_without_vagrant_or_libvirt(bookworm: str, vms: Vms) -> None:
    words = ["run", "--vm", bookworm, "true"]
    with _no_vms(vms) as env:
        done = without_tool("vagrant", words, env)
        assert _said(done) == "vagrant is missing on this host"
        assert "apt-get install vagrant vagrant-libvirt" in done.stderr
        assert _said(without_tool("virsh", words, env)) == "virsh is missing on this host"
        done = privately("mount -t tmpfs tmpfs /run/libvirt", words, env)
        assert _said(done) == "libvirt does not run"
        assert "systemctl start libvirtd" in done.stderr
        (plugin,) = Path("/usr/share/rubygems-integration/all/specifications").glob("vagrant-libvirt-*.gemspec")
        for hidden in (
            f"mount --bind /dev/null '{plugin}'",
            "mount -t tmpfs tmpfs /usr/share/vagrant-plugins/plugins.d",
        ):
            assert _said(privately(hidden, words, env)) == "Vagrant lacks its plugin for libvirt"


def test_a_directory_that_is_full_or_not_ours(bookworm: str, vms: Vms) -> None:
    words = ["run", "--vm", bookworm, "true"]
    with _no_vms(vms) as env:
        directory = Path(env["POSTROJ_STATE_DIR"], "vms")
        directory.mkdir()
        (directory / ".pool").mkdir()  # for libvirt, which does not see the small disk
        done = with_small_disk(directory, "size=20m,mode=0700", words, env)
        assert _said(done) == "the disk is full", done.stderr
        assert "debian" not in done.stdout  # no VM and no box is left
        (directory / ".pool").rmdir()
        directory.chmod(0o777)
        done = subprocess.run([POSTROJ, *words], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
        assert _said(done) == f"{directory} is not a directory of this user's alone: no VM is kept in it"


def test_a_vm_that_is_not_up_in_time(bookworm: str, vms: Vms) -> None:
    """No VM boots in five seconds; what was made of it until then is removed."""
    with _no_vms(vms) as env:
        command = [POSTROJ, "run", "--vm", "--timeout=5", bookworm, "true"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
        assert done.returncode == 124, done.stderr
        assert "within 5 s" in done.stderr


def test_a_guest_that_loses_its_network(bookworm: str, vms: Vms) -> None:
    ended = vms.postroj("run", "--vm", bookworm, "sh", "-c", "ip link set eth0 down; sleep 1000")
    assert ended.status == 125, ended
    assert f"postroj: the machine {bookworm}-1 is lost: it does not answer" in ended.err
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}


def test_libvirtd_that_goes_away(bookworm: str, vms: Vms) -> None:
    """The command does not need it; the VM goes on, and is powered off by the next command that can."""
    words = [POSTROJ, "run", "--vm", "--interactive", bookworm, "sh", "-c", "echo up; cat"]
    with started(words, vms.env, stdin=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stdout.readline() == b"up\n"
        with vms.host.without_libvirtd():
            out, err = process.communicate(b"still\n", timeout=600)
            assert (process.returncode, out) == (0, b"still\n"), err
            assert (
                f"warning: the VM {bookworm}-1 could not be powered off, the next command tries again".encode() in err
            )
            ended = vms.postroj("run", "--vm", bookworm, "true")
            assert ended.status == 125 and "postroj: libvirt does not run" in ended.err, ended
            ended = vms.postroj("vm", "ls", "--quiet")
            assert (ended.status, ended.out) == (0, f"{bookworm}-1\n")
            assert "warning: what killed runs have left of VMs is not looked for: libvirt does not run" in ended.err
    assert len(vms.domains()) == 1
    ended = vms.postroj("run", "--vm", bookworm, "echo", "next")
    assert (ended.status, ended.out) == (0, "next\n"), ended
    assert vms.check_nothing_is_left() == {f"{bookworm}-1": "off"}


def test_what_libvirt_has_lost(bookworm: str, vms: Vms) -> None:
    """A VM whose domain was removed by hand has no way back: it is removed, and made anew when it is needed."""
    domain = vms.domains("--all")[0]
    with _copied_record(vms, bookworm) as path:
        assert vms.listed() == {f"{bookworm}-1": "off"}
        assert not path.exists()
    assert domain in vms.domains("--all")


@contextmanager
def _copied_record(vms: Vms, image: str) -> Iterator[Path]:
    """A VM of which there is a record, and nothing else."""
    path = vms.directory / f"{image}-3"
    path.mkdir()
    (path / "ready").write_text((vms.directory / f"{image}-1/ready").read_text())
    yield path
