"""What killed processes have left of VMs is found and removed: VMs that run for nobody, or are half made, and disks."""

import os
import shutil
from collections.abc import Mapping, Sequence

from postroj import locks, process
from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.events import Step, Warn, emit
from postroj.vm import boxes, domains, records
from postroj.vm.box import LIBVIRT, Box
from postroj.vm.vagrant import Project

_SECONDS = 600.0


def sweep(*, with_libvirt: bool = False) -> list[str]:
    """Remove what nobody uses and is not whole; return what it was. Raises HostError, OSError.

    A VM that runs for nobody is powered off, and kept. libvirt is asked if it can have VMs of ours, or `with_libvirt`.
    """
    of_others = {vm for vm in records.names() if not _is_of_libvirt(vm)}
    in_libvirt = with_libvirt or _can_be_in_libvirt()
    states = _states() if in_libvirt else {}
    found = []
    for vm in sorted({*states, *records.names(), *domains.disks()}):
        ready = records.read(records.path_of(vm)) is not None
        is_known = vm in of_others or states.get(vm) is False or (vm == records.HOST_VM and vm in states)
        if not (ready and is_known) and (what := _sweep_one(vm, in_libvirt)):
            found.append(what)
    found += [f"the copy of the box {box}" for box in boxes.sweep(records.boxes)]
    if os.path.isdir(domains.pool_directory()):
        domains.remove_pool(lambda: bool(records.names() or boxes.names()))
    return found


def _states() -> dict[str, bool]:
    process.require("virsh")
    return domains.states()


def _can_be_in_libvirt() -> bool:
    """Return whether libvirt can have VMs of ours: none is made before it is recorded, and has the pool for its disk.

    Others need no libvirt: virsh may be there, and libvirt not run.
    """
    found = map(records.box_of, map(records.path_of, records.names()))
    return os.path.isdir(domains.pool_directory()) or any(box and box.provider == LIBVIRT for box in found)


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


def discard(vm: str, *, in_libvirt: bool = False) -> None:
    """Remove a VM that is locked by the caller, with its directory; see `clear`. Raises HostError, OSError."""
    clear(vm, in_libvirt=in_libvirt)
    shutil.rmtree(records.path_of(vm))


def clear(vm: str, *, in_libvirt: bool = False) -> None:
    """Remove a VM that is locked by the caller, and leave its directory, empty. Raises HostError, OSError.

    One that is not recorded may be `in_libvirt`.
    """
    path = records.path_of(vm)
    records.forget_ready(path)
    box = records.box_of(path)
    if box and box.provider != LIBVIRT:
        project = _project(vm, box)
        if project.is_there:
            project.do("destroy", "--force", deadline=Deadline(_SECONDS))
    elif box or in_libvirt or _can_be_in_libvirt():
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


def _sweep_one(vm: str, in_libvirt: bool) -> str:
    """Look at a VM again while nobody can take it; return what was done, empty for nothing."""
    lock = locks.lock_directory(records.path_of(vm), create=True, wait=False)
    if lock is None:
        return ""
    with lock:
        ready = records.read(lock.path) is not None
        if ready and not _is_of_libvirt(vm):
            return ""
        states = _states() if in_libvirt else {}
        if not (ready and vm in states):
            emit(Step(vm, "removing what is left of a VM"))
            discard(vm, in_libvirt=in_libvirt)
            return f"what was left of the VM {vm}"
        if states[vm]:
            emit(Step(vm, "powering off the VM, which no run uses"))
            domains.power_off(vm)
            return f"the running VM {vm}: it is off"
    return ""
