"""What killed processes have left of VMs is found and removed: VMs that run for nobody, or are half made, and disks."""

import os
import shutil
from collections.abc import Mapping, Sequence

from postroj import locks, process
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.events import Step, Warn, emit
from postroj.privileges import is_linux
from postroj.vm import boxes, domains, records
from postroj.vm.box import LIBVIRT, Box
from postroj.vm.vagrant import Project

_SECONDS = 600.0


def sweep() -> list[str]:
    """Remove what nobody uses and is not whole; return what it was. Raises HostError, OSError.

    A VM that runs for nobody is powered off, and kept. If there is nothing of VMs, libvirt is not asked.
    """
    if not (records.names() or boxes.names() or os.path.isdir(domains.pool_directory())):
        return []
    of_others = {vm for vm in records.names() if not _is_of_libvirt(vm)}
    if of_others != set(records.names()) or _has_libvirt():
        process.require("virsh")
        states = domains.states()
    else:
        states = {}
    found = []
    for vm in sorted({*states, *records.names(), *domains.disks()}):
        ready = records.read(records.path_of(vm)) is not None
        is_known = vm in of_others or states.get(vm) is False or (vm == records.HOST_VM and vm in states)
        if not (ready and is_known) and (what := _sweep_one(vm)):
            found.append(what)
    found += [f"the copy of the box {box}" for box in boxes.sweep(records.boxes)]
    if os.path.isdir(domains.pool_directory()):
        domains.remove_pool(lambda: bool(records.names() or boxes.names()))
    return found


def _has_libvirt() -> bool:
    """Return whether libvirt can have VMs of ours: it is there on Linux alone, its client elsewhere as well."""
    return is_linux() and process.find("virsh") is not None


def sweep_quietly() -> list[str]:
    """The same for commands that are about something else: an error is a warning."""
    try:
        return sweep()
    except (HostError, OSError) as error:
        emit(Warn(f"what killed runs have left of VMs is not looked for: {error}"))
        return []


def remove(vm: str) -> bool:
    """Remove a VM with its disk and its snapshots; return whether nobody uses it. Raises HostError, OSError."""
    lock = locks.lock_directory(records.path_of(vm), wait=False)
    if lock is None:
        return False
    with lock:
        discard(vm)
    return True


def discard(vm: str) -> None:
    """Remove a VM that is locked by the caller, with its directory. Raises HostError, OSError."""
    clear(vm)
    shutil.rmtree(records.path_of(vm))


def clear(vm: str) -> None:
    """Remove a VM that is locked by the caller, and leave its directory, empty. Raises HostError, OSError."""
    path = records.path_of(vm)
    records.forget_ready(path)
    box = records.box_of(path)
    if box and box.provider != LIBVIRT:
        project = _project(vm, box)
        if project.is_there:
            project.do("destroy", "--force", deadline=Deadline(_SECONDS))
    elif box or _has_libvirt():
        domains.remove(vm)
    for name in os.listdir(path):
        inner = os.path.join(path, name)
        shutil.rmtree(inner) if os.path.isdir(inner) and not os.path.islink(inner) else os.unlink(inner)


def off(project: Project) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the command that powers a VM off, and its environment."""
    if project.box.provider == LIBVIRT:
        return domains.power_off_words(project.name), process.environment()
    return ["vagrant", "halt", "--force"], project.environment(Deadline(_SECONDS))


def power_off(vm: str) -> None:
    """Power a VM off, which a process uses. Raises HostError."""
    box = records.box_of(records.path_of(vm))
    if box is None or box.provider == LIBVIRT:
        domains.power_off(vm)
    else:
        _project(vm, box).do("halt", "--force", deadline=Deadline(_SECONDS))


def _project(vm: str, box: Box) -> Project:
    return Project(records.path_of(vm), box, boxes.directory(box.place))


def _is_of_libvirt(vm: str) -> bool:
    """Return whether a VM is one of libvirt's, or nothing of it is made but there."""
    box = records.box_of(records.path_of(vm))
    return box is None or box.provider == LIBVIRT


def _sweep_one(vm: str) -> str:
    """Look at a VM again while nobody can take it; return what was done, empty for nothing."""
    lock = locks.lock_directory(records.path_of(vm), create=True, wait=False)
    if lock is None:
        return ""
    with lock:
        ready = records.read(lock.path) is not None
        if ready and not _is_of_libvirt(vm):
            return ""
        states = domains.states() if _has_libvirt() else {}
        if not (ready and vm in states):
            emit(Step(vm, "removing what is left of a VM"))
            discard(vm)
            return f"what was left of the VM {vm}"
        if states[vm]:
            emit(Step(vm, "powering off the VM, which no run uses"))
            domains.power_off(vm)
            return f"the running VM {vm}: it is off"
    return ""
