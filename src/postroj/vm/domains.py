"""The VMs that libvirt has for us: what `virsh` tells of them, and their end. VMs and pools of others are not touched.

Vagrant makes and restores VMs. Whatever a killed process has left of one is found and removed here, as Vagrant knows
only VMs that it has made to the end.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from postroj import locks, process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, OverdueError, ToolError
from postroj.settings import vms_dir

T = TypeVar("T")

_URI = "qemu:///system"
_MACHINE = "_default"
"""What Vagrant adds to the prefix of a name: the machine, of which a Vagrantfile of the user's has another one. No name
of a VM has an underscore."""
_VM = r"[a-z0-9][a-z0-9.-]*"
# The script is fixed: the URI and the begin of the name are its arguments.
_OFF = """
names=$(virsh --connect="$1" list --name) || exit
for one in $names; do
    case $one in "$2"*) virsh --connect="$1" destroy -- "$one" || exit ;; esac
done
"""
_SECONDS = 120.0
_REVERT_SECONDS = 600.0
_HINTS = (
    (
        r"Failed to connect socket to '([^']*libvirt[^']*)'|[Ee]nd of file while reading data|Cannot recv data",
        "libvirt does not run",
        "systemctl start libvirtd; on a host without systemd: virtlogd --daemon and libvirtd --daemon",
    ),
    (
        r"The provider 'libvirt' could not be found|user requested 'vagrant-libvirt\b",
        "Vagrant lacks its plugin for libvirt",
        "on Debian: apt-get install vagrant-libvirt; elsewhere: vagrant plugin install vagrant-libvirt",
    ),
    (  # the last one is curl's, by which Vagrant copies boxes as well
        r"No space left on device|ENOSPC|Failure writing output to destination",
        "the disk is full",
        "POSTROJ_STATE_DIR moves the VMs to another one",
    ),
    (r"Timed out while waiting for the machine to boot", "the VM did not boot in time", ""),
)


def prefix() -> str:
    """Return how the names of our domains begin: another state directory has another prefix."""
    return f"postroj-{hashlib.sha256(vms_dir().encode()).hexdigest()[:8]}-"


def domain_of(vm: str) -> str:
    """Return how libvirt calls a VM."""
    return f"{prefix()}{vm}{_MACHINE}"


def pool() -> str:
    """Return the name of our storage pool."""
    return f"{prefix()}disks"


def pool_directory() -> str:
    """Return the path of its directory."""
    return os.path.join(vms_dir(), ".pool")


def states() -> dict[str, bool]:
    """Return our VMs that libvirt has, by name, and whether each runs or is paused. Raises HostError."""
    active = set(_virsh("list", "--name").split())
    ours = [name for name in _virsh("list", "--all", "--name").split() if _vm_of(name)]
    return {_vm_of(name): name in active for name in ours}


def _vm_of(name: str) -> str:
    """Return the VM of which a domain or a disk with this name is; empty if it is none of ours.

    Only what can be the name of a VM is one: it becomes a part of paths.
    """
    found = re.match(rf"{re.escape(prefix())}({_VM})_", name)
    return found[1] if found else ""


def power_off_words(vm: str) -> list[str]:
    """Return the command that powers a VM off, if it is on."""
    return ["sh", "-c", _OFF, "sh", _URI, f"{prefix()}{vm}_"]


def is_off(said: str) -> bool:
    """Return whether that command says that the VM is off, or is not there."""
    return bool(
        re.search(
            r"domain is not running|failed to get domain|Domain not found|A Vagrant environment or target machine", said
        )
    )


def power_off(vm: str) -> None:
    """Power a VM off, if it is on; its snapshots stay. Raises HostError."""
    try:
        with_hint(lambda: process.run(power_off_words(vm), timeout=_SECONDS))
    except HostError as error:
        if not is_off(error.why):
            raise


def ended(vm: str) -> str:
    """Return how a VM has ended by its guest's own doing, as a clause; empty if it has not, or that cannot be told.

    libvirt.org, virDomainShutoffReason: of `shutdown` the guest itself is the reason, of `destroyed` and `crashed` not.
    """
    with suppress(HostError):
        if _virsh("domstate", "--reason", "--", _domain(vm)).strip() == "shut off (shutdown)":
            return "it was shut down from inside"
    return ""


def revert(vm: str, snapshot: str, *, deadline: Deadline) -> None:
    """Have a VM run as it was at a snapshot. Raises HostError, DeadlineError.

    By way of Vagrant the same takes five times as long.
    """
    argv = ["virsh", f"--connect={_URI}", "snapshot-revert", "--running", "--force", "--", _domain(vm), snapshot]
    limit = deadline.sooner(_REVERT_SECONDS)

    def run() -> None:
        # confined: it must not go on, and start the VM, if this process is killed
        with_hint(lambda: process.ask_confined(argv, stdin="", timeout=limit.remaining() or 0))

    try:
        try:
            run()
        except HostError as error:
            inactive = re.search(r"network '([\w.-]+)' is not active", error.why)
            if not inactive:
                raise
            # after a boot of the host
            _virsh("net-start", "--", inactive[1])
            run()
    except HostError as error:
        if deadline.expired():
            raise DeadlineError(f"the VM {vm} was not ready within {deadline.seconds:g} s", why=error.why) from error
        raise


def delete_snapshot(vm: str, snapshot: str) -> None:
    """Delete a snapshot of a VM, on or off. Raises HostError."""
    _virsh("snapshot-delete", "--", _domain(vm), snapshot)


def _domain(vm: str) -> str:
    """Return how libvirt calls a VM that it has: the Vagrantfile of a user can name the machine."""
    return next((name for name in _virsh("list", "--all", "--name").split() if _vm_of(name) == vm), domain_of(vm))


def remove(vm: str) -> None:
    """Remove a VM with its snapshots and its disks, as far as they are there. Raises HostError."""
    for domain in _virsh("list", "--all", "--name").split():
        if _vm_of(domain) == vm:
            power_off(vm)
            _virsh("undefine", "--snapshots-metadata", "--managed-save", "--nvram", "--", domain)
    delete_disks(rf"{re.escape(prefix() + vm)}_[^/]*")  # those that a user's Vagrantfile adds are .qcow2, or .raw


def disks() -> set[str]:
    """Return the names of the VMs that there are disks of."""
    return {vm for name in _listed(pool_directory()) if (vm := _vm_of(name))}


def delete_disks(pattern: str, kept: tuple[str, ...] = ()) -> None:
    """Delete the disks in our pool whose names match a regular expression, and begin like none of `kept`.

    Raises HostError.
    """
    for name in _listed(pool_directory()):
        if re.fullmatch(pattern, name) and not name.startswith(kept):
            with suppress(ToolError):  # libvirt may not know the pool any more
                _virsh("vol-delete", f"--pool={pool()}", "--", name)
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(pool_directory(), name))


def make_pool() -> None:
    """Have our storage pool, active. Raises HostError, OSError."""
    lock = locks.lock_directory(pool_directory(), create=True)
    assert lock is not None
    with lock:
        if pool() in _virsh("pool-list", "--name").split():
            return
        if pool() not in _virsh("pool-list", "--all", "--name").split():
            _virsh("pool-define-as", pool(), "dir", f"--target={pool_directory()}")
        _virsh("pool-start", pool())


def remove_pool(is_used: Callable[[], bool]) -> None:
    """Have libvirt forget our storage pool, and remove it, unless it is used, which is asked while nobody makes it.

    Raises HostError, OSError.
    """
    lock = locks.lock_directory(pool_directory(), wait=False)
    if lock is None:
        return
    with lock:
        if is_used():
            return
        if pool() in _virsh("pool-list", "--name").split():
            _virsh("pool-destroy", pool())
        if pool() in _virsh("pool-list", "--all", "--name").split():
            _virsh("pool-undefine", pool())
        shutil.rmtree(pool_directory())  # what is still in it is of no VM and of no box


def with_hint(do: Callable[[], T]) -> T:
    """Run a program; an error of Vagrant's or libvirt's that is known becomes one sentence. Raises HostError."""
    try:
        return do()
    except OverdueError:
        raise
    except ToolError as error:
        for pattern, what, hint in _HINTS:
            if re.search(pattern, error.why):
                raise HostError(what, why=error.why, hint=hint) from error
        raise


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _virsh(*words: str) -> str:
    argv: Sequence[str] = ["virsh", f"--connect={_URI}", *words]
    return with_hint(lambda: process.run(argv, timeout=_SECONDS))
