"""What killed processes have left of VMs is found and removed: VMs that run for nobody, or are half made, and disks."""

import os
import shutil

from postroj import locks, process
from postroj.errors import HostError
from postroj.events import Step, Warn, emit
from postroj.settings import vms_dir
from postroj.vm import boxes, domains, records


def sweep() -> list[str]:
    """Remove what nobody uses and is not whole; return what it was. Raises HostError, OSError.

    A VM that runs for nobody is powered off, and kept. Where no VM was ever made, nothing is done.
    """
    if not os.path.isdir(vms_dir()):
        return []
    process.require("virsh")
    states = domains.states()
    found = []
    for vm in sorted({*states, *records.names(), *domains.disks()}):
        ready = records.read(records.path_of(vm)) is not None
        if (not ready or states.get(vm) is not False) and (what := _sweep_one(vm)):
            found.append(what)
    found += [f"the copy of the box {box}" for box in boxes.sweep(records.boxes)]
    domains.remove_pool(lambda: bool(records.names() or boxes.names()))
    return found


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
    domains.remove(vm)
    for name in os.listdir(path):
        inner = os.path.join(path, name)
        shutil.rmtree(inner) if os.path.isdir(inner) and not os.path.islink(inner) else os.unlink(inner)


def _sweep_one(vm: str) -> str:
    """Look at a VM again while nobody can take it; return what was done, empty for nothing."""
    lock = locks.lock_directory(records.path_of(vm), create=True, wait=False)
    if lock is None:
        return ""
    with lock:
        states = domains.states()
        is_whole = records.read(lock.path) is not None and vm in states
        if not is_whole:
            emit(Step(vm, "removing what is left of a VM"))
            discard(vm)
            return f"what was left of the VM {vm}"
        if states[vm]:
            emit(Step(vm, "powering off the VM, which no run uses"))
            domains.power_off(vm)
            return f"the running VM {vm}: it is off"
    return ""
