"""Virtual machines: what needs none. Whole ones are booted by tests/integration/test_vm.py."""

import argparse
import errno
import os
import shlex
import subprocess
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from postroj import locks, process
from postroj.cli import common, execute, machine_options, vm_options
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, MissingToolError, OverdueError, ToolError, UsageError
from postroj.locks import DirectoryLock
from postroj.systemd import command
from postroj.vm import connecting, domains, records, sweeping, vagrant, warm
from postroj.vm.box import Box
from postroj.vm.ssh import Connection


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
    vm_options.check(_options(), name=None, bind=[])
    for words, named in (
        (["--memory=1G"], "--memory"),
        (["--network=none"], "--network"),
        (["--privileged"], "--priv"),
    ):
        with pytest.raises(UsageError, match=f"--vm does not go with {named}"):
            vm_options.check(_options(*words))
    with pytest.raises(UsageError, match="--vm does not go with --name, --no-boot"):
        vm_options.check(_options(), name="mine", no_boot=True)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"box": "mine"}', '{"box": "mine", "address": "x"}', "null"])
def test_a_vm_that_is_not_ready(tmp_path: Path, text: str) -> None:
    assert records.read(str(tmp_path)) is None
    (tmp_path / "ready").write_text(text)
    assert records.read(str(tmp_path)) is None
    records.write_ready(str(tmp_path), records.Ready("mine", "192.0.2.1", 22))
    assert records.read(str(tmp_path)) == ("mine", "192.0.2.1", 22, "linux", "ssh", "root", "")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("x\nFailed to connect socket to '/var/run/libvirt/libvirt-sock': No such file", "libvirt does not run"),
        ("The provider 'libvirt' could not be found, but was requested", "Vagrant lacks its plugin for libvirt"),
        (
            "resolve dependency: user requested 'vagrant-libvirt (> 0)'",
            "Vagrant lacks its plugin for libvirt",
        ),
        ("write: No space left on device", "the disk is full"),
        ("something else", "vagrant failed"),
    ],
)
def test_why_vagrant_failed(said: str, told: str) -> None:
    def fail() -> None:
        raise ToolError("vagrant failed with status 1", why=said)

    with pytest.raises(HostError, match=told):
        domains.with_hint(fail)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path))
    return tmp_path


def test_without_vagrant(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find", lambda tool: None if tool in ("vagrant", "virsh") else tool)
    with pytest.raises(MissingToolError, match="vagrant, virsh are missing on this host"):
        warm.check_host("libvirt")
    assert not (state / "vms").exists()


def _make_ready(name: str, box: str = "box") -> None:
    os.makedirs(records.path_of(name), exist_ok=True)
    records.write_ready(records.path_of(name), records.Ready(box, "192.0.2.1", 22))


def test_vms_that_are_kept(state: Path) -> None:
    assert records.kept() == []
    assert sweeping.sweep() == []  # nobody has a VM here, and libvirt is not asked
    (state / "vms/debian-bookworm-2").mkdir(parents=True)
    (state / "vms/.pool").mkdir()
    (found,) = records.kept()
    assert found[:4] == ("debian-bookworm-2", "debian-bookworm", False, 0)
    _make_ready("debian-bookworm-2")
    with records.take("debian-bookworm", "box", wait=False, deadline=NEVER):
        (found,) = records.kept()
        assert found[2:4] == (True, os.getpid())


def test_which_vm_is_taken(state: Path) -> None:
    """One that is ready, before a number that is free; and one of this image, not of another that begins like it."""

    def taken(wait: bool = False, seconds: float | None = None) -> DirectoryLock:
        return records.take("debian-bookworm", "box", wait=wait, deadline=Deadline(seconds))

    _make_ready("debian-bookworm-own-1")
    with taken(wait=True) as first:  # there is none to wait for
        assert first.path.endswith("/debian-bookworm-1")
        _make_ready("debian-bookworm-4")
        with taken() as ready:
            assert ready.path.endswith("/debian-bookworm-4")
            with pytest.raises(DeadlineError, match="no VM of debian-bookworm was free within 0 s"):
                taken(wait=True, seconds=0)
            with taken() as another:
                assert another.path.endswith("/debian-bookworm-2")
        with taken(wait=True) as waited:
            assert waited.path.endswith("/debian-bookworm-4")


def test_a_vm_that_is_ready_for_another_provider_stays(state: Path) -> None:
    """Two providers in turn would make it anew for each run."""
    with records.take("image", "of libvirt", provider="libvirt", wait=False, deadline=NEVER) as one:
        records.write_box(one.path, Box("image", "a/b", "libvirt"))
    _make_ready("image-1")
    for provider, name in (("virtualbox", "image-2"), ("libvirt", "image-1")):
        with records.take("image", "another box", provider=provider, wait=False, deadline=NEVER) as other:
            assert other.path.endswith(f"/{name}")


def test_a_vm_that_is_powered_off_at_this_moment_is_waited_for(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a PID namespace the kernel does not tell who has its lock: the guard of a run that was killed."""
    _make_ready("debian-bookworm-1")
    with records.take("debian-bookworm", "box", wait=False, deadline=NEVER):
        monkeypatch.setattr(locks, "owner", lambda path: 0)
        with pytest.raises(DeadlineError, match="no VM of debian-bookworm was free"):
            records.take("debian-bookworm", "box", wait=False, deadline=Deadline(0))


@pytest.mark.parametrize("make", ["file", "link", "writable"])
def test_a_directory_of_vms_that_is_not_ours(state: Path, make: str) -> None:
    path = state / "vms"
    if make == "file":
        path.touch()
    elif make == "link":
        path.symlink_to(state)
    else:
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(HostError, match="not a directory of this user's alone"):
        records.check_directory()


def test_domains_of_others(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libvirt and the pool have is ours by its prefix, which is that of the state directory."""
    ours = domains.domain_of("debian-bookworm-1")
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(state / "other"))
    theirs = domains.domain_of("debian-bookworm-1")
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(state))
    assert ours != theirs
    listed = f"{ours}\n{theirs}\ndebian-bookworm-1_default\n"
    monkeypatch.setattr(process, "run", lambda argv, **more: listed if "--all" in argv else f"{theirs}\n")
    assert domains.states() == {"debian-bookworm-1": False}
    pool = Path(domains.pool_directory())
    pool.mkdir(parents=True)
    for name in (f"{ours}.img", f"{ours}_1.img", f"{theirs}.img", "box_vagrant_box_image_1_box.img"):
        (pool / name).touch()
    assert domains.disks() == {"debian-bookworm-1"}


