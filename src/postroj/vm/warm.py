"""VMs that are kept: each is prepared once, and every run has it as it was then. Between two runs it is off."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from postroj import process
from postroj.deadline import NEVER, Deadline
from postroj.errors import DeadlineError, HostError, PostrojError
from postroj.events import Step, emit
from postroj.interrupts import uninterrupted
from postroj.vm import boxes, domains, records, sweeping
from postroj.vm.guard import guarded
from postroj.vm.machine import Power, VirtualMachine
from postroj.vm.records import Ready
from postroj.vm.ssh import HOST, Login
from postroj.vm.vagrant import Project

# Root logs in by the VM's own key alone, and so does Vagrant's user: the published key is for the first boot.
_TAKE_OVER = """
set -eu
umask 077
mkdir -p /root/.ssh
echo "$*" >/root/.ssh/authorized_keys
echo "$*" >/home/vagrant/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A >/dev/null
systemctl restart ssh.service 2>/dev/null || systemctl restart sshd.service
cat /etc/ssh/ssh_host_ed25519_key.pub
"""


class Box(Protocol):
    """A box that a VM is made of."""

    @property
    def name(self) -> str:
        """What Vagrant is to call it."""

    @property
    def path(self) -> str:
        """The file that it is in."""


TOOLS = ("vagrant", "virsh", "ssh", "ssh-keygen")
"""Programs of the host that VMs need."""


class _Vagrant:
    def __init__(self, project: Project) -> None:
        self._project = project

    def save(self, number: int, *, deadline: Deadline = NEVER) -> None:
        self._project.do("snapshot", "save", "--force", _snapshot(number), deadline=deadline)

    def restore(self, number: int, *, deadline: Deadline = NEVER) -> None:
        if self._project.name in domains.disks():  # of libvirt
            domains.revert(self._project.name, _snapshot(number), deadline=deadline)
        else:
            self._project.do("snapshot", "restore", "--no-provision", _snapshot(number), deadline=deadline)


def _snapshot(number: int) -> str:
    return f"postroj-{number}"


def check_host() -> None:
    """Raise MissingToolError or HostError, before anything is made, if this host cannot have VMs."""
    process.require(*TOOLS)
    records.check_directory()
    sweeping.sweep()


@contextmanager
def taken(
    image: str, box: Box, *, files: Sequence[tuple[str, str]] = (), wait: bool = False, deadline: Deadline
) -> Iterator[VirtualMachine]:
    """A VM of a box, as it was when it was prepared, ours for the block. Raises HostError. Call `check_host` before.

    Two runs have two; with `wait`, one waits for the other.
    """
    with records.take(image, box.name, wait=wait, deadline=deadline) as lock:
        project = Project(lock.path, box.name, boxes.directory(box.name))
        with guarded(project.name, lock):
            power = _Vagrant(project)
            ready = _restored(project, power, deadline) or _made(project, box, power, deadline)
            login = Login(ready.address, ready.port, project.key, project.known_hosts, project.sockets)
            with VirtualMachine(project.name, login, power, brought=files, deadline=deadline) as machine:
                yield machine


def _restored(project: Project, power: _Vagrant, deadline: Deadline) -> Ready | None:
    """Have a VM as it was when it was prepared; None if it has to be made."""
    ready = records.read(project.path)
    if ready is None or ready.box != project.box:
        return None
    emit(Step(project.name, "restoring the VM"))
    try:
        power.restore(0, deadline=deadline)
    except DeadlineError:
        raise
    except HostError as error:
        domains.states()  # if libvirt has gone, that is the error, and no reason to make the VM anew
        emit(Step(project.name, f"making the VM anew: {error.what}"))
        return None
    return ready


def _made(project: Project, box: Box, power: Power, deadline: Deadline) -> Ready:
    """Make the VM, or make it anew; nothing is left of one that fails."""
    try:
        sweeping.clear(project.name)
        records.write(project.path, "box", box.name)
        project.create()
        domains.make_pool()
        with boxes.there(box.name, box.path, deadline=deadline):
            emit(Step(project.name, "booting the VM for the first time"))
            project.do("up", "--no-provision", deadline=deadline)
        return _prepared(project, power, deadline)
    except BaseException:
        with uninterrupted(), suppress(PostrojError, OSError):  # what cannot be removed now is swept later
            sweeping.discard(project.name)
        raise


def _prepared(project: Project, power: Power, deadline: Deadline) -> Ready:
    """Make a VM that has booted ours alone, and keep it so."""
    with open(f"{project.key}.pub") as file:
        words = ["sudo", "sh", "-s", "--", file.read().strip()]
    told = project.ask(["ssh", "--no-tty", "-c", shlex.join(words)], stdin=_TAKE_OVER, deadline=deadline)
    words = told.split()
    if "ssh-ed25519" not in words[:1]:
        raise HostError(f"the VM {project.name} has told no host key", why=told[-2000:])
    records.write(project.path, "known_hosts", f"{HOST} {words[0]} {words[1]}\n")
    address, port = project.address(deadline)
    power.save(0)
    ready = Ready(project.box, address, port)
    records.write_ready(project.path, ready)
    return ready
