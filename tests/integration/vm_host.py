"""libvirt for tests with VMs: daemons started by hand, as no systemd is needed for them, and ended after the last test.

Their configuration and state are in a directory of the test's, which only they see in its place: nothing of the host's
own libvirt is read or changed. The sockets are where clients look for them, so the host must have no libvirt running.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from moments import until
from support import SIMULATED, STATE

_PROGRAMS = ("vagrant", "virtlogd", "libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "dnsmasq", "iptables")
_FILES = {
    "boot loader GRUB (grub-pc-bin)": "/usr/lib/grub/i386-pc/boot.img",
    "plugin vagrant-libvirt": "/usr/share/rubygems-integration/all/specifications/vagrant-libvirt-*.gemspec",
}
_RUNTIME = Path("/run/libvirt")
_SOCKETS = {"virtlogd": "virtlogd-sock", "libvirtd": "libvirt-sock"}
"""Of each daemon, in the order of their start."""
_daemons: dict[str, "subprocess.Popen[bytes]"] = {}
_running: list["VmHost"] = []
"""The one of this process."""
_PRIVATE = ("/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")
# user: libvirt would probe QEMU anew in each call if its own user could not use /dev/kvm. cgroup_controllers: none of
# the host's cgroups is needed.
_QEMU_CONF = 'user = "root"\ngroup = "root"\ncgroup_controllers = []\nsecurity_driver = "none"\n'
# DIRECTORY PLACE...: the directories take the places, for the daemon alone.
_IN_PRIVATE = """
set -eu
directory=$1 places=$2
shift 2
for place in $places; do mount --bind "$directory$place" "$place"; done
exec "$@"
"""
_NETWORK = """<network>
  <name>vagrant-libvirt</name>
  <forward mode='nat'/>
  <bridge name='virbr-test' stp='on' delay='0'/>
  <ip address='192.168.121.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.121.2' end='192.168.121.254'/></dhcp>
  </ip>