def test_kvm_that_runs_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/kvm is there on any host here; the flags of the processor tell."""
    monkeypatch.delenv("POSTROJ_VM_DRIVER", raising=False)
    monkeypatch.setattr(os, "open", lambda path, flags: 99)
    monkeypatch.setattr(os, "close", lambda fd: None)
    for flags, named, wanted in (
        ("fpu sse2 vmx", "x86_64", True), ("svm", "x86_64", True), ("fpu vmxnet", "x86_64", False),
        ("fpu", "aarch64", True),
    ):  # fmt: skip
        monkeypatch.setattr("builtins.open", lambda path, text=flags: StringIO(f"processor: 0\nflags\t\t: {text}\n"))
        monkeypatch.setattr(os, "uname", lambda named=named: SimpleNamespace(machine=named))
        assert vagrant.has_kvm() is wanted
    monkeypatch.setenv("POSTROJ_VM_DRIVER", "qemu")
    assert not vagrant.has_kvm()


def test_a_network_that_is_not_active(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a boot of the host: it is started, and the snapshot restored then."""
    called: list[str] = []

    def run(argv: list[str], **more: object) -> str:
        called.append(argv[2])
        return f"{domains.domain_of('debian-bookworm-1')}\n"

    def revert(argv: list[str], **more: object) -> str:
        run(argv)
        if called.count("snapshot-revert") == 1:
            raise ToolError("virsh failed", why="error: network 'vagrant-libvirt' is not active")
        return ""

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "ask_confined", revert)
    domains.revert("debian-bookworm-1", "postroj-0", deadline=NEVER)
    assert called == ["list", "snapshot-revert", "net-start", "snapshot-revert"]

    def overdue(argv: list[str], **more: object) -> str:
        raise OverdueError("virsh did not end within 0 s")

    monkeypatch.setattr(process, "ask_confined", overdue)
    with pytest.raises(DeadlineError, match="the VM debian-bookworm-1 was not ready within 0 s"):
        domains.revert("debian-bookworm-1", "postroj-0", deadline=Deadline(0))


@pytest.mark.parametrize("words", [["run", "debian-bookworm"], ["pkgprobe", "--image=debian-bookworm"]])
def test_what_only_a_vm_has(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "require_root", lambda: None)
    more = ["true"] if words[0] == "run" else ["--check-unit=a"]
    assert execute([words[0], "--vm-wait", *words[1:], *more]) in (2, 125)
    assert "--vm-wait is about virtual machines" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "status", "lost"),
    [("read -r x; sleep 0.2", 255, True), ("exec sleep 60", 255, False), ("exec sleep 60", 1, False)],
)
def test_a_connection_that_is_lost(command: str, status: int, lost: bool) -> None:
    """A command learns of it a moment before ssh ends."""
    connection = Connection.__new__(Connection)
    connection._process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE)
    try:
        connection._process.stdin.close()  # type: ignore[union-attr]
        assert connection.is_lost(status) is lost
    finally:
        connection._process.kill()
        connection._process.wait()
