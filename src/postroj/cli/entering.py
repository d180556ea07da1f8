"""The way into a machine that runs already, of whatever kind it is."""

import os
from typing import TYPE_CHECKING, TypeAlias

from postroj import locks
from postroj.container.attached import Attached
from postroj.events import Warn, emit
from postroj.settings import RUNTIME_DIR, vms_dir

if TYPE_CHECKING:
    from postroj.vm.attached import Attached as AttachedVm

    AnyAttached: TypeAlias = Attached | AttachedVm


def attached(name: str) -> "AnyAttached":
    """Return a container by its name, or else a VM, to be entered as a context manager."""
    if path := directory_of_vm(name):
        if not os.path.isdir(os.path.join(RUNTIME_DIR, name)):
            from postroj.vm.attached import Attached as AttachedVm  # most hosts have none, and it takes its time

            return AttachedVm(name)
        if locks.owner(path):
            emit(Warn(f"{name} is a container and a VM; this is about the container"))
    return Attached(name)


def vms_in_use() -> list[str]:
    """Return the names of the VMs that a process uses."""
    if not os.path.isdir(vms_dir()):
        return []
    from postroj.vm import records

    return [one.name for one in records.kept() if one.user]


def directory_of_vm(name: str) -> str:
    """Return the directory of a VM, in use or not, or half made; empty if there is none of this name."""
    path = os.path.join(vms_dir(), name)
    if not name or "/" in name or name.startswith(".") or not os.path.isdir(path):
        return ""
    from postroj.vm.records import HOST_VM

    return path if name != HOST_VM else ""
