"""Where VMs are kept, each in a directory that is locked while it is used.

VMS/debian-bookworm-1/Vagrantfile, key, known_hosts, home, .vagrant
VMS/debian-bookworm-1/user      a copy of the user's directory, if its Vagrantfile is that of the VM
VMS/debian-bookworm-1/box       the box that it is made of
VMS/debian-bookworm-1/taken     its time is when it was taken the last time
VMS/debian-bookworm-1/files     what is on its disk, as it was prepared; see `listing`
VMS/debian-bookworm-1/kept      why it runs on, if its work is done
VMS/debian-bookworm-1/ready     how it is reached; written last: without it, the VM is half made
VMS/.boxes, VMS/.pool           see `boxes`, and the disks, by libvirt's storage pool
"""

import json
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from postroj import locks
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError
from postroj.events import Step, emit
from postroj.locks import DirectoryLock
from postroj.procfs import status_of
from postroj.replacing import replacing
from postroj.settings import vms_dir
from postroj.vm.box import LINUX, SSH, Box

HOST_VM = "linux-host"
"""The VM in which commands run that need Linux, see `host`: it is no image's, and stays on between two commands."""
_MOST = 100
_LOOK_SECONDS = 0.1
_OTHERS_CAN_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Kept(NamedTuple):
    """A VM that is kept."""

    name: str
    image: str
    is_ready: bool
    user: int
    """The PID of the postroj that uses it; 0 for none."""
    since: float
    """When it was taken the last time, as time.time()."""
    reason: str = ""
    """Why it runs on, if its work is done."""
    until: float = 0.0
    """When it ends then, as time.time(); 0 if that is not known."""


class Ready(NamedTuple):
    """A VM that is made, and how it is reached."""

    box: str
    """Box.identity."""
    address: str
    port: int
    guest: str = LINUX
    by: str = SSH
    """SSH or WINRM."""
    user: str = "root"
    password: str = ""
    """For WINRM, whose boxes have published ones."""


def path_of(vm: str) -> str:
    """Return the path of a VM's directory."""
    return os.path.join(vms_dir(), vm)


def names() -> list[str]:
    """Return the names of all VMs, those that are half made as well."""
    try:
        with os.scandir(vms_dir()) as found:
            return sorted(one.name for one in found if not one.name.startswith(".") and one.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def kept() -> list[Kept]:
    """Return the VMs of images that there are. Root is not needed."""
    found = []
    for name in names():
        if name == HOST_VM:
            continue
        path = path_of(name)
        with suppress(FileNotFoundError):
            user = locks.owner(path)
            taken = os.path.join(path, "taken")
            since = os.stat(taken if os.path.exists(taken) else path).st_mtime
            reason, until = _why_kept(path) if user else ("", 0.0)
            found.append(Kept(name, name.rpartition("-")[0], read(path) is not None, user, since, reason, until))
    return found


def write_kept(path: str, reason: str, until: float) -> None:
    """Record why a VM runs on when its work is done, and until when. Raises OSError."""
    write(path, "kept", json.dumps({"reason": reason, "until": until}))


def forget_kept(path: str) -> None:
    """Record that a VM ends with its work. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(path, "kept"))


def _why_kept(path: str) -> tuple[str, float]:
    try:
        with open(os.path.join(path, "kept")) as file:
            told = json.load(file)
        return str(told["reason"]), float(told["until"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", 0.0


def boxes() -> set[str]:
    """Return the places of the boxes that VMs are made of, or are being made of."""
    return {box.place for name in names() if (box := box_of(path_of(name)))}


def box_of(path: str) -> Box | None:
    """Return the box that a VM is made of, or is being made of; None if that is not known."""
    try:
        with open(os.path.join(path, "box")) as file:
            return Box(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def write_box(path: str, box: Box) -> None:
    """Record what a VM is made of. Raises OSError."""
    write(path, "box", json.dumps(box._asdict()))


def read(path: str) -> Ready | None:
    """Return how a VM that is ready is reached; None if it has to be made."""
    try:
        with open(os.path.join(path, "ready")) as file:
            told = json.load(file)
        texts = {name: str(value) for name, value in told.items() if name != "port"}
        return Ready(port=int(told["port"]), **texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(path: str, name: str, text: str) -> None:
    """Write a file of a VM. Raises OSError."""
    with replacing(os.path.join(path, name)) as fd:
        os.write(fd, text.encode())


def write_ready(path: str, ready: Ready) -> None:
    """Record that a VM is ready. Raises OSError."""
    write(path, "ready", json.dumps(ready._asdict()))


def forget_ready(path: str) -> None:
    """Record that a VM is not ready. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(path, "ready"))


def check_directory() -> None:
    """Make the directory of all VMs. Raises HostError unless it is ours alone, OSError."""
    path = vms_dir()
    with suppress(FileExistsError):
        os.makedirs(path, mode=0o755)  # libvirt has QEMU run as another user, which opens disks below it
    status = os.lstat(path)
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS_CAN_WRITE or not stat.S_ISDIR(status.st_mode):
        raise HostError(
            f"{path} is not a directory of this user's alone: no VM is kept in it",
            hint="remove it, or have POSTROJ_STATE_DIR name another directory",
        )


def take(image: str, box: str, *, provider: str = "", wait: bool, deadline: Deadline) -> DirectoryLock:
    """Lock a VM of an image that nobody uses: one that is ready, another one, or a new one.

    One of another provider that is ready stays so, if there is room for a new one. With `wait`, one that is used is
    waited for in place of a new one. Raises HostError, DeadlineError, OSError.
    """
    told = False
    while True:
        numbers = {name: name.rpartition("-") for name in names()}
        there = [name for name, (of, _, number) in numbers.items() if of == image and number.isdecimal()]
        ready = [name for name in there if (known := read(path_of(name))) and known.box == box]
        waits = bool(there) and (wait or any(map(_is_ending, ready)))
        others = [name for name in there if provider and _is_ready_for_another(name, provider)]
        new = [] if waits else [f"{image}-{number}" for number in range(1, _MOST + 1)]
        new = [name for name in new if name not in others]
        if lock := _first_lock([*ready, *new, *there]):
            os.close(os.open(os.path.join(lock.path, "taken"), os.O_WRONLY | os.O_CREAT, 0o644))
            os.utime(os.path.join(lock.path, "taken"))
            return lock
        if not waits:
            raise HostError(f"all {_MOST} VMs of {image} are used", hint="see `postroj vm ls`")
        if not told:
            emit(Step(image, f"waiting for a VM of it that is used: {', '.join(there)}"))
            told = True
        if deadline.expired():
            raise DeadlineError(f"no VM of {image} was free within {deadline.seconds:g} s", hint="see --vm-wait")
        time.sleep(_LOOK_SECONDS)  # flock(2) has no timeout


def _is_ready_for_another(vm: str, provider: str) -> bool:
    box = box_of(path_of(vm))
    return box is not None and box.provider != provider and read(path_of(vm)) is not None


def _is_ending(vm: str) -> bool:
    """Return whether the run that has a VM was killed, and its guard powers the VM off, which takes a moment."""
    user = locks.owner(path_of(vm))
    if not user:  # of a lock whose first owner has ended only the first PID namespace is told
        return locks.is_held(path_of(vm))
    try:
        status_of(user)
    except (OSError, ValueError):
        return True
    return False


def _first_lock(candidates: Sequence[str]) -> DirectoryLock | None:
    for name in candidates:
        if lock := locks.lock_directory(path_of(name), create=True, wait=False):
            return lock
    return None
