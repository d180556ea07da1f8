"""VMs that are kept: each is prepared once, and every run has it as it was then.

VMS/debian-bookworm-1               a VM; locked while it is used
VMS/debian-bookworm-1/box           what it is made of; without it there is no VM yet
VMS/debian-bookworm-1/Vagrantfile, key, known_hosts, .vagrant
VMS/debian-bookworm-1/user          a copy of the user's directory, if its Vagrantfile is that of the VM
VMS/debian-bookworm-1/ready         how it is reached; written last: without it, it is half made, and made anew
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from postroj import locks
from postroj.deadline import Deadline
from postroj.errors import HostError, PostrojError
from postroj.events import Step, emit
from postroj.interrupts import uninterrupted
from postroj.replacing import replacing
from postroj.settings import vms_dir
from postroj.vm import boxes
from postroj.vm.box import Box
from postroj.vm.guests import AnyVm, opened
from postroj.vm.takeover import Reached, take_over
from postroj.vm.vagrant import Project

_MOST = 100


class Kept(NamedTuple):
    """A VM that is kept, for `postroj vm ls`."""

    name: str
    image: str
    is_ready: bool
    user: int
    """The PID of the postroj that uses it; 0 for none."""


class _Vagrant:
    def __init__(self, project: Project) -> None:
        self._project = project

    def save(self, number: int) -> None:
        self._project.do("snapshot", "save", "--force", _snapshot(number))

    def restore(self, number: int) -> None:
        self._project.do("snapshot", "restore", "--no-provision", _snapshot(number))


def _snapshot(number: int) -> str:
    return f"postroj-{number}"


@contextmanager
def taken(box: Box, *, files: Sequence[tuple[str, str]] = (), deadline: Deadline) -> Iterator[AnyVm]:
    """A VM of a box, as it was when it was prepared, ours for the block: two runs have two. Raises HostError."""
    with _locked(box.image) as path:
        name = os.path.basename(path)
        project = _recorded(path)
        reached = _reached(project, box) if project else None
        if project and reached:
            emit(Step(name, "restoring the VM"))
            try:
                _Vagrant(project).restore(0)
            except HostError as error:
                emit(Step(name, f"making the VM anew: {error.what}"))
                reached = None
        if not (project and reached):
            project, reached = _prepared(path, box, deadline)
        try:
            with opened(name, path, reached, _Vagrant(project), files, deadline) as machine:
                yield machine
        finally:
            with suppress(PostrojError), uninterrupted():
                project.ask(["suspend"], deadline=Deadline(60))


@contextmanager
def _locked(image: str) -> Iterator[str]:
    """The directory of a VM that nobody uses."""
    os.makedirs(vms_dir(), mode=0o700, exist_ok=True)
    for number in range(1, _MOST + 1):
        path = os.path.join(vms_dir(), f"{image}-{number}")
        if lock := locks.lock_directory(path, create=True, wait=False):
            with lock:
                yield path
            return
    raise HostError(f"all {_MOST} VMs of {image} are used", hint="see `postroj vm ls`")


def _reached(project: Project, box: Box) -> Reached | None:
    """Return how a VM that is ready is reached; None if it has to be made."""
    try:
        with open(os.path.join(project.path, "ready")) as file:
            told = json.load(file)
        return Reached(**told["reached"]) if told["box"] == box.identity else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prepared(path: str, box: Box, deadline: Deadline) -> tuple[Project, Reached]:
    """Make the VM, or make it anew. What cannot be made leaves nothing behind. Raises HostError, UsageError."""
    _destroy(path)
    try:
        return _made(path, box, deadline)
    except PostrojError:
        with suppress(PostrojError, OSError), uninterrupted():
            _destroy(path)
            shutil.rmtree(path)
        raise


def _made(path: str, box: Box, deadline: Deadline) -> tuple[Project, Reached]:
    boxes.add(box)
    project = Project(path, boxes.learn(box))
    with replacing(os.path.join(path, "box")) as fd:
        os.write(fd, json.dumps(project.box._asdict()).encode())
    project.create()
    project.check()
    emit(Step(os.path.basename(path), "booting the VM for the first time"))
    # what a Vagrantfile of the user's provisions belongs to it
    project.do("up", f"--provider={box.provider}", *([] if box.directory else ["--no-provision"]))
    reached = take_over(project, deadline)
    _Vagrant(project).save(0)
    with replacing(os.path.join(path, "ready")) as fd:
        os.write(fd, json.dumps({"box": box.identity, "reached": reached._asdict()}).encode())
    return project, reached


def _destroy(path: str) -> None:
    """Remove a VM with its disk, as far as it was made."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(path, "ready"))
    project = _recorded(path)
    if project and project.is_there:
        project.refresh()
        project.do("destroy", "--force")


def _recorded(path: str) -> Project | None:
    """Return a VM as it was made; None if nothing was."""
    try:
        with open(os.path.join(path, "box")) as file:
            return Project(path, Box(**json.load(file)))
    except (OSError, ValueError, TypeError):
        return None


def kept() -> list[Kept]:
    """Return the VMs that there are."""
    found = []
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(vms_dir())):
            path = os.path.join(vms_dir(), name)
            if not name.startswith(".") and os.path.isdir(path):
                ready = os.path.exists(os.path.join(path, "ready"))
                found.append(Kept(name, name.rpartition("-")[0], ready, locks.owner(path)))
    return found


def remove(name: str) -> bool:
    """Remove a VM with its disk and its snapshots; return whether nobody uses it. Raises HostError."""
    path = os.path.join(vms_dir(), name)
    lock = locks.lock_directory(path, wait=False)
    if lock is None:
        return False
    with lock:
        _destroy(path)
        shutil.rmtree(path)
    return True
