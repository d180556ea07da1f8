"""The way into a machine that runs already, of whatever kind it is."""

import os
from typing import TYPE_CHECKING, TypeAlias

from postroj import locks
from postroj.container.attached import Attached
from postroj.settings import RUNTIME_DIR, vms_dir

if TYPE_CHECKING:
    from postroj.vm.attached import Attached as AttachedVm

    AnyAttached: TypeAlias = Attached | AttachedVm


def attached(name: str) -> "AnyAttached":
    """Return a container by its name, or else a VM, to be entered as a context manager."""
    if directory_of_vm(name):
        from postroj.vm.attached import Attached as AttachedVm  # most hosts have none, and it takes its time

        return AttachedVm(name)
    return Attached(name)


def vms_in_use() -> list[str]:
    """Return the names of the VMs that a process uses."""
    try:
        names = sorted(os.listdir(vms_dir()))
    except FileNotFoundError:
        return []
    return [name for name in names if (path := directory_of_vm(name)) and locks.owner(path)]


def directory_of_vm(name: str) -> str:
    """Return the directory of a VM, in use or not; empty if there is none of this name, or a container has it."""
    path = os.path.join(vms_dir(), name)
    is_name = bool(name) and "/" not in name and not name.startswith(".")
    if not is_name or os.path.isdir(os.path.join(RUNTIME_DIR, name)):
        return ""
    return path if os.path.isfile(os.path.join(path, "known_hosts")) else ""