</network>
"""


class VmHost(NamedTuple):
    """A host with libvirt."""

    environment: dict[str, str]
    """For postroj: images and boxes that are shared, and VMs that are shared by all tests with VMs."""
    directory: Path
    """What is of this host: configuration, state and logs."""

    @property
    def moved(self) -> dict[str, str]:
        """Those of the variables that only this host has."""
        return {name: self.environment[name] for name in ("POSTROJ_STATE_DIR", "POSTROJ_IMAGES_DIR")}

    @property
    def state(self) -> Path:
        """The state directory of postroj."""
        return Path(self.environment["POSTROJ_STATE_DIR"])

    @contextmanager
    def without_libvirtd(self) -> Iterator[None]:
        """Kill libvirtd; VMs go on. It is started again at the end of the block."""
        pid = int((self.directory / "libvirtd.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        _daemons["libvirtd"].wait(60)
        try:
            yield
        finally:
            _start("libvirtd", self.directory)


def missing() -> str:
    """Return why there can be no VM on this host; empty if there can."""
    if not SIMULATED:
        return "libvirt is started on simulated hosts only: run hosts.py"
    return lacking()


def lacking() -> str:
    """Return what is not installed of that which VMs need; empty if nothing is."""
    names = [name for name in _PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    names += [name for name, path in _FILES.items() if not list(Path("/").glob(path.lstrip("/")))]
    return f"not installed: {', '.join(names)}" if names else ""


long = pytest.mark.skipif(not os.environ.get("POSTROJ_TEST_VM"), reason="takes minutes: POSTROJ_TEST_VM=long")
"""For tests that boot VMs often: where they are emulated, all of them take more than half an hour."""


@pytest.fixture(scope="session")
def vm_host(environment: dict[str, str]) -> Iterator[VmHost]:
    """A host with libvirt. Its network changes settings that other tests look at: conftest has those with VMs run last.

    VMs are shared by all tests, as it takes a minute to make one: `bookworm`, by `postroj run --vm`.
    """
    if why := missing():
        pytest.skip(why)
    with started_vm_host() as host:
        yield host


@contextmanager
def started_vm_host() -> Iterator[VmHost]:
    """Start libvirt and its network, unless this process has; remove all VMs and disks afterwards, and end it."""
    if _running:
        yield _running[0]
        return
    assert not any((_RUNTIME / name).exists() for name in _SOCKETS.values()), "another libvirt runs on this host"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(_scratch()))
        for place in map(Path, _PRIVATE):
            (directory / place.relative_to("/")).mkdir(parents=True)
        shutil.copytree("/etc/libvirt/nwfilter", directory / "etc/libvirt/nwfilter", dirs_exist_ok=True)
        (directory / "etc/libvirt/qemu.conf").write_text(_QEMU_CONF)
        made = [place for place in (*map(Path, _PRIVATE), _RUNTIME) if not place.exists()]
        for place in made:
            place.mkdir(parents=True)
        stack.callback(_clear, _RUNTIME, *made)
        forward = Path("/proc/sys/net/ipv4/ip_forward")
        stack.callback(forward.write_text, forward.read_text())  # libvirt does not set it back
        stack.callback(_delete_tables, _tables())
        stack.enter_context(_more_processor())
        for name in _SOCKETS:
            _start(name, directory)
            stack.callback(_stop, name)
        stack.callback(_destroy_all)
        (directory / "network.xml").write_text(_NETWORK)
        _virsh("net-define", str(directory / "network.xml"))
        _virsh("net-start", "vagrant-libvirt")
        state = directory / "state"
        state.mkdir()
        variables = {"POSTROJ_STATE_DIR": str(state), "POSTROJ_IMAGES_DIR": os.path.join(STATE, "images")}
        _running.append(VmHost({**os.environ, **variables}, directory))
        stack.callback(_running.clear)
        yield _running[0]


@contextmanager
def _more_processor() -> Iterator[None]:
    """Have this host get more of the processors than others that run tests beside it, as far as it has a share.

    A VM is emulated by one thread, and with eight lanes at once it would take minutes to boot.
    """
    shares = Path("/sys/fs/cgroup/cpu/cpu.shares")
    before = ""
    with suppress(OSError):  # there is none, or it is the root's, which cannot be changed
        before = shares.read_text()
        shares.write_text(str(4 * int(before)))
    try:
        yield
    finally:
        with suppress(OSError):
            shares.write_text(before)


@contextmanager
def _scratch() -> Iterator[str]:
    """A directory on a disk, with room for those of VMs."""
    os.makedirs(STATE, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-vm-", dir=STATE) as path:
        yield path


def _start(name: str, directory: Path) -> None:
    """Start a daemon, which then is up; of one that was killed the socket is there still."""
    socket = _RUNTIME / _SOCKETS[name]
    socket.unlink(missing_ok=True)
    pid_file = directory / f"{name}.pid"
    wrapped = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_PRIVATE, "sh"]
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*wrapped, str(directory), " ".join(_PRIVATE), name, "--pid-file", str(pid_file)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    until(lambda: socket.exists() or process.poll() is not None, f"{name} is up", seconds=120)
    assert process.poll() is None, (directory / f"{name}.log").read_text(errors="replace")
    _daemons[name] = process


def _stop(name: str) -> None:
    process = _daemons.pop(name)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tables() -> set[str]:
    """Return the tables of nftables: libvirt leaves its own."""
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return set(listed.splitlines())


def _delete_tables(before: set[str]) -> None:
    for table in _tables() - before:
        subprocess.run(["nft", *table.replace("table", "delete table", 1).split()], check=True)


def _destroy_all() -> None:
    """Remove what tests have left: VMs, their disks, and the networks; with those their dnsmasq ends."""
    for name in _virsh("list", "--all", "--name").split():
        subprocess.run(["virsh", "destroy", name], capture_output=True, check=False)
        _virsh("undefine", name, "--snapshots-metadata", "--managed-save", "--nvram")
    for name in _virsh("net-list", "--all", "--name").split():
        subprocess.run(["virsh", "net-destroy", name], capture_output=True, check=False)
        _virsh("net-undefine", name)


def _clear(runtime: Path, *made: Path) -> None:
    """Remove sockets and what the daemons have noted there, and directories that were not there before."""
    for path in runtime.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for place in made:
        shutil.rmtree(place)


def _virsh(*words: str) -> str:
    done = subprocess.run(["virsh", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"virsh {words}: {done.stderr}"
    return done.stdout
