"""VMs that are kept: each is prepared once, and every run has it as it was then. Between two runs it is off."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, HostError, PostrojError
from postroj.events import Step, Warn, emit
from postroj.interrupts import uninterrupted
from postroj.vm import boxes, domains, records, sweeping
from postroj.vm.box import LIBVIRT, Box
from postroj.vm.guard import guarded
from postroj.vm.guests import opened
from postroj.vm.learnt import learn
from postroj.vm.records import Ready
from postroj.vm.sweeping import off
from postroj.vm.takeover import take_over
from postroj.vm.vagrant import Project

if TYPE_CHECKING:
    from postroj.vm.guests import AnyVm


TOOLS = ("vagrant", "ssh", "ssh-keygen")
"""Programs of the host that VMs of any provider need."""
_SNAPSHOT_SECONDS = 600.0
_DELETE_SECONDS = 120.0


class _Vagrant:
    def __init__(self, project: Project) -> None:
        self._project = project
        self._saved: set[int] = set()

    def save(self, number: int, *, deadline: Deadline) -> None:
        self._saved.add(number)
        limit = deadline.sooner(_SNAPSHOT_SECONDS)
        self._project.do("snapshot", "save", "--force", _snapshot(number), deadline=limit)

    def restore(self, number: int, *, deadline: Deadline) -> None:
        if self._project.box.provider == LIBVIRT:
            domains.revert(self._project.name, _snapshot(number), deadline=deadline)
        else:
            limit = deadline.sooner(_SNAPSHOT_SECONDS)
            self._project.do("snapshot", "restore", "--no-provision", _snapshot(number), deadline=limit)

    def ended(self) -> str:
        return domains.ended(self._project.name) if self._project.box.provider == LIBVIRT else ""

    def forget(self) -> None:
        """Delete the snapshots that were saved: each has the VM's memory, and no other run can use it."""
        try:
            for number in sorted(self._saved, reverse=True):
                if self._project.box.provider == LIBVIRT:
                    domains.delete_snapshot(self._project.name, _snapshot(number))
                else:
                    self._project.do("snapshot", "delete", _snapshot(number), deadline=Deadline(_DELETE_SECONDS))
        except (HostError, OSError) as error:
            emit(Warn(f"the VM {self._project.name} keeps a snapshot that it does not need: {error}"))


def _snapshot(number: int) -> str:
    return f"postroj-{number}"


def check_host(provider: str) -> None:
    """Raise MissingToolError or HostError, before anything is made, if this host cannot have VMs of a provider."""
    process.require(*TOOLS, *(["virsh"] if provider == LIBVIRT else []))
    records.check_directory()
    if provider == LIBVIRT:
        domains.states()  # an error if it does not run
        sweeping.sweep(with_libvirt=True)
    else:
        sweeping.sweep_quietly()  # libvirt may have VMs of ours as well, and not run


@contextmanager
def taken(
    box: Box,
    *,
    files: Sequence[tuple[str, str]] = (),
    wait: bool = False,
    offline: bool = False,
    deadline: Deadline,
) -> "Iterator[AnyVm]":
    """A VM of a box, as it was when it was prepared, ours for the block. Raises HostError. Call `check_host` before.

    Two runs have two; with `wait`, one waits for the other. With `offline` no box is downloaded: ImageError.
    """
    if offline:  # a box is kept as long as there is a VM of it
        boxes.check_here(box)
    with records.take(box.image, box.identity, provider=box.provider, wait=wait, deadline=deadline) as lock:
        project = Project(lock.path, box, boxes.directory(box.place))
        with guarded(project.name, lock, *off(project)):
            known = records.box_of(project.path)
            ready = _restored(project._replace(box=known), box, deadline) if known else None
            if known and ready:
                project = project._replace(box=known)
            else:
                project, ready = make(project, partial(_save, deadline), deadline)
            vagrant = _Vagrant(project)
            try:
                with opened(project, ready, vagrant, files, deadline) as machine:
                    yield machine
            finally:
                vagrant.forget()


def _restored(project: Project, box: Box, deadline: Deadline) -> Ready | None:
    """Have a VM as it was when it was prepared; None if it has to be made."""
    ready = records.read(project.path)
    if ready is None or ready.box != box.identity:
        return None
    emit(Step(project.name, "restoring the VM"))
    try:
        _Vagrant(project).restore(0, deadline=deadline)
    except DeadlineError:
        raise
    except HostError as error:
        if box.provider == LIBVIRT:
            domains.states()  # if libvirt has gone, that is the error, and no reason to make the VM anew
        emit(Step(project.name, f"making the VM anew: {error.what}"))
        return None
    return ready


def _save(deadline: Deadline, project: Project, ready: Ready) -> None:
    _Vagrant(project).save(0, deadline=deadline)


def _learnt(project: Project) -> Project:
    project = project._replace(box=learn(project.box, project.boxes))
    records.write_box(project.path, project.box)
    return project


def make(project: Project, finish: Callable[[Project, Ready], None], deadline: Deadline) -> tuple[Project, Ready]:
    """Make a VM, or make it anew, and return it with what was learnt of its guest; nothing is left if it fails.

    Its directory is locked by the caller. `finish` does what is left to do when it is taken over.
    """
    box, asked = project.box, project
    try:
        sweeping.clear(project.name)
        records.write_box(project.path, box)
        project.create()
        if box.provider == LIBVIRT:
            domains.make_pool()
        with boxes.there(box, check=lambda: asked.check(deadline), deadline=deadline):
            if not box.directory:  # otherwise its box is not there yet, and tells Vagrant of its guest by itself
                project = _learnt(project)
            emit(Step(project.name, "booting the VM for the first time"))
            # what a Vagrantfile of the user's provisions belongs to it
            words = [f"--provider={box.provider}", *([] if box.directory else ["--no-provision"])]
            project.do("up", *words, deadline=deadline)
            if box.directory:
                project = _learnt(project)
        ready = take_over(project, deadline)._replace(box=box.identity)
        finish(project, ready)
        records.write_ready(project.path, ready)
        return project, ready
    except BaseException:
        with uninterrupted(), suppress(PostrojError, OSError):  # what cannot be removed now is swept later
            sweeping.discard(project.name)
            sweeping.sweep()  # its box, if that is half made
        raise
